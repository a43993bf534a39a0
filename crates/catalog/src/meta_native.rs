//! What native documents have beyond the compatible ones. Coordinates are parts of the picture: 0 is its
//! left or upper edge, 1 its right or lower one.

use framewell_model::{FrameId, WallTime};
use serde::{Deserialize, Serialize};

/// The native members of a document; all empty for a compatible one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Native {
    /// The picture that the document is about.
    pub frame: Option<Frame>,
    /// What was seen in it.
    pub objects: Vec<Object>,
    /// Free JSON.
    pub data: Option<serde_json::Value>,
    /// What saw it.
    pub model: Option<Model>,
    /// Embedding.
    pub vector: Vector,
}

/// A picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub id: FrameId,
    /// When it was captured, if that could be found out.
    pub captured: Option<WallTime>,
}

/// A model that made a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
}

/// An embedding.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Vector {
    /// None; storing the document removes the one that it has.
    #[default]
    None,
    /// The stored one, which is not loaded with the document; storing the document keeps it.
    Stored {
        /// How many numbers it has.
        dimensions: usize,
    },
    /// A new one.
    New {
        /// Finite numbers, not all of them zero.
        values: Vec<f32>,
        /// What stands for it in the index in memory.
        sketch: Vec<u8>,
    },
}

impl Vector {
    /// How many numbers it has; `None` if there is none.
    #[must_use]
    pub fn dimensions(&self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Stored { dimensions } => Some(*dimensions),
            Self::New { values, .. } => Some(values.len()),
        }
    }
}

/// One object in a picture.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Object {
    /// Its class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How sure the engine is, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Id of the object over time, the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
    /// Upright rectangle around it.
    #[serde(default, rename = "box", skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// Its outline: x and y of each corner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub polygon: Vec<[f64; 2]>,
    /// Marks on it, for example joints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<KeyPoint>,
}

/// An upright rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width, more than 0.
    pub width: f64,
    /// Height, more than 0.
    pub height: f64,
}

/// A mark on an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyPoint {
    /// What it marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// From the left.
    pub x: f64,
    /// From above.
    pub y: f64,
    /// How sure the engine is, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// The edges of an upright rectangle, which may be a point or a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left edge.
    pub min_x: f64,
    /// Upper edge.
    pub min_y: f64,
    /// Right edge.
    pub max_x: f64,
    /// Lower edge.
    pub max_y: f64,
}

impl Region {
    /// Whether the two have a point in common; edges count.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.min_x <= other.max_x
            && self.max_x >= other.min_x
            && self.min_y <= other.max_y
            && self.max_y >= other.min_y
    }

    fn around(points: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        points.fold(None, |region: Option<Self>, (x, y)| {
            let region = region.unwrap_or(Self {
                min_x: x,
                min_y: y,
                max_x: x,
                max_y: y,
            });
            Some(Self {
                min_x: region.min_x.min(x),
                min_y: region.min_y.min(y),
                max_x: region.max_x.max(x),
                max_y: region.max_y.max(y),
            })
        })
    }
}

impl From<Bounds> for Region {
    fn from(bounds: Bounds) -> Self {
        Self {
            min_x: bounds.x,
            min_y: bounds.y,
            max_x: bounds.x + bounds.width,
            max_y: bounds.y + bounds.height,
        }
    }
}

impl Object {
    /// Where it is: its box, else what its outline spans, else what its marks span.
    #[must_use]
    pub fn region(&self) -> Option<Region> {
        let outline = || Region::around(self.polygon.iter().map(|[x, y]| (*x, *y)));
        let marks = || Region::around(self.points.iter().map(|point| (point.x, point.y)));
        self.bounds
            .map(Region::from)
            .or_else(outline)
            .or_else(marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_where_its_box_is_else_its_outline_else_its_marks() {
        let mark = |x, y| KeyPoint {
            name: None,
            x,
            y,
            score: None,
        };
        let mut object = Object {
            points: vec![mark(0.5, 0.25), mark(0.25, 0.75)],
            ..Object::default()
        };
        let region = |min_x, min_y, max_x, max_y| Region {
            min_x,
            min_y,
            max_x,
            max_y,
        };
        assert_eq!(object.region(), Some(region(0.25, 0.25, 0.5, 0.75)));
        object.polygon = vec![[0.0, 0.0], [1.0, 0.0], [0.5, 0.5]];
        assert_eq!(object.region(), Some(region(0.0, 0.0, 1.0, 0.5)));
        object.bounds = Some(Bounds {
            x: 0.25,
            y: 0.5,
            width: 0.5,
            height: 0.25,
        });
        assert_eq!(object.region(), Some(region(0.25, 0.5, 0.75, 0.75)));
        assert_eq!(Object::default().region(), None);
    }

    #[test]
    fn edges_that_touch_intersect() {
        let left = Region::from(Bounds {
            x: 0.0,
            y: 0.0,
            width: 0.5,
            height: 1.0,
        });
        let right = Region::from(Bounds {
            x: 0.5,
            y: 0.0,
            width: 0.5,
            height: 1.0,
        });
        let corner = Region::from(Bounds {
            x: 0.75,
            y: 0.75,
            width: 0.25,
            height: 0.25,
        });
        assert!(left.intersects(&right) && right.intersects(&left));
        assert!(!left.intersects(&corner) && right.intersects(&corner));
    }
}
