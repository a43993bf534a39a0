//! Where a channel looks for motion.

use std::fmt;
use std::str::FromStr;

/// Cells of a picture side by side.
pub const MOTION_COLUMNS: usize = 24;
/// Cells of a picture on top of each other.
pub const MOTION_ROWS: usize = 18;
/// All of them.
pub const MOTION_CELLS: usize = MOTION_COLUMNS * MOTION_ROWS;
/// Most regions of a channel.
pub const MAX_MOTION_REGIONS: usize = 8;
const BYTES: usize = MOTION_CELLS / 8;

/// Some cells of a picture: a bit for each, row by row from the upper left, highest bit first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CellMap([u8; BYTES]);

impl CellMap {
    /// No cell.
    pub const EMPTY: Self = Self([0; BYTES]);
    /// Every cell.
    pub const ALL: Self = Self([0xff; BYTES]);

    /// From its bits.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bits.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// Whether a cell, counted row by row from the upper left, belongs to it.
    #[must_use]
    pub fn contains(&self, cell: usize) -> bool {
        self.0
            .get(cell / 8)
            .is_some_and(|byte| byte & (0x80 >> (cell % 8)) != 0)
    }

    /// Adds a cell; one outside the picture changes nothing.
    pub fn insert(&mut self, cell: usize) {
        if let Some(byte) = self.0.get_mut(cell / 8) {
            *byte |= 0x80 >> (cell % 8);
        }
    }

    /// How many cells both have.
    #[must_use]
    pub fn common(&self, other: &Self) -> u32 {
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(a, b)| (a & b).count_ones()).sum()
    }

    /// How many cells it has.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.common(self)
    }
}

/// Hexadecimal, as it is stored.
impl fmt::Display for CellMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {BYTES} bytes in hexadecimal")]
pub struct ParseCellMapError;

impl FromStr for CellMap {
    type Err = ParseCellMapError;

    fn from_str(text: &str) -> Result<Self, ParseCellMapError> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(ParseCellMapError);
        };
        let bytes: Option<Vec<u8>> = pairs
            .iter()
            .map(|[h, l]| Some(digit(*h)? << 4 | digit(*l)?))
            .collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(ParseCellMapError)
    }
}

fn digit(character: u8) -> Option<u8> {
    let value = char::from(character).to_digit(16)?;
    u8::try_from(value).ok()
}

/// A part of the picture in which motion counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MotionRegion {
    /// Whether it is looked at.
    pub enabled: bool,
    /// For people; may be empty.
    pub name: String,
    /// 0 to 100: how little motion is enough.
    pub sensitivity: u8,
    /// Its cells.
    pub map: CellMap,
}

impl MotionRegion {
    /// What a region has when nobody has said how sensitive it is.
    pub const DEFAULT_SENSITIVITY: u8 = 50;

    /// How many of its cells must move: 1 at the highest sensitivity, 6 in the middle, 21 at the lowest
    /// (of 432), and never more than half of the region.
    #[must_use]
    pub fn threshold(&self) -> u32 {
        let dull = 100 - u32::from(self.sensitivity.min(100));
        (1 + dull * dull / 500)
            .min(self.map.count().div_ceil(2))
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_back_and_nothing_else_is() {
        let mut map = CellMap::EMPTY;
        for cell in [0, 23, 24, 431, 432, 10_000] {
            map.insert(cell);
        }
        assert_eq!(map.count(), 4);
        assert!(map.contains(431) && !map.contains(432) && !map.contains(1));
        assert_eq!(map.to_string().parse(), Ok(map));
        assert_eq!(CellMap::ALL.count(), 432);
        for bad in ["", "00", &"g".repeat(108), &"é".repeat(54)] {
            assert_eq!(bad.parse::<CellMap>(), Err(ParseCellMapError), "{bad}");
        }
    }

    #[test]
    fn a_more_sensitive_region_asks_for_fewer_cells() {
        let region = |sensitivity| MotionRegion {
            enabled: true,
            name: String::new(),
            sensitivity,
            map: CellMap::ALL,
        };
        assert_eq!([100, 50, 0].map(|s| region(s).threshold()), [1, 6, 21]);
        let mut small = region(0);
        small.map = CellMap::EMPTY;
        assert_eq!(small.threshold(), 1, "an empty region never moves");
        small.map.insert(0);
        small.map.insert(1);
        assert_eq!(small.threshold(), 1);
    }
}
