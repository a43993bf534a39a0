//! Text and rectangles on pictures that are about to be encoded.

use crate::font::{COLUMNS, ROWS, glyph};
use ffmpeg_next::frame::Video;
use framewell_decode::{RenderBox, RenderFrame};

/// Colours in limited range, which full-range pictures show a little paler: luma, Cb, Cr.
const BLACK: [u8; 3] = [16, 128, 128];
const WHITE: [u8; 3] = [235, 128, 128];
const GREEN: [u8; 3] = [173, 42, 26];

/// A dot of a character on a picture of this many rows: readable at full height, and at a quarter of it.
const ROWS_PER_DOT: usize = 270;

/// Draws what a frame wants.
pub(crate) fn draw(picture: &mut Video, frame: &RenderFrame) {
    let mut paper = Paper::new(picture);
    for one in &frame.boxes {
        paper.outline(one);
    }
    if let Some(text) = &frame.text {
        let dot = paper.dot;
        paper.text(dot, dot, text);
    }
}

/// A picture of 4:2:0 samples to draw on. What lies outside is not drawn.
struct Paper<'a> {
    picture: &'a mut Video,
    width: usize,
    height: usize,
    /// Pixels of a dot, at least 2 and even: chroma has half the resolution.
    dot: usize,
}

impl<'a> Paper<'a> {
    fn new(picture: &'a mut Video) -> Self {
        let side = |side: u32| usize::try_from(side).unwrap_or(0);
        let (width, height) = (side(picture.width()), side(picture.height()));
        Self {
            picture,
            width,
            height,
            dot: 2 * (height / (2 * ROWS_PER_DOT)).max(1),
        }
    }

    /// Fills a rectangle; its sides are rounded to pairs of pixels.
    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: [u8; 3]) {
        let [left, top] = [x & !1, y & !1];
        let right = (x + width).next_multiple_of(2).min(self.width & !1);
        let bottom = (y + height).next_multiple_of(2).min(self.height & !1);
        if left >= right || top >= bottom {
            return;
        }
        for (index, value) in colour.into_iter().enumerate() {
            let part = if index == 0 { 1 } else { 2 };
            let stride = self.picture.stride(index);
            let rows = self.picture.data_mut(index).chunks_mut(stride);
            for row in rows.skip(top / part).take((bottom - top) / part) {
                row[left / part..right / part].fill(value);
            }
        }
    }

    /// White on black, as much as fits into the width.
    fn text(&mut self, x: usize, y: usize, text: &str) {
        let dot = self.dot;
        let advance = (COLUMNS + 1) * dot;
        let room = self.width.saturating_sub(x + dot) / advance;
        let count = text.chars().count().min(room);
        self.fill(x, y, count * advance + dot, (ROWS + 2) * dot, BLACK);
        for (place, character) in text.chars().take(count).enumerate() {
            let left = x + dot + place * advance;
            for (row, bits) in glyph(character).into_iter().enumerate() {
                for column in 0..COLUMNS {
                    if bits >> (COLUMNS - 1 - column) & 1 == 1 {
                        let top = y + (row + 1) * dot;
                        self.fill(left + column * dot, top, dot, dot, WHITE);
                    }
                }
            }
        }
    }

    /// The four sides, and the name above them, or below the upper side where there is no room.
    fn outline(&mut self, one: &RenderBox) {
        let [x, y, width, height] = one.place;
        let [left, right] = [x, x + width].map(|part| pixels(part, self.width));
        let [top, bottom] = [y, y + height].map(|part| pixels(part, self.height));
        let (across, down, line) = (right - left, bottom - top, self.dot);
        self.fill(left, top, across, line, GREEN);
        self.fill(left, bottom.saturating_sub(line), across, line, GREEN);
        self.fill(left, top, line, down, GREEN);
        self.fill(right.saturating_sub(line), top, line, down, GREEN);
        if !one.label.is_empty() {
            let above = top.checked_sub((ROWS + 2) * self.dot);
            self.text(left, above.unwrap_or(top + line), &one.label);
        }
    }
}

/// A part of a side; not a number counts as 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part between 0 and 1 of a side below 65,536"
)]
fn pixels(part: f32, side: usize) -> usize {
    let part = if part.is_nan() {
        0.0
    } else {
        part.clamp(0.0, 1.0)
    };
    (part * side as f32).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffmpeg_next::format::Pixel;

    fn grey(width: u32, height: u32) -> Video {
        let mut picture = Video::new(Pixel::YUV420P, width, height);
        for plane in 0..3 {
            picture.data_mut(plane).fill(128);
        }
        picture
    }

    fn luma(picture: &Video, x: usize, y: usize) -> u8 {
        picture.data(0)[y * picture.stride(0) + x]
    }

    fn frame(text: Option<&str>, boxes: Vec<RenderBox>) -> RenderFrame {
        RenderFrame {
            text: text.map(str::to_owned),
            boxes,
            ..RenderFrame::plain(0, 0)
        }
    }

    #[test]
    fn text_is_white_on_black_in_the_corner_and_nowhere_else() {
        let mut picture = grey(320, 240);
        draw(&mut picture, &frame(Some("1"), Vec::new()));
        // The stem of the 1 is its third column; dots have two pixels.
        assert_eq!(luma(&picture, 8, 8), WHITE[0]);
        assert_eq!(luma(&picture, 4, 8), BLACK[0]);
        assert_eq!(luma(&picture, 40, 8), 128);
        assert_eq!(luma(&picture, 8, 40), 128);
    }

    #[test]
    fn a_box_is_an_outline_with_its_name() {
        let mut picture = grey(320, 240);
        let one = RenderBox {
            place: [0.25, 0.5, 0.5, 0.25],
            label: "CAR".into(),
        };
        draw(&mut picture, &frame(None, vec![one]));
        for (x, y) in [(80, 150), (238, 150), (160, 120), (160, 178)] {
            assert_eq!(luma(&picture, x, y), GREEN[0], "{x} {y}");
        }
        assert_eq!(luma(&picture, 160, 150), 128, "inside");
        assert_eq!(luma(&picture, 81, 110), BLACK[0], "behind the name");
    }

    #[test]
    fn nothing_is_drawn_outside_whatever_is_asked() {
        let mut picture = grey(64, 48);
        let place = |place| RenderBox {
            place,
            label: "A LONG NAME OF SOMETHING THAT IS NOT THERE".into(),
        };
        let boxes = vec![
            place([0.9, 0.9, 5.0, 5.0]),
            place([-3.0, -1.0, 9.0, 9.0]),
            place([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0]),
        ];
        draw(
            &mut picture,
            &frame(Some("2024-05-01 10:20:30.123 UTC"), boxes),
        );
    }
}
