//! From the camera's colours to JFIF's: full range, BT.601 matrix (ITU-T T.871 section 7).
//!
//! Both are YCbCr, so no detour through RGB is needed: luma changes by a factor and by an amount
//! that depends on chroma alone, and chroma depends on chroma alone (grey stays grey). Done here and
//! not in swscale, which takes three times as long for a matrix and rounds through 8-bit RGB.

use crate::ffi::Plane;

/// How sample values mean light.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Encoding {
    /// Luma 0 to 255 and chroma of 255 steps; else 16 to 235 and 224 steps (ITU-R BT.601 section 2.5.3).
    pub(crate) is_full_range: bool,
    /// Shares of red and blue in luma.
    pub(crate) matrix: Matrix,
}

/// Share of red (`kr`) and blue (`kb`) in luma.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) kr: f64,
    pub(crate) kb: f64,
}

impl Matrix {
    pub(crate) const BT601: Self = Self {
        kr: 0.299,
        kb: 0.114,
    };
    pub(crate) const BT709: Self = Self {
        kr: 0.2126,
        kb: 0.0722,
    };
    pub(crate) const BT2020: Self = Self {
        kr: 0.2627,
        kb: 0.0593,
    };
    pub(crate) const SMPTE240M: Self = Self {
        kr: 0.212,
        kb: 0.087,
    };
    pub(crate) const FCC: Self = Self { kr: 0.3, kb: 0.11 };
}

/// What JFIF demands.
pub(crate) const JFIF: Encoding = Encoding {
    is_full_range: true,
    matrix: Matrix::BT601,
};

/// Fraction bits of the fixed-point factors: the error stays far below half a step.
const BITS: u32 = 16;
const ONE: f64 = 65_536.0;

/// Fixed-point factors from one encoding to [`JFIF`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conversion {
    luma: i32,
    luma_of_cb: i32,
    luma_of_cr: i32,
    /// Added to luma before the shift: black level and rounding.
    luma_offset: i32,
    cb_of_cb: i32,
    cb_of_cr: i32,
    cr_of_cb: i32,
    cr_of_cr: i32,
}

impl Conversion {
    /// `None` if there is nothing to convert.
    pub(crate) fn to_jfif(from: Encoding) -> Option<Self> {
        (from != JFIF).then(|| Self::new(from))
    }

    /// Copies samples unchanged.
    pub(crate) fn identity() -> Self {
        Self::new(JFIF)
    }

    fn new(from: Encoding) -> Self {
        let (luma_gain, chroma_gain, black) = if from.is_full_range {
            (1.0, 1.0, 0.0)
        } else {
            (255.0 / 219.0, 255.0 / 224.0, 16.0)
        };
        let (old, new) = (from.matrix, Matrix::BT601);
        let (old_kg, new_kg) = (1.0 - old.kr - old.kb, 1.0 - new.kr - new.kb);
        // Red and blue are luma plus these times chroma; green follows from the sum of shares.
        let (red_of_cr, blue_of_cb) = (2.0 * (1.0 - old.kr), 2.0 * (1.0 - old.kb));
        let y_of_cr = red_of_cr * (new.kr - new_kg * old.kr / old_kg);
        let y_of_cb = blue_of_cb * (new.kb - new_kg * old.kb / old_kg);
        let (cb_scale, cr_scale) = (2.0 * (1.0 - new.kb), 2.0 * (1.0 - new.kr));
        Self {
            luma: fixed(luma_gain),
            luma_of_cb: fixed(chroma_gain * y_of_cb),
            luma_of_cr: fixed(chroma_gain * y_of_cr),
            luma_offset: fixed(0.5 - black * luma_gain),
            cb_of_cb: fixed(chroma_gain * (blue_of_cb - y_of_cb) / cb_scale),
            cb_of_cr: fixed(chroma_gain * -y_of_cr / cb_scale),
            cr_of_cb: fixed(chroma_gain * -y_of_cb / cr_scale),
            cr_of_cr: fixed(chroma_gain * (red_of_cr - y_of_cr) / cr_scale),
        }
    }

    const fn keeps_matrix(&self) -> bool {
        self.luma_of_cb == 0 && self.luma_of_cr == 0
    }

    fn chroma(&self, cb: u8, cr: u8) -> (u8, u8) {
        const OFFSET: i32 = (128 << BITS) + (1 << (BITS - 1));
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        (
            clamp((cb * self.cb_of_cb + cr * self.cb_of_cr + OFFSET) >> BITS),
            clamp((cb * self.cr_of_cb + cr * self.cr_of_cr + OFFSET) >> BITS),
        )
    }

    /// What chroma adds to luma, offset included, before the shift.
    fn luma_base(&self, cb: u8, cr: u8) -> i32 {
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        cb * self.luma_of_cb + cr * self.luma_of_cr + self.luma_offset
    }
}

#[expect(clippy::cast_possible_truncation, reason = "factors are below 4")]
fn fixed(factor: f64) -> i32 {
    (factor * ONE).round() as i32
}

#[expect(clippy::cast_sign_loss, reason = "clamped to a byte")]
fn clamp(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

/// A 4:2:0 picture in our own memory, kept and refilled from picture to picture. Luma is padded to
/// even sides, as JPEG's 4:2:0 blocks need.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    pub(crate) luma: Vec<u8>,
    pub(crate) cb: Vec<u8>,
    pub(crate) cr: Vec<u8>,
    /// Bytes of a luma row; chroma rows have half.
    pub(crate) stride: usize,
}

impl Canvas {
    /// Fills it from 4:2:0 planes; without chroma the picture is grey.
    pub(crate) fn fill(
        &mut self,
        luma: Plane<'_>,
        chroma: Option<[Plane<'_>; 2]>,
        conversion: &Conversion,
    ) {
        let (width, height) = (luma.width.div_ceil(2), luma.height.div_ceil(2));
        self.stride = width * 2;
        self.luma.resize(width * 2 * height * 2, 0);
        self.cb.clear();
        self.cr.clear();
        match chroma {
            Some([cb, cr]) => {
                self.convert_chroma(cb, cr, conversion);
                self.convert_luma(luma, [cb, cr], conversion);
            }
            None => {
                self.convert_grey(luma, conversion);
            }
        }
        self.cb.resize(width * height, 128);
        self.cr.resize(width * height, 128);
        self.pad(luma.height);
    }

    fn convert_chroma(&mut self, cb: Plane<'_>, cr: Plane<'_>, conversion: &Conversion) {
        for (cb_row, cr_row) in cb.rows().zip(cr.rows()) {
            let pairs = cb_row
                .iter()
                .zip(cr_row)
                .map(|(cb, cr)| conversion.chroma(*cb, *cr));
            for (cb, cr) in pairs {
                self.cb.push(cb);
                self.cr.push(cr);
            }
        }
    }

    fn convert_luma(&mut self, luma: Plane<'_>, chroma: [Plane<'_>; 2], conversion: &Conversion) {
        if conversion.keeps_matrix() {
            return self.convert_grey(luma, conversion);
        }
        let mut base = Vec::with_capacity(self.stride);
        let mut chroma_rows = chroma[0].rows().zip(chroma[1].rows());
        for (index, (to, from)) in self
            .luma
            .chunks_mut(self.stride)
            .zip(luma.rows())
            .enumerate()
        {
            if index % 2 == 0 {
                base.clear();
                if let Some((cb_row, cr_row)) = chroma_rows.next() {
                    for (cb, cr) in cb_row.iter().zip(cr_row) {
                        let amount = conversion.luma_base(*cb, *cr);
                        base.extend([amount, amount]);
                    }
                }
            }
            for ((to, from), base) in to.iter_mut().zip(from).zip(&base) {
                *to = clamp((i32::from(*from) * conversion.luma + base) >> BITS);
            }
            pad_row(to, luma.width);
        }
    }

    fn convert_grey(&mut self, luma: Plane<'_>, conversion: &Conversion) {
        for (to, from) in self.luma.chunks_mut(self.stride).zip(luma.rows()) {
            for (to, from) in to.iter_mut().zip(from) {
                *to = clamp((i32::from(*from) * conversion.luma + conversion.luma_offset) >> BITS);
            }
            pad_row(to, luma.width);
        }
    }

    /// Repeats the last row if the height is odd.
    fn pad(&mut self, height: usize) {
        if height % 2 == 1 {
            let last = (height - 1) * self.stride;
            self.luma
                .copy_within(last..last + self.stride, last + self.stride);
        }
    }
}

/// Repeats the last sample if the width is odd.
fn pad_row(row: &mut [u8], width: usize) {
    if width < row.len() {
        row[width] = row[width - 1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA_709: Encoding = Encoding {
        is_full_range: false,
        matrix: Matrix::BT709,
    };

    /// The long way: to RGB by one matrix, back by the other, in floating point.
    fn through_rgb(from: Encoding, sample: [u8; 3]) -> [f64; 3] {
        let [y, cb, cr] = sample.map(f64::from);
        let (y, cb, cr) = if from.is_full_range {
            (y, cb - 128.0, cr - 128.0)
        } else {
            let chroma = |c: f64| (c - 128.0) * 255.0 / 224.0;
            ((y - 16.0) * 255.0 / 219.0, chroma(cb), chroma(cr))
        };
        let Matrix { kr, kb } = from.matrix;
        let (red, blue) = (y + 2.0 * (1.0 - kr) * cr, y + 2.0 * (1.0 - kb) * cb);
        let green = (y - kr * red - kb * blue) / (1.0 - kr - kb);
        let y = 0.299 * red + 0.587 * green + 0.114 * blue;
        [y, 128.0 + (blue - y) / 1.772, 128.0 + (red - y) / 1.402]
    }

    fn convert(from: Encoding, [y, cb, cr]: [u8; 3]) -> [u8; 3] {
        let plane = |bytes| Plane {
            bytes,
            stride: 1,
            width: 1,
            height: 1,
        };
        let mut canvas = Canvas::default();
        let (y, cb, cr) = ([y], [cb], [cr]);
        let conversion = Conversion::to_jfif(from).unwrap();
        canvas.fill(plane(&y), Some([plane(&cb), plane(&cr)]), &conversion);
        [canvas.luma[0], canvas.cb[0], canvas.cr[0]]
    }

    #[test]
    fn every_colour_is_right_to_half_a_step() {
        let matrices = [Matrix::BT601, Matrix::BT709, Matrix::BT2020, Matrix::FCC];
        for (matrix, is_full_range) in matrices.into_iter().flat_map(|m| [(m, false), (m, true)]) {
            let from = Encoding {
                is_full_range,
                matrix,
            };
            if from == JFIF {
                continue;
            }
            for y in (0..=255).step_by(15) {
                for cb in (0..=255).step_by(15) {
                    for cr in (0..=255).step_by(15) {
                        let got = convert(from, [y, cb, cr]).map(f64::from);
                        let want = through_rgb(from, [y, cb, cr]).map(|v| v.clamp(0.0, 255.0));
                        for (got, want) in got.into_iter().zip(want) {
                            assert!((got - want).abs() < 0.51, "{from:?} {y} {cb} {cr}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn black_white_and_grey_of_a_camera_become_those_of_jfif() {
        assert_eq!(convert(CAMERA_709, [16, 128, 128]), [0, 128, 128]);
        assert_eq!(convert(CAMERA_709, [235, 128, 128]), [255, 128, 128]);
        assert_eq!(Conversion::to_jfif(JFIF), None);
    }

    #[test]
    fn odd_sides_are_padded_with_the_last_sample() {
        let plane = |bytes, width, height, stride| Plane {
            bytes,
            stride,
            width,
            height,
        };
        let luma = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9];
        let chroma = [10, 11, 12, 13];
        let c = plane(&chroma, 2, 2, 2);
        let mut canvas = Canvas::default();
        canvas.fill(plane(&luma, 3, 3, 4), Some([c, c]), &Conversion::identity());
        assert_eq!(
            canvas.luma,
            [1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 7, 8, 9, 9]
        );
        assert_eq!((canvas.stride, &canvas.cb[..]), (4, &chroma[..]));
        canvas.fill(plane(&luma, 3, 3, 4), None, &Conversion::identity());
        assert_eq!(canvas.cr, [128; 4]);
    }
}
