//! Choosing pictures by how much they changed.

use crate::colour::Encoding;
use crate::planes::Planes;
use framewell_decode::protocol::wire::Failure;
use framewell_decode::{Change, Changes};

/// Columns and rows of the small pictures that are compared: an object of a fortieth of the picture's
/// width still moves them, noise of the sensor does not.
const COLUMNS: usize = 32;
const ROWS: usize = 18;

/// Compares each picture with the one chosen last.
pub(crate) struct Detector {
    threshold: f32,
    from_pts: i64,
    reference: Option<Vec<u8>>,
}

impl Detector {
    pub(crate) fn new(changes: &Changes) -> Result<Self, Failure> {
        if let Some(reference) = changes
            .reference
            .as_ref()
            .filter(|r| r.len() != COLUMNS * ROWS)
        {
            let len = reference.len();
            return Err(Failure::Invalid(format!(
                "the signature to compare with has {len} bytes, not {}",
                COLUMNS * ROWS
            )));
        }
        Ok(Self {
            threshold: changes.threshold,
            from_pts: changes.from_pts,
            reference: changes.reference.clone(),
        })
    }

    /// Whether a picture of this time is to be looked at.
    pub(crate) const fn looks_at(&self, pts: i64) -> bool {
        self.from_pts <= pts
    }

    /// How the picture changed, if it changed by more than the threshold; the next ones are then
    /// compared with it.
    pub(crate) fn look(&mut self, planes: Planes<'_>, encoding: Encoding) -> Option<Change> {
        let signature = signature(planes, encoding);
        let amount = match &self.reference {
            None => 1.0,
            Some(reference) => difference(reference, &signature),
        };
        if self.reference.is_some() && amount <= self.threshold {
            return None;
        }
        self.reference = Some(signature.clone());
        Some(Change { amount, signature })
    }
}

/// Mean absolute difference, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "at most 255 times 576")]
fn difference(one: &[u8], other: &[u8]) -> f32 {
    let pairs = one.iter().zip(other);
    let sum: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    sum as f32 / (255 * COLUMNS * ROWS) as f32
}

/// Mean luma of the boxes of a grid, row by row, 0 black to 255 white.
fn signature(planes: Planes<'_>, encoding: Encoding) -> Vec<u8> {
    let (width, height) = (planes.luma.width, planes.luma.height);
    let mut signature = Vec::with_capacity(COLUMNS * ROWS);
    for row in 0..ROWS {
        let rows = span(row, ROWS, height);
        let mut sums = [0_u64; COLUMNS];
        for y in rows.clone() {
            let samples = planes.luma.row(y);
            for (column, sum) in sums.iter_mut().enumerate() {
                let part = &samples[span(column, COLUMNS, width)];
                *sum += u64::from(part.iter().map(|sample| u32::from(*sample)).sum::<u32>());
            }
        }
        for (column, sum) in sums.into_iter().enumerate() {
            let count = rows.len() * span(column, COLUMNS, width).len();
            signature.push(brightness(sum, count, encoding));
        }
    }
    signature
}

/// The samples of box `index` of `count`, one at least.
fn span(index: usize, count: usize, side: usize) -> std::ops::Range<usize> {
    let start = (index * side / count).min(side - 1);
    start..((index + 1) * side / count).max(start + 1)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of bytes, clamped to a byte"
)]
fn brightness(sum: u64, count: usize, encoding: Encoding) -> u8 {
    let mean = sum as f64 / count as f64;
    let full = (mean - f64::from(encoding.black())) * 255.0 / encoding.steps().0;
    full.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colour::{JFIF, WEBP};
    use crate::planes::Canvas;
    use framewell_decode::Output;

    fn half_white(width: usize, height: usize, black: u8, white: u8) -> Canvas {
        let mut canvas = Canvas::default();
        canvas.shape(width, height, true);
        let stride = canvas.stride;
        for row in canvas.luma.chunks_mut(stride) {
            row.fill(black);
            let end = width.min(row.len());
            row[end / 2..end].fill(white);
        }
        canvas
    }

    fn detector(threshold: f32, reference: Option<Vec<u8>>) -> Result<Detector, Failure> {
        Detector::new(&Changes {
            threshold,
            output: Output::jpeg(80),
            reference,
            from_pts: 0,
        })
    }

    #[test]
    fn black_and_white_are_0_and_255_in_either_range() {
        let full = signature(half_white(64, 36, 0, 255).planes(), JFIF);
        let limited = signature(half_white(64, 36, 16, 235).planes(), WEBP);
        assert_eq!(full, limited);
        assert_eq!((full[0], full[15], full[16], full[31]), (0, 0, 255, 255));
        assert_eq!(full.len(), 576);
    }

    #[test]
    fn a_picture_smaller_than_the_grid_has_a_signature_too() {
        assert_eq!(
            signature(half_white(3, 2, 0, 255).planes(), JFIF).len(),
            576
        );
    }

    #[test]
    fn pictures_are_compared_with_the_last_one_chosen() {
        let black = half_white(64, 36, 0, 0);
        let grey = half_white(64, 36, 0, 60);
        let white = half_white(64, 36, 0, 255);
        let mut detector = detector(0.2, None).unwrap();
        assert_eq!(detector.look(black.planes(), JFIF).unwrap().amount, 1.0);
        assert_eq!(detector.look(black.planes(), JFIF), None);
        assert_eq!(detector.look(grey.planes(), JFIF), None, "0.12 from black");
        let change = detector.look(white.planes(), JFIF).unwrap();
        assert_eq!(change.amount, 0.5);
        assert_eq!(detector.look(white.planes(), JFIF), None);
    }

    #[test]
    fn a_signature_of_another_size_is_refused() {
        assert!(matches!(
            detector(0.1, Some(vec![0; 9])),
            Err(Failure::Invalid(_))
        ));
    }
}
