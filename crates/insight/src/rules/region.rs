//! Where an object is, and whether that lies in a polygon. All numbers are parts of the picture: 0 to 1 from
//! the left and from above.

use serde::{Deserialize, Serialize};

/// Most corners of a region.
const MAX_CORNERS: usize = 64;

/// Which point of an object stands for where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The middle of its box.
    #[default]
    Center,
    /// The middle of the lower edge of its box: where it stands.
    Bottom,
}

/// An upright rectangle around an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Place {
    pub(super) fn anchor(self, anchor: Anchor) -> (f64, f64) {
        let x = f64::midpoint(self.left, self.right);
        match anchor {
            Anchor::Center => (x, f64::midpoint(self.top, self.bottom)),
            Anchor::Bottom => (x, self.bottom),
        }
    }
}

/// Corners of a region, in order around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Polygon(Vec<[f64; 2]>);

impl Polygon {
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.0.len() < 3 || self.0.len() > MAX_CORNERS {
            return Err(format!("has 3 to {MAX_CORNERS} corners"));
        }
        let is_inside = |number: &f64| (0.0..=1.0).contains(number);
        if !self.0.iter().flatten().all(is_inside) {
            return Err("has a corner outside the picture, which is 0 to 1".to_owned());
        }
        if self.area() < f64::EPSILON {
            return Err("has no area".to_owned());
        }
        Ok(())
    }

    fn edges(&self) -> impl Iterator<Item = ([f64; 2], [f64; 2])> {
        let next = self.0.iter().cycle().skip(1);
        self.0.iter().copied().zip(next.copied())
    }

    fn area(&self) -> f64 {
        let twice: f64 = self.edges().map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum();
        twice.abs() / 2.0
    }

    /// Whether a point lies in it, or on its edge. Of a polygon that crosses itself, what an odd number of
    /// edges surrounds.
    pub(super) fn contains(&self, (x, y): (f64, f64)) -> bool {
        let mut is_inside = false;
        for (a, b) in self.edges() {
            if is_on(a, b, x, y) {
                return true;
            }
            // An edge is crossed by the ray to the right once: its upper end belongs to it, its lower
            // end to the next.
            if (a[1] > y) != (b[1] > y) && x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0] {
                is_inside = !is_inside;
            }
        }
        is_inside
    }
}

/// Whether a point lies on the edge from `a` to `b`.
fn is_on(a: [f64; 2], b: [f64; 2], x: f64, y: f64) -> bool {
    /// A millionth of a picture is far less than a pixel.
    const NEAR: f64 = 1e-9;
    let cross = (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]);
    let within =
        |from: f64, to: f64, at: f64| from.min(to) - NEAR <= at && at <= from.max(to) + NEAR;
    cross.abs() <= NEAR && within(a[0], b[0], x) && within(a[1], b[1], y)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polygon(corners: &[[f64; 2]]) -> Polygon {
        Polygon(corners.to_vec())
    }

    #[test]
    fn a_point_is_inside_or_not_in_any_shape() {
        // An L: the upper right quarter is missing.
        let shape = polygon(&[
            [0.0, 0.0],
            [0.5, 0.0],
            [0.5, 0.5],
            [1.0, 0.5],
            [1.0, 1.0],
            [0.0, 1.0],
        ]);
        assert!(shape.check().is_ok());
        for inside in [(0.25, 0.25), (0.75, 0.75), (0.25, 0.75), (0.1, 0.5)] {
            assert!(shape.contains(inside), "{inside:?}");
        }
        for edge in [(0.0, 0.0), (0.5, 0.25), (0.75, 0.5), (1.0, 1.0)] {
            assert!(shape.contains(edge), "{edge:?}");
        }
        for outside in [(0.75, 0.25), (0.51, 0.49), (1.1, 0.75), (-0.1, 0.5)] {
            assert!(!shape.contains(outside), "{outside:?}");
        }
    }

    #[test]
    fn the_direction_of_the_corners_does_not_matter() {
        let mut corners = vec![[0.2, 0.2], [0.8, 0.3], [0.5, 0.9]];
        let one = polygon(&corners);
        corners.reverse();
        let other = polygon(&corners);
        for step in 0..400 {
            let point = (f64::from(step % 20) / 20.0, f64::from(step / 20) / 20.0);
            assert_eq!(one.contains(point), other.contains(point), "{point:?}");
        }
    }

    #[test]
    fn a_line_is_no_region() {
        assert!(
            polygon(&[[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]])
                .check()
                .is_err()
        );
        let many = vec![[0.0, 0.0]; MAX_CORNERS + 1];
        assert!(polygon(&many).check().is_err());
        assert!(
            polygon(&[[0.0, 0.0], [f64::NAN, 0.5], [1.0, 0.0]])
                .check()
                .is_err()
        );
    }
}
