//! From YCbCr 4:2:0 to red, green, blue.
//!
//! Chroma samples lie in the middle of four luma samples and are blended linearly between their places,
//! as JPEG readers do: the same picture looks the same in all formats.

use crate::colour::Encoding;
use crate::planes::{Plane, Planes};

/// Fraction bits of blended chroma: sixteenths.
const BLEND_BITS: u32 = 4;
/// Fraction bits of the factors of luma; those of chroma have [`BLEND_BITS`] less.
const BITS: u32 = 16;

/// Fixed-point factors to full-range RGB.
struct Factors {
    luma: i32,
    /// Added before the shift: black level and rounding.
    offset: i32,
    red_of_cr: i32,
    green_of_cb: i32,
    green_of_cr: i32,
    blue_of_cb: i32,
}

impl Factors {
    fn new(from: Encoding) -> Self {
        let (luma_steps, chroma_steps) = from.steps();
        let matrix = from.matrix;
        let kg = 1.0 - matrix.kr - matrix.kb;
        let (red, blue) = (2.0 * (1.0 - matrix.kr), 2.0 * (1.0 - matrix.kb));
        let luma = 255.0 / luma_steps;
        let chroma = |factor: f64| fixed(factor * 255.0 / chroma_steps, BITS - BLEND_BITS);
        Self {
            luma: fixed(luma, BITS),
            offset: fixed(0.5 - f64::from(from.black()) * luma, BITS),
            red_of_cr: chroma(red),
            green_of_cb: chroma(-blue * matrix.kb / kg),
            green_of_cr: chroma(-red * matrix.kr / kg),
            blue_of_cb: chroma(blue),
        }
    }

    /// `cb` and `cr` in sixteenths, 0 in the middle.
    fn pixel(&self, luma: u8, cb: i32, cr: i32) -> [u8; 3] {
        let luma = i32::from(luma) * self.luma + self.offset;
        [
            byte(luma + cr * self.red_of_cr),
            byte(luma + cb * self.green_of_cb + cr * self.green_of_cr),
            byte(luma + cb * self.blue_of_cb),
        ]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "factors are below 3")]
fn fixed(factor: f64, bits: u32) -> i32 {
    (factor * f64::from(1 << bits)).round() as i32
}

#[expect(clippy::cast_sign_loss, reason = "clamped to a byte")]
fn byte(value: i32) -> u8 {
    (value >> BITS).clamp(0, 255) as u8
}

/// Writes three bytes a pixel, rows without padding. `to` has exactly that many.
pub(crate) fn write(source: Planes<'_>, from: Encoding, to: &mut [u8]) {
    let factors = Factors::new(from);
    let width = source.luma.width;
    let mut cb = vec![0; width.next_multiple_of(2)];
    let mut cr = cb.clone();
    for (y, (luma, to)) in source
        .luma
        .rows()
        .zip(to.chunks_exact_mut(width * 3))
        .enumerate()
    {
        if let Some(planes) = source.chroma {
            blend(planes[0], y, &mut cb);
            blend(planes[1], y, &mut cr);
        }
        let chroma = cb.iter().zip(&cr);
        for ((to, luma), (cb, cr)) in to.as_chunks_mut::<3>().0.iter_mut().zip(luma).zip(chroma) {
            *to = factors.pixel(*luma, i32::from(*cb), i32::from(*cr));
        }
    }
}

/// One row of chroma for each luma sample of row `y`, in sixteenths, 0 in the middle.
fn blend(plane: Plane<'_>, y: usize, to: &mut [i16]) {
    const MIDDLE: i16 = 128 << BLEND_BITS;
    let near = plane.row(y / 2);
    let other = if y.is_multiple_of(2) {
        (y / 2).saturating_sub(1)
    } else {
        y / 2 + 1
    };
    let far = plane.row(other.min(plane.height - 1));
    let column = |x: usize| 3 * i16::from(near[x]) + i16::from(far[x]);
    let mut left = column(0);
    let mut middle = left;
    for (x, to) in to.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let right = if x + 1 < plane.width {
            column(x + 1)
        } else {
            middle
        };
        *to = [3 * middle + left - MIDDLE, 3 * middle + right - MIDDLE];
        (left, middle) = (middle, right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colour::Matrix;
    use crate::planes::Canvas;

    fn flat(luma: u8, cb: u8, cr: u8) -> Canvas {
        let mut canvas = Canvas::default();
        canvas.shape(3, 3, false);
        canvas.luma.fill(luma);
        canvas.cb.fill(cb);
        canvas.cr.fill(cr);
        canvas
    }

    #[test]
    fn flat_colours_are_right_to_half_a_step() {
        for (matrix, is_full_range) in [(Matrix::BT709, false), (Matrix::BT601, true)] {
            let from = Encoding {
                is_full_range,
                matrix,
            };
            let (luma_steps, chroma_steps) = from.steps();
            for [luma, cb, cr] in [
                [16, 128, 128],
                [235, 128, 128],
                [90, 60, 200],
                [120, 200, 90],
            ] {
                let mut rgb = [0; 27];
                write(flat(luma, cb, cr).planes(), from, &mut rgb);
                let y = (f64::from(luma) - f64::from(from.black())) * 255.0 / luma_steps;
                let chroma = |sample: u8| (f64::from(sample) - 128.0) * 255.0 / chroma_steps;
                let red = y + 2.0 * (1.0 - matrix.kr) * chroma(cr);
                let blue = y + 2.0 * (1.0 - matrix.kb) * chroma(cb);
                let green =
                    (y - matrix.kr * red - matrix.kb * blue) / (1.0 - matrix.kr - matrix.kb);
                for (got, want) in rgb
                    .chunks(3)
                    .flat_map(|pixel| pixel.iter().zip([red, green, blue]))
                {
                    assert!(
                        (f64::from(*got) - want.clamp(0.0, 255.0)).abs() < 0.52,
                        "{luma} {cb} {cr}"
                    );
                }
            }
        }
    }

    #[test]
    fn chroma_is_blended_between_its_places() {
        let mut canvas = flat(128, 128, 128);
        let half = canvas.stride / 2;
        canvas.cb[..2].copy_from_slice(&[128, 144]);
        canvas.cb[half..half + 2].copy_from_slice(&[128, 144]);
        let mut row = [0; 4];
        blend(canvas.planes().chroma.unwrap()[0], 1, &mut row);
        assert_eq!(row, [0, 64, 192, 256]);
    }
}
