//! The stamp in every synthetic picture: which frame it is and when it was captured.
//!
//! The code is a grid of light and dark cells at a fixed place relative to the picture, so it is
//! found at any size. Cells are large (a sixteenth of the height) and far apart in luma, so that
//! they survive JPEG at quality 50, a starved encoder and scaling to a quarter.

mod font;
mod paint;
mod read;

pub use paint::Painter;
pub use read::{
    StampError, VideoInput, read_stamp_jpeg, read_stamps_video, read_stamps_video_bytes,
};

use framewell_model::WallTime;

/// What a synthetic picture says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Number of the frame, from 0 at the start of its source.
    pub frame: u32,
    /// When the picture was taken.
    pub capture: WallTime,
}

/// A picture of luma values only, rows without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrayImage {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` luma values.
    pub data: Vec<u8>,
}

/// Cells per row of the code.
const COLUMNS: usize = 16;
/// Rows of the code.
const ROWS: usize = 8;
/// The code starts at this many sixteenths of width and height.
const MARGIN_16THS: usize = 1;
/// Width of the code in sixteenths of the picture's width.
const WIDTH_16THS: usize = 14;
/// Height of the code in sixteenths of the picture's height.
const HEIGHT_16THS: usize = 8;
/// Least difference between the lightest and the darkest cell of a readable code.
const MIN_CONTRAST: u32 = 60;

/// Luma of a cell that means 0.
const DARK: u8 = 32;
/// Luma of a cell that means 1.
const LIGHT: u8 = 224;

/// Pixels `start..end` of cell `index` out of `count`, along a side of `length` pixels.
const fn span(
    length: usize,
    sixteenths: usize,
    count: usize,
    index: usize,
    part: (usize, usize, usize),
) -> (usize, usize) {
    // In units of length / (16 * count * part.2), so that nothing is rounded before the end.
    let (from, to, of) = part;
    let unit = 16 * count * of;
    let cell = MARGIN_16THS * count * of + sixteenths * index * of;
    let start = length * (cell + sixteenths * from) / unit;
    let end = length * (cell + sixteenths * to) / unit;
    (start, end)
}

/// The 128 bits of a stamp: frame, capture time in microseconds, CRC-32 of both; high bits first.
fn encode(stamp: Stamp) -> u128 {
    let mut bytes = [0u8; 12];
    bytes[..4].copy_from_slice(&stamp.frame.to_be_bytes());
    bytes[4..].copy_from_slice(&stamp.capture.micros().to_be_bytes());
    let head = u128::from(stamp.frame) << 96;
    let time = u128::from(stamp.capture.micros().cast_unsigned()) << 32;
    (head | time | u128::from(crc32(&bytes))) ^ WHITENING
}

/// The stamp of 128 bits, if the CRC agrees.
fn decode(bits: u128) -> Option<Stamp> {
    let bits = (bits ^ WHITENING).to_be_bytes();
    let (payload, crc) = bits.split_at(12);
    if crc32(payload).to_be_bytes() != crc {
        return None;
    }
    let (frame, micros) = payload.split_at(4);
    Some(Stamp {
        frame: u32::from_be_bytes(frame.try_into().ok()?),
        capture: WallTime::from_micros(i64::from_be_bytes(micros.try_into().ok()?)),
    })
}

/// Light and dark alternate where the numbers are small, so every picture has both.
const WHITENING: u128 = 0x5a5a_a5a5_5a5a_a5a5_5a5a_a5a5_5a5a_a5a5;

/// CRC-32 as in ISO 3309 (polynomial 0x04c11db7, reflected), bit by bit: 12 bytes per picture.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// Reads the stamp of a picture of any size; `None` if there is none or it is damaged.
#[must_use]
pub fn read_stamp(image: &GrayImage) -> Option<Stamp> {
    let means = cell_means(image)?;
    let (low, high) = (means.iter().min()?, means.iter().max()?);
    if high - low < MIN_CONTRAST {
        return None;
    }
    let threshold = u32::midpoint(*low, *high);
    let bits = means.iter().fold(0u128, |bits, mean| {
        bits << 1 | u128::from(*mean > threshold)
    });
    decode(bits)
}

/// Mean luma of the middle of each cell, row by row.
fn cell_means(image: &GrayImage) -> Option<Vec<u32>> {
    // The outer quarter of a cell on each side may be smeared by scaling and compression.
    const MIDDLE: (usize, usize, usize) = (1, 3, 4);
    let mut means = Vec::with_capacity(COLUMNS * ROWS);
    for row in 0..ROWS {
        let (top, bottom) = span(image.height, HEIGHT_16THS, ROWS, row, MIDDLE);
        for column in 0..COLUMNS {
            let (left, right) = span(image.width, WIDTH_16THS, COLUMNS, column, MIDDLE);
            let (mut sum, mut count) = (0u32, 0u32);
            for y in top..bottom.max(top + 1) {
                let start = y * image.width;
                for luma in image.data.get(start + left..start + right.max(left + 1))? {
                    sum += u32::from(*luma);
                    count += 1;
                }
            }
            means.push(sum / count);
        }
    }
    Some(means)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        frame: 4_000_000_123,
        capture: WallTime::from_micros(1_795_000_000_123_456),
    };

    fn painted(width: usize, height: usize, stamp: Stamp) -> GrayImage {
        let mut painter = Painter::new(width, height, "CAM 1");
        let frame = painter.paint(stamp);
        GrayImage {
            width,
            height,
            data: frame[..width * height].to_vec(),
        }
    }

    fn quartered(image: &GrayImage) -> GrayImage {
        let (width, height) = (image.width / 4, image.height / 4);
        let mut data = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let sum: u32 = (0..16)
                    .map(|k| image.data[(y * 4 + k / 4) * image.width + x * 4 + k % 4])
                    .map(u32::from)
                    .sum();
                data.push(u8::try_from(sum / 16).unwrap());
            }
        }
        GrayImage {
            width,
            height,
            data,
        }
    }

    #[test]
    fn crc_has_the_standard_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_painted_stamp_is_read_at_every_size() {
        for (width, height) in [(160, 120), (320, 240), (640, 360), (768, 576), (1920, 1080)] {
            let image = painted(width, height, STAMP);
            assert_eq!(read_stamp(&image), Some(STAMP), "{width}x{height}");
        }
    }

    #[test]
    fn a_painted_stamp_survives_scaling_to_a_quarter() {
        for (width, height) in [(320, 240), (640, 360), (1280, 720)] {
            let image = quartered(&painted(width, height, STAMP));
            assert_eq!(read_stamp(&image), Some(STAMP), "{width}x{height}");
        }
    }

    #[test]
    fn stamps_of_small_numbers_and_times_before_1970_are_read() {
        for (frame, micros) in [(0, 0), (1, -1), (u32::MAX, i64::MIN), (0, i64::MAX)] {
            let stamp = Stamp {
                frame,
                capture: WallTime::from_micros(micros),
            };
            assert_eq!(read_stamp(&painted(320, 240, stamp)), Some(stamp));
        }
    }

    #[test]
    fn one_flipped_cell_makes_the_stamp_unreadable() {
        let mut image = painted(320, 240, STAMP);
        let (top, bottom) = span(240, HEIGHT_16THS, ROWS, 3, (0, 1, 1));
        let (left, right) = span(320, WIDTH_16THS, COLUMNS, 5, (0, 1, 1));
        for y in top..bottom {
            for luma in &mut image.data[y * 320 + left..y * 320 + right] {
                *luma = 255 - *luma;
            }
        }
        assert_eq!(read_stamp(&image), None);
    }

    #[test]
    fn pictures_without_a_stamp_have_none() {
        let flat = |width: usize, height: usize| GrayImage {
            width,
            height,
            data: vec![90; width * height],
        };
        assert_eq!(read_stamp(&flat(320, 240)), None);
        assert_eq!(read_stamp(&flat(0, 0)), None);
        assert_eq!(read_stamp(&flat(3, 2)), None);
    }
}
