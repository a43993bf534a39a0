//! From the camera's colours to those of a file format: JFIF has full range and the BT.601 matrix (ITU-T
//! T.871 section 7), WebP limited range and the same matrix (RFC 6386 section 9.2).
//!
//! All are YCbCr, so no detour through RGB is needed: luma changes by a factor and by an amount
//! that depends on chroma alone, and chroma depends on chroma alone (grey stays grey). Done here and
//! not in swscale, which takes three times as long for a matrix and rounds through 8-bit RGB.

use crate::planes::{Canvas, Plane, Planes};

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

/// What WebP demands.
pub(crate) const WEBP: Encoding = Encoding {
    is_full_range: false,
    matrix: Matrix::BT601,
};

impl Encoding {
    /// Luma of black.
    pub(crate) const fn black(self) -> u8 {
        if self.is_full_range { 0 } else { 16 }
    }

    /// Steps of luma from black to white, and of chroma from one end to the other.
    pub(crate) const fn steps(self) -> (f64, f64) {
        if self.is_full_range {
            (255.0, 255.0)
        } else {
            (219.0, 224.0)
        }
    }
}

/// Fraction bits of factors, which are below 2.
const FACTOR_BITS: u32 = 14;
/// Samples are multiplied from this many bits further up: they stay within 16 bits, and what is left of
/// a product above its lower 16 bits is a sample with [`BITS`] fraction bits. Sixteen bits are what every
/// processor multiplies eight at a time.
const SAMPLE_SHIFT: u32 = 7;
/// Fraction bits of sums: errors stay below a tenth of a step.
const BITS: u32 = SAMPLE_SHIFT + FACTOR_BITS - 16;

/// Fixed-point factors from one encoding to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conversion {
    luma: i16,
    luma_of_cb: i16,
    luma_of_cr: i16,
    /// Added to luma before the shift: black level and rounding.
    luma_offset: i16,
    cb_of_cb: i16,
    cb_of_cr: i16,
    cr_of_cb: i16,
    cr_of_cr: i16,
}

impl Conversion {
    /// `None` if there is nothing to convert.
    pub(crate) fn between(from: Encoding, to: Encoding) -> Option<Self> {
        (from != to).then(|| Self::new(from, to))
    }

    /// Copies samples unchanged.
    pub(crate) fn identity() -> Self {
        Self::new(JFIF, JFIF)
    }

    fn new(from: Encoding, to: Encoding) -> Self {
        let ((from_luma, from_chroma), (to_luma, to_chroma)) = (from.steps(), to.steps());
        let (luma_gain, chroma_gain) = (to_luma / from_luma, to_chroma / from_chroma);
        // Chroma as it comes, in steps of the new luma.
        let chroma_in_luma = to_luma / from_chroma;
        let (old, new) = (from.matrix, to.matrix);
        let (old_kg, new_kg) = (1.0 - old.kr - old.kb, 1.0 - new.kr - new.kb);
        // Red and blue are luma plus these times chroma; green follows from the sum of shares.
        let (red_of_cr, blue_of_cb) = (2.0 * (1.0 - old.kr), 2.0 * (1.0 - old.kb));
        let y_of_cr = red_of_cr * (new.kr - new_kg * old.kr / old_kg);
        let y_of_cb = blue_of_cb * (new.kb - new_kg * old.kb / old_kg);
        let (cb_scale, cr_scale) = (2.0 * (1.0 - new.kb), 2.0 * (1.0 - new.kr));
        let black = f64::from(to.black()) - f64::from(from.black()) * luma_gain;
        let factor = |factor: f64| fixed(factor, FACTOR_BITS);
        Self {
            luma: factor(luma_gain),
            luma_of_cb: factor(chroma_in_luma * y_of_cb),
            luma_of_cr: factor(chroma_in_luma * y_of_cr),
            luma_offset: fixed(black, BITS) + HALF,
            cb_of_cb: factor(chroma_gain * (blue_of_cb - y_of_cb) / cb_scale),
            cb_of_cr: factor(chroma_gain * -y_of_cr / cb_scale),
            cr_of_cb: factor(chroma_gain * -y_of_cb / cr_scale),
            cr_of_cr: factor(chroma_gain * (red_of_cr - y_of_cr) / cr_scale),
        }
    }

    const fn keeps_matrix(&self) -> bool {
        self.luma_of_cb == 0 && self.luma_of_cr == 0
    }

    fn chroma(&self, cb: u8, cr: u8) -> (u8, u8) {
        const OFFSET: i16 = (128 << BITS) + HALF;
        let (cb, cr) = (centred(cb), centred(cr));
        let sum = |of_cb, of_cr| times(cb, of_cb) + times(cr, of_cr) + OFFSET;
        (
            clamp(sum(self.cb_of_cb, self.cb_of_cr)),
            clamp(sum(self.cr_of_cb, self.cr_of_cr)),
        )
    }

    /// What chroma adds to luma, offset included.
    fn luma_base(&self, cb: u8, cr: u8) -> i16 {
        times(centred(cb), self.luma_of_cb) + times(centred(cr), self.luma_of_cr) + self.luma_offset
    }

    fn luma(&self, luma: u8, base: i16) -> u8 {
        clamp(times(i16::from(luma) << SAMPLE_SHIFT, self.luma) + base)
    }
}

/// Half a step, and one more for what the products lose: each is cut off, not rounded.
const HALF: i16 = (1 << (BITS - 1)) + 1;

#[expect(clippy::cast_possible_truncation, reason = "factors are below 2")]
fn fixed(factor: f64, bits: u32) -> i16 {
    (factor * f64::from(1 << bits)).round() as i16
}

/// Chroma from -128 on, ready to be multiplied.
fn centred(chroma: u8) -> i16 {
    (i16::from(chroma) - 128) << SAMPLE_SHIFT
}

/// The upper half of the product.
fn times(sample: i16, factor: i16) -> i16 {
    ((i32::from(sample) * i32::from(factor)) >> 16) as i16
}

#[expect(clippy::cast_sign_loss, reason = "clamped to a byte")]
fn clamp(sum: i16) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Makes `canvas` the picture in other colours; a side that is odd is made even for the encoder.
pub(crate) fn convert(source: Planes<'_>, conversion: &Conversion, canvas: &mut Canvas) {
    canvas.shape(source.luma.width, source.luma.height, false);
    let stride = canvas.stride;
    match source.chroma {
        None => {
            convert_grey(source.luma, &mut canvas.luma, stride, conversion);
            canvas.cb.fill(128);
            canvas.cr.fill(128);
        }
        Some([cb, cr]) => {
            if conversion.keeps_matrix() {
                convert_grey(source.luma, &mut canvas.luma, stride, conversion);
            } else {
                convert_luma(source.luma, [cb, cr], &mut canvas.luma, stride, conversion);
            }
            let to_cb = canvas.cb.chunks_mut(stride / 2);
            let to_cr = canvas.cr.chunks_mut(stride / 2);
            for ((from_cb, from_cr), (to_cb, to_cr)) in
                cb.rows().zip(cr.rows()).zip(to_cb.zip(to_cr))
            {
                convert_chroma([from_cb, from_cr], [to_cb, to_cr], conversion);
            }
        }
    }
    canvas.pad_to_even();
}

fn convert_chroma(from: [&[u8]; 2], to: [&mut [u8]; 2], conversion: &Conversion) {
    let [to_cb, to_cr] = to;
    let to = to_cb.iter_mut().zip(to_cr);
    for ((cb, cr), (to_cb, to_cr)) in from[0].iter().zip(from[1]).zip(to) {
        (*to_cb, *to_cr) = conversion.chroma(*cb, *cr);
    }
}

fn convert_luma(
    luma: Plane<'_>,
    chroma: [Plane<'_>; 2],
    to: &mut [u8],
    stride: usize,
    conversion: &Conversion,
) {
    let mut base = Vec::with_capacity(stride);
    let mut chroma_rows = chroma[0].rows().zip(chroma[1].rows());
    for (index, (to, from)) in to.chunks_mut(stride).zip(luma.rows()).enumerate() {
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
            *to = conversion.luma(*from, *base);
        }
    }
}

fn convert_grey(luma: Plane<'_>, to: &mut [u8], stride: usize, conversion: &Conversion) {
    for (to, from) in to.chunks_mut(stride).zip(luma.rows()) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = conversion.luma(*from, conversion.luma_offset);
        }
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
    fn through_rgb(from: Encoding, to: Encoding, sample: [u8; 3]) -> [f64; 3] {
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
        let (cb, cr) = ((blue - y) / 1.772, (red - y) / 1.402);
        if to.is_full_range {
            [y, 128.0 + cb, 128.0 + cr]
        } else {
            let chroma = |c: f64| 128.0 + c * 224.0 / 255.0;
            [16.0 + y * 219.0 / 255.0, chroma(cb), chroma(cr)]
        }
    }

    fn converted(from: Encoding, to: Encoding, [y, cb, cr]: [u8; 3]) -> [u8; 3] {
        let plane = |bytes| Plane {
            bytes,
            stride: 1,
            width: 1,
            height: 1,
        };
        let mut canvas = Canvas::default();
        let (y, cb, cr) = ([y], [cb], [cr]);
        let conversion = Conversion::between(from, to).unwrap();
        let source = Planes {
            luma: plane(&y),
            chroma: Some([plane(&cb), plane(&cr)]),
        };
        convert(source, &conversion, &mut canvas);
        [canvas.luma[0], canvas.cb[0], canvas.cr[0]]
    }

    #[test]
    fn every_colour_is_right_to_little_more_than_half_a_step() {
        let matrices = [Matrix::BT601, Matrix::BT709, Matrix::BT2020, Matrix::FCC];
        let sources = matrices.into_iter().flat_map(|m| [(m, false), (m, true)]);
        for ((matrix, is_full_range), to) in sources.flat_map(|from| [(from, JFIF), (from, WEBP)]) {
            let from = Encoding {
                is_full_range,
                matrix,
            };
            if from != to {
                assert_right(from, to);
            }
        }
    }

    fn assert_right(from: Encoding, to: Encoding) {
        let values = || (0..=255).step_by(15);
        for (y, cb) in values().flat_map(|y| values().map(move |cb| (y, cb))) {
            for cr in values() {
                let got = converted(from, to, [y, cb, cr]).map(f64::from);
                let want = through_rgb(from, to, [y, cb, cr]).map(|v| v.clamp(0.0, 255.0));
                for (got, want) in got.into_iter().zip(want) {
                    assert!((got - want).abs() < 0.57, "{from:?} {to:?} {y} {cb} {cr}");
                }
            }
        }
    }

    #[test]
    fn black_white_and_grey_of_a_camera_become_those_of_jfif() {
        assert_eq!(converted(CAMERA_709, JFIF, [16, 128, 128]), [0, 128, 128]);
        assert_eq!(
            converted(CAMERA_709, JFIF, [235, 128, 128]),
            [255, 128, 128]
        );
        assert_eq!(Conversion::between(JFIF, JFIF), None);
    }

    #[test]
    fn odd_sides_are_padded_with_the_last_sample() {
        let source = crate::planes::tests::numbered(3, 3);
        let mut canvas = Canvas::default();
        convert(source.planes(), &Conversion::identity(), &mut canvas);
        let rows: Vec<&[u8]> = canvas
            .luma
            .chunks(canvas.stride)
            .map(|row| &row[..4])
            .collect();
        let last = [32, 33, 34, 34];
        assert_eq!(rows[..4], [&[0, 1, 2, 2], &[16, 17, 18, 18], &last, &last]);
        let grey = Planes {
            chroma: None,
            ..source.planes()
        };
        convert(grey, &Conversion::identity(), &mut canvas);
        assert_eq!(canvas.planes().chroma.unwrap()[1].row(1), [128, 128]);
    }
}
