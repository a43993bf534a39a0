//! Number and time of a tile, burned into its upper left corner.

use super::canvas::Canvas;
use framewell_model::WallTime;

/// Columns and rows of a character, without the space around it.
const WIDTH: usize = 5;
const HEIGHT: usize = 7;
/// Pixels of a dot of a character; a tile of 320 pixels has room for 26 characters.
const DOT: usize = 2;
const WHITE: [u8; 3] = [255; 3];
const BLACK: [u8; 3] = [0; 3];

/// Number, then the time of day in UTC to the millisecond.
pub(crate) fn text(number: usize, captured: WallTime) -> String {
    let time = captured.to_rfc3339();
    let clock = time.split_once('T').map_or("", |(_, clock)| clock);
    let clock: String = clock.chars().take("hh:mm:ss.mmm".len()).collect();
    format!("{number} {clock}")
}

/// White on black, as much as fits into the width of the tile.
pub(crate) fn draw(canvas: &mut Canvas, (left, top): (usize, usize), width: usize, text: &str) {
    let advance = (WIDTH + 1) * DOT;
    let count = text
        .chars()
        .count()
        .min(width.saturating_sub(DOT) / advance);
    let box_width = count * advance + DOT;
    canvas.fill(left, top, box_width, (HEIGHT + 2) * DOT, BLACK);
    for (place, character) in text.chars().take(count).enumerate() {
        let x = left + DOT + place * advance;
        for (row, bits) in glyph(character).into_iter().enumerate() {
            for column in 0..WIDTH {
                if bits >> (WIDTH - 1 - column) & 1 == 1 {
                    let y = top + (row + 1) * DOT;
                    canvas.fill(x + column * DOT, y, DOT, DOT, WHITE);
                }
            }
        }
    }
}

/// Rows from the top, the leftmost column in bit 4.
const fn glyph(character: char) -> [u8; HEIGHT] {
    match character {
        '0' => [
            0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110,
        ],
        '1' => [
            0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110,
        ],
        '2' => [
            0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111,
        ],
        '3' => [
            0b11110, 0b00001, 0b00001, 0b01110, 0b00001, 0b00001, 0b11110,
        ],
        '4' => [
            0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010,
        ],
        '5' => [
            0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110,
        ],
        '6' => [
            0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110,
        ],
        '7' => [
            0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000,
        ],
        '8' => [
            0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110,
        ],
        '9' => [
            0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100,
        ],
        ':' => [0, 0b00100, 0b00100, 0, 0b00100, 0b00100, 0],
        '.' => [0, 0, 0, 0, 0, 0b00110, 0b00110],
        _ => [0; HEIGHT],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_number_and_time_of_day() {
        let at: WallTime = "2024-05-01T10:20:30.123456Z".parse().unwrap();
        assert_eq!(text(7, at), "7 10:20:30.123");
    }

    #[test]
    fn every_character_of_a_label_has_a_shape_of_its_own() {
        let shapes: Vec<_> = "0123456789:.".chars().map(glyph).collect();
        for (index, shape) in shapes.iter().enumerate() {
            assert!(!shapes[..index].contains(shape) && *shape != [0; HEIGHT]);
        }
    }
}
