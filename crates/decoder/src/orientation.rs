//! Turning pictures upright.

use crate::planes::{Canvas, Plane, Planes};

/// How a decoded picture is to be turned: first mirrored at its diagonal, then flipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Orientation {
    /// Rows become columns.
    pub(crate) is_transposed: bool,
    /// Left and right change places (after the transposition).
    pub(crate) flips_x: bool,
    /// Top and bottom change places (after the transposition).
    pub(crate) flips_y: bool,
}

impl Orientation {
    /// From a display matrix, as FFmpeg makes it of the display orientation SEI message (ITU-T H.264
    /// section D.2.27, H.265 section D.3.17): nine native-endian 32-bit numbers, the first, second,
    /// fourth and fifth of which turn coordinates. Angles between quarter turns go to the nearest.
    pub(crate) fn from_matrix(matrix: &[u8]) -> Option<Self> {
        let number = |index: usize| {
            let bytes = matrix.get(index * 4..)?.first_chunk::<4>()?;
            Some(i64::from(i32::from_ne_bytes(*bytes)))
        };
        let (x_of_x, y_of_x) = (number(0)?, number(1)?);
        let (x_of_y, y_of_y) = (number(3)?, number(4)?);
        let is_transposed = y_of_x.abs() + x_of_y.abs() > x_of_x.abs() + y_of_y.abs();
        Some(if is_transposed {
            Self {
                is_transposed,
                flips_x: x_of_y < 0,
                flips_y: y_of_x < 0,
            }
        } else {
            Self {
                is_transposed,
                flips_x: x_of_x < 0,
                flips_y: y_of_y < 0,
            }
        })
    }

    pub(crate) fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// Makes `canvas` the upright picture.
    pub(crate) fn turn(self, source: Planes<'_>, canvas: &mut Canvas) {
        let (width, height) = (source.luma.width, source.luma.height);
        let (width, height) = if self.is_transposed {
            (height, width)
        } else {
            (width, height)
        };
        canvas.shape(width, height, source.chroma.is_none());
        let chroma = source.chroma.into_iter().flatten();
        let planes = std::iter::once(source.luma).chain(chroma);
        for (from, (to, stride)) in planes.zip(canvas.planes_mut()) {
            self.turn_plane(from, to, stride);
        }
    }

    fn turn_plane(self, from: Plane<'_>, to: &mut [u8], stride: usize) {
        if self.is_transposed {
            self.transpose(from, to, stride);
            return;
        }
        let rows = to.chunks_mut(stride).take(from.height);
        for (index, to) in rows.enumerate() {
            let row = from.row(if self.flips_y {
                from.height - 1 - index
            } else {
                index
            });
            let to = &mut to[..from.width];
            to.copy_from_slice(row);
            if self.flips_x {
                to.reverse();
            }
        }
    }

    /// In blocks, so that the rows read and the rows written stay in the cache together.
    fn transpose(self, from: Plane<'_>, to: &mut [u8], stride: usize) {
        const BLOCK: usize = 32;
        for top in (0..from.height).step_by(BLOCK) {
            for left in (0..from.width).step_by(BLOCK) {
                for y in top..(top + BLOCK).min(from.height) {
                    let to_x = if self.flips_x { from.height - 1 - y } else { y };
                    let end = (left + BLOCK).min(from.width);
                    for (x, sample) in (left..).zip(&from.row(y)[left..end]) {
                        let to_y = if self.flips_y { from.width - 1 - x } else { x };
                        to[to_y * stride + to_x] = *sample;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planes::tests::{numbered, samples};

    fn matrix(a: i32, b: i32, c: i32, d: i32) -> Orientation {
        let numbers = [a, b, 0, c, d, 0, 0, 0, 1 << 30];
        let bytes: Vec<u8> = numbers.into_iter().flat_map(i32::to_ne_bytes).collect();
        Orientation::from_matrix(&bytes).unwrap()
    }

    #[test]
    fn each_quarter_turn_and_flip_moves_samples_where_its_matrix_says() {
        let canvas = numbered(4, 2);
        let turned = |a, b, c, d| {
            let mut upright = Canvas::default();
            matrix(a, b, c, d).turn(canvas.planes(), &mut upright);
            samples(upright.planes().luma)
        };
        let rows = |rows: &[&[u8]]| rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>();
        assert_eq!(
            turned(1, 0, 0, 1),
            rows(&[&[0, 1, 2, 3], &[16, 17, 18, 19]])
        );
        assert_eq!(
            turned(-1, 0, 0, 1),
            rows(&[&[3, 2, 1, 0], &[19, 18, 17, 16]])
        );
        assert_eq!(
            turned(-1, 0, 0, -1),
            rows(&[&[19, 18, 17, 16], &[3, 2, 1, 0]])
        );
        // x' = -y, y' = x: a quarter turn clockwise, as y points down.
        let clockwise: [&[u8]; 4] = [&[16, 0], &[17, 1], &[18, 2], &[19, 3]];
        assert_eq!(turned(0, 1, -1, 0), rows(&clockwise));
        let anticlockwise: [&[u8]; 4] = [&[3, 19], &[2, 18], &[1, 17], &[0, 16]];
        assert_eq!(turned(0, -1, 1, 0), rows(&anticlockwise));
    }

    #[test]
    fn a_matrix_that_is_cut_short_says_nothing() {
        assert_eq!(Orientation::from_matrix(&[0; 19]), None);
        assert!(matrix(1, 0, 0, 1).is_upright());
    }
}
