//! Paints synthetic pictures: a moving background, the code, and text for people.

use super::font::{GLYPH_HEIGHT, GLYPH_WIDTH, glyph};
use super::{COLUMNS, DARK, HEIGHT_16THS, LIGHT, ROWS, Stamp, WIDTH_16THS, encode, span};

/// Pixels that the background moves per frame.
const DRIFT: usize = 2;
/// Period of the background's wave in pixels.
const WAVE: usize = 256;

/// Paints the pictures of one camera into a buffer that it reuses.
///
/// Pictures are I420 (planar YUV 4:2:0) in limited range (ITU-R BT.709), planes without padding.
#[derive(Debug)]
pub struct Painter {
    width: usize,
    height: usize,
    title: String,
    wave: Vec<u8>,
    frame: Vec<u8>,
}

impl Painter {
    /// For pictures of this size; both sides are rounded up to even. `title` is shown as text.
    #[must_use]
    pub fn new(width: usize, height: usize, title: &str) -> Self {
        let (width, height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        Self {
            width,
            height,
            title: title.to_owned(),
            wave: (0..width + WAVE).map(wave_luma).collect(),
            frame: vec![128; width * height * 3 / 2],
        }
    }

    /// Paints a picture with this stamp; the whole I420 frame.
    pub fn paint(&mut self, stamp: Stamp) -> &[u8] {
        self.paint_background(stamp.frame);
        self.paint_ball(stamp.frame);
        self.paint_code(stamp);
        let time = stamp.capture.to_rfc3339();
        let (date, clock) = time.split_once('T').unwrap_or((&time, ""));
        self.paint_text(&format!("{} F{}", self.title, stamp.frame), 10);
        self.paint_text(&format!("{date} {clock}"), 13);
        &self.frame
    }

    fn paint_background(&mut self, frame: u32) {
        let shift = frame as usize * DRIFT;
        for (y, row) in self.frame[..self.width * self.height]
            .chunks_exact_mut(self.width)
            .enumerate()
        {
            let from = (shift + y) % WAVE;
            row.copy_from_slice(&self.wave[from..from + row.len()]);
        }
        // One colour per picture, slowly changing, so that a decoder's colours can be looked at.
        let (u_plane, v_plane) =
            self.frame[self.width * self.height..].split_at_mut(self.width / 2 * (self.height / 2));
        u_plane.fill(triangle(frame, 96, 160));
        v_plane.fill(triangle(frame.wrapping_add(77), 96, 160));
    }

    /// A bright square that crosses the lower part of the picture in four seconds at 25 fps:
    /// something for a motion detector.
    fn paint_ball(&mut self, frame: u32) {
        let side = (self.height / 8).max(2);
        let left = (self.width - side) * (frame as usize % 100) / 100;
        let top = self.height - side;
        for y in top..self.height {
            self.fill_row(y, left, left + side, 235);
        }
    }

    fn paint_code(&mut self, stamp: Stamp) {
        let bits = encode(stamp);
        for row in 0..ROWS {
            let (top, bottom) = span(self.height, HEIGHT_16THS, ROWS, row, (0, 1, 1));
            for y in top..bottom {
                for column in 0..COLUMNS {
                    let (left, right) = span(self.width, WIDTH_16THS, COLUMNS, column, (0, 1, 1));
                    let bit = bits >> (COLUMNS * ROWS - 1 - (row * COLUMNS + column)) & 1;
                    self.fill_row(y, left, right, if bit == 1 { LIGHT } else { DARK });
                }
            }
        }
    }

    /// One line of text with its upper edge at `top_16ths` of the height.
    fn paint_text(&mut self, text: &str, top_16ths: usize) {
        let left = self.width / 16;
        let dot = (self.width * 14 / 16 / (34 * (GLYPH_WIDTH + 1))).max(1);
        let top = self.height * top_16ths / 16;
        for (index, character) in text.chars().enumerate() {
            let x = left + index * (GLYPH_WIDTH + 1) * dot;
            if x + GLYPH_WIDTH * dot > self.width || top + GLYPH_HEIGHT * dot > self.height {
                return;
            }
            for (row, dots) in glyph(character).into_iter().enumerate() {
                for column in 0..GLYPH_WIDTH {
                    let is_set = dots >> (GLYPH_WIDTH - 1 - column) & 1 == 1;
                    let luma = if is_set { 235 } else { 16 };
                    for y in top + row * dot..top + (row + 1) * dot {
                        self.fill_row(y, x + column * dot, x + (column + 1) * dot, luma);
                    }
                }
            }
        }
    }

    fn fill_row(&mut self, y: usize, left: usize, right: usize, luma: u8) {
        let start = y * self.width;
        self.frame[start + left..start + right].fill(luma);
    }
}

/// Luma of the background at a place: a triangle wave between 60 and 187.
fn wave_luma(x: usize) -> u8 {
    let place = x % WAVE;
    let up = place.min(WAVE - 1 - place);
    u8::try_from(60 + up).unwrap_or(u8::MAX)
}

/// Goes from `low` to `high` and back, one step per frame.
fn triangle(frame: u32, low: u8, high: u8) -> u8 {
    let swing = u32::from(high - low);
    let place = frame % (2 * swing);
    let up = place.min(2 * swing - place);
    low + u8::try_from(up).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::WallTime;

    #[test]
    fn consecutive_pictures_differ_outside_the_code() {
        let mut painter = Painter::new(320, 240, "a");
        let lower = 240 * 15 / 16 * 320..240 * 320;
        let mut seen = Vec::new();
        for frame in 0..3 {
            let stamp = Stamp {
                frame,
                capture: WallTime::from_secs(0),
            };
            seen.push(painter.paint(stamp)[lower.clone()].to_vec());
        }
        assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
    }

    #[test]
    fn odd_sizes_are_rounded_up_to_even() {
        let mut painter = Painter::new(321, 239, "odd");
        let stamp = Stamp {
            frame: 0,
            capture: WallTime::from_secs(0),
        };
        assert_eq!(painter.paint(stamp).len(), 322 * 240 * 3 / 2);
    }
}
