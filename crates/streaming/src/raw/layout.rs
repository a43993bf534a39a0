//! Where the pixels lie in the shared memory.

use framewell_imaging::PictureFormat;
use serde::Serialize;

/// Version of the layout and of the lines around it.
pub(super) const VERSION: u32 = 1;
/// Planes start at multiples of this: a cache line, and what vector instructions like.
const PLANE_ALIGN: u64 = 64;
/// Slots start at multiples of this: a page, so that each can be mapped alone.
const SLOT_ALIGN: u64 = 4_096;

/// A plane of a slot, as an array of bytes in the words of NumPy and DLPack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plane {
    /// `rgb`, `y` or `uv`.
    pub name: &'static str,
    /// Where it begins, in bytes from the start of the slot; a multiple of 64.
    pub offset: u64,
    /// Rows, columns, and components if there are several.
    pub shape: Vec<u64>,
    /// Bytes from one element to the next, for each dimension.
    pub strides: Vec<u64>,
}

impl Plane {
    /// Rows without padding.
    fn packed(name: &'static str, offset: u64, shape: Vec<u64>) -> Self {
        let mut strides = vec![1; shape.len()];
        for dimension in (0..shape.len().saturating_sub(1)).rev() {
            strides[dimension] = strides[dimension + 1] * shape[dimension + 1];
        }
        Self {
            name,
            offset,
            shape,
            strides,
        }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// The layout of every slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// `rgb24` or `nv12`.
    pub format: &'static str,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Distance of two slots in bytes: slot `n` begins at `n * slot_bytes`.
    pub slot_bytes: u64,
    /// In the order in which the decoder gives them.
    pub planes: Vec<Plane>,
}

impl Layout {
    /// For pictures of this size; `None` if the format is no raw one.
    #[must_use]
    pub fn new(format: PictureFormat, width: u32, height: u32) -> Option<Self> {
        let (w, h) = (u64::from(width), u64::from(height));
        let planes = match format {
            PictureFormat::Rgb24 => vec![Plane::packed("rgb", 0, vec![h, w, 3])],
            PictureFormat::Nv12 => {
                let luma = Plane::packed("y", 0, vec![h, w]);
                let offset = luma.len_bytes().next_multiple_of(PLANE_ALIGN);
                let chroma = vec![h.div_ceil(2), w.div_ceil(2), 2];
                vec![luma, Plane::packed("uv", offset, chroma)]
            }
            _ => return None,
        };
        let end = planes
            .last()
            .map_or(0, |last| last.offset + last.len_bytes());
        Some(Self {
            format: format.name(),
            width,
            height,
            slot_bytes: end.next_multiple_of(SLOT_ALIGN),
            planes,
        })
    }

    /// Bytes of a picture as the decoder gives it: plane after plane, nothing between them.
    #[must_use]
    pub fn picture_bytes(&self) -> u64 {
        self.planes.iter().map(Plane::len_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_and_slots_are_aligned_and_do_not_overlap() {
        for (width, height) in [(640, 360), (641, 361), (16, 16), (1_919, 1_081)] {
            for format in [PictureFormat::Rgb24, PictureFormat::Nv12] {
                let layout = Layout::new(format, width, height).unwrap();
                let mut end = 0;
                for plane in &layout.planes {
                    assert!(plane.offset.is_multiple_of(64) && plane.offset >= end);
                    end = plane.offset + plane.len_bytes();
                }
                assert!(layout.slot_bytes >= end && layout.slot_bytes.is_multiple_of(4_096));
            }
        }
        let jpeg = PictureFormat::Jpeg { quality: 80 };
        assert_eq!(Layout::new(jpeg, 640, 360), None);
    }

    #[test]
    fn strides_are_those_of_packed_rows() {
        let rgb = Layout::new(PictureFormat::Rgb24, 641, 361).unwrap();
        assert_eq!(rgb.planes[0].shape, [361, 641, 3]);
        assert_eq!(rgb.planes[0].strides, [1_923, 3, 1]);
        assert_eq!(rgb.picture_bytes(), 641 * 361 * 3);
        let nv12 = Layout::new(PictureFormat::Nv12, 641, 361).unwrap();
        assert_eq!(nv12.planes[0].strides, [641, 1]);
        assert_eq!(nv12.planes[1].shape, [181, 321, 2]);
        assert_eq!(nv12.planes[1].strides, [642, 2, 1]);
        assert_eq!(nv12.picture_bytes(), 641 * 361 + 181 * 642);
    }
}
