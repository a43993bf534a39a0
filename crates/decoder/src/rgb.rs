//! From YCbCr 4:2:0 to red, green, blue.
//!
//! Chroma samples lie in the middle of four luma samples and are blended linearly between their places,
//! as JPEG readers do: the same picture looks the same in all formats.

use crate::colour::Encoding;
use crate::planes::{Plane, Planes};

/// Fraction bits of blended chroma: sixteenths.
const BLEND_BITS: u32 = 4;
/// Fraction bits of factors, which are below 4.
const FACTOR_BITS: u32 = 13;
/// Luma is multiplied from this many bits further up, blended chroma from [`BLEND_BITS`] less: both stay
/// within 16 bits, see [`crate::colour`].
const SAMPLE_SHIFT: u32 = 7;
/// Fraction bits of sums.
const BITS: u32 = SAMPLE_SHIFT + FACTOR_BITS - 16;

/// Fixed-point factors to full-range RGB.
struct Factors {
    luma: i16,
    /// Added before the shift: black level and rounding.
    offset: i16,
    red_of_cr: i16,
    green_of_cb: i16,
    green_of_cr: i16,
    blue_of_cb: i16,
}

impl Factors {
    fn new(from: Encoding) -> Self {
        let (luma_steps, chroma_steps) = from.steps();
        let matrix = from.matrix;
        let kg = 1.0 - matrix.kr - matrix.kb;
        let (red, blue) = (2.0 * (1.0 - matrix.kr), 2.0 * (1.0 - matrix.kb));
        let luma = 255.0 / luma_steps;
        let chroma = |factor: f64| fixed(factor * 255.0 / chroma_steps, FACTOR_BITS);
        // Half a step, and one more for what products lose that are cut off.
        let half = (1 << (BITS - 1)) + 1;
        Self {
            luma: fixed(luma, FACTOR_BITS),
            offset: fixed(-f64::from(from.black()) * luma, BITS) + half,
            red_of_cr: chroma(red),
            green_of_cb: chroma(-blue * matrix.kb / kg),
            green_of_cr: chroma(-red * matrix.kr / kg),
            blue_of_cb: chroma(blue),
        }
    }

    /// `cb` and `cr` in sixteenths, 0 in the middle.
    fn pixel(&self, luma: u8, cb: i16, cr: i16) -> [u8; 3] {
        let luma = times(i16::from(luma) << SAMPLE_SHIFT, self.luma) + self.offset;
        let (cb, cr) = (
            cb << (SAMPLE_SHIFT - BLEND_BITS),
            cr << (SAMPLE_SHIFT - BLEND_BITS),
        );
        [
            clamp(luma + times(cr, self.red_of_cr)),
            clamp(luma + times(cb, self.green_of_cb) + times(cr, self.green_of_cr)),
            clamp(luma + times(cb, self.blue_of_cb)),
        ]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "factors are below 4")]
fn fixed(factor: f64, bits: u32) -> i16 {
    (factor * f64::from(1 << bits)).round() as i16
}

/// The upper half of the product.
fn times(sample: i16, factor: i16) -> i16 {
    ((i32::from(sample) * i32::from(factor)) >> 16) as i16
}

#[expect(clippy::cast_sign_loss, reason = "clamped to a byte")]
fn clamp(sum: i16) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Writes three bytes a pixel, rows without padding. `to` has exactly that many.
pub(crate) fn write(source: Planes<'_>, from: Encoding, to: &mut [u8]) {
    let factors = Factors::new(from);
    let width = source.luma.width;
    let mut cb = vec![0; width.next_multiple_of(2)];
    let mut cr = cb.clone();
    // Colour by colour, which is done many pixels at a time, and woven together only then.
    let mut colours = [(); 3].map(|()| vec![0; width]);
    let rows = source.luma.rows().zip(to.chunks_exact_mut(width * 3));
    for (y, (luma, to)) in rows.enumerate() {
        if let Some(planes) = source.chroma {
            blend(planes[0], y, &mut cb);
            blend(planes[1], y, &mut cr);
        }
        let [red, green, blue] = &mut colours;
        let targets = red.iter_mut().zip(green.iter_mut()).zip(blue.iter_mut());
        for (((red, green), blue), (luma, (cb, cr))) in
            targets.zip(luma.iter().zip(cb.iter().zip(&cr)))
        {
            [*red, *green, *blue] = factors.pixel(*luma, *cb, *cr);
        }
        let pixels = red.iter().zip(green.iter()).zip(blue.iter());
        for (to, ((red, green), blue)) in to.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
            *to = [*red, *green, *blue];
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
    fn flat_colours_are_right_to_little_more_than_half_a_step() {
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
                        (f64::from(*got) - want.clamp(0.0, 255.0)).abs() < 0.65,
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
