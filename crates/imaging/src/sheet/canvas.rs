//! Pixels that tiles are put on.

/// The background: black.
const BLACK: [u8; 3] = [0; 3];
/// Samples of a macroblock of 16x16: luma, then Cb and Cr at half the size.
const BLOCK_SAMPLES: usize = 384;

/// Red, green, blue, full range.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    /// All black; both sides even.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            rgb: BLACK.repeat(width * height),
        }
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    pub(crate) const fn height(&self) -> usize {
        self.height
    }

    /// Copies a picture of packed RGB rows; what sticks out is cut off.
    pub(crate) fn put(&mut self, left: usize, top: usize, width: usize, rgb: &[u8]) {
        let shown = width.min(self.width.saturating_sub(left)) * 3;
        if shown == 0 {
            return;
        }
        let rows = rgb.chunks_exact(width * 3);
        for (row, source) in rows.take(self.height.saturating_sub(top)).enumerate() {
            let start = ((top + row) * self.width + left) * 3;
            self.rgb[start..start + shown].copy_from_slice(&source[..shown]);
        }
    }

    /// Fills a rectangle; what sticks out is cut off.
    pub(crate) fn fill(
        &mut self,
        left: usize,
        top: usize,
        width: usize,
        height: usize,
        colour: [u8; 3],
    ) {
        let row = colour.repeat(width);
        self.put(left, top, width, &row.repeat(height));
    }

    /// The samples of the 16x16 pixels from there on, in the colours of JFIF (BT.601 matrix, full
    /// range); beyond the edge the last pixels go on.
    pub(crate) fn block(&self, left: usize, top: usize, out: &mut [u8; BLOCK_SAMPLES]) {
        for y in (0..16).step_by(2) {
            for x in (0..16).step_by(2) {
                let mut sum = [0; 3];
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let pixel = self.pixel(left + x + dx, top + y + dy);
                    out[(y + dy) * 16 + x + dx] = luma(pixel);
                    for (sum, value) in sum.iter_mut().zip(pixel) {
                        *sum += i32::from(value);
                    }
                }
                let (cb, cr) = chroma(sum);
                let place = y / 2 * 8 + x / 2;
                out[256 + place] = cb;
                out[320 + place] = cr;
            }
        }
    }

    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let (x, y) = (x.min(self.width - 1), y.min(self.height - 1));
        let start = (y * self.width + x) * 3;
        [self.rgb[start], self.rgb[start + 1], self.rgb[start + 2]]
    }
}

/// In 16 bits of fraction (ITU-T T.871 section 7).
fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b);
    u8::try_from((sum + 0x8000) >> 16).unwrap_or(u8::MAX)
}

/// Of the sum of four pixels.
fn chroma([r, g, b]: [i32; 3]) -> (u8, u8) {
    let scale = |sum: i32| {
        let value = ((sum + 0x2_0000) >> 18) + 128;
        u8::try_from(value.clamp(0, 255)).unwrap_or(u8::MAX)
    };
    (
        scale(-11_058 * r - 21_710 * g + 32_768 * b),
        scale(32_768 * r - 27_439 * g - 5_329 * b),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(colour: [u8; 3]) -> (u8, u8, u8) {
        let mut canvas = Canvas::new(16, 16);
        canvas.fill(0, 0, 16, 16, colour);
        let mut out = [0; BLOCK_SAMPLES];
        canvas.block(0, 0, &mut out);
        (out[0], out[256], out[320])
    }

    #[test]
    fn colours_are_those_of_jfif() {
        assert_eq!(samples([0, 0, 0]), (0, 128, 128));
        assert_eq!(samples([255, 255, 255]), (255, 128, 128));
        assert_eq!(samples([255, 0, 0]), (76, 85, 255));
        assert_eq!(samples([0, 255, 0]), (150, 44, 21));
        assert_eq!(samples([0, 0, 255]), (29, 255, 107));
    }

    #[test]
    fn tiles_lie_where_they_are_put_and_are_cut_at_the_edge() {
        let mut canvas = Canvas::new(4, 4);
        canvas.put(2, 2, 3, &[9; 27]);
        let lit: Vec<(usize, usize)> = (0..16)
            .map(|n| (n % 4, n / 4))
            .filter(|(x, y)| canvas.pixel(*x, *y) == [9; 3])
            .collect();
        assert_eq!(lit, [(2, 2), (3, 2), (2, 3), (3, 3)]);
        canvas.put(9, 9, 3, &[9; 27]);
    }
}
