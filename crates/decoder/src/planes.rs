//! Pictures of 8-bit 4:2:0 or grey samples: borrowed ([`Planes`]) and our own ([`Canvas`]).

use framewell_decode::Rectangle;

/// A plane of a picture with its stride.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plane<'a> {
    /// From the first byte of the first row to the last byte of the last one.
    pub(crate) bytes: &'a [u8],
    /// Bytes from row to row, at least the width.
    pub(crate) stride: usize,
    /// Bytes of a row.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
}

impl<'a> Plane<'a> {
    /// The rows, top to bottom.
    pub(crate) fn rows(self) -> impl Iterator<Item = &'a [u8]> {
        self.bytes
            .chunks(self.stride)
            .take(self.height)
            .map(move |row| &row[..self.width])
    }

    pub(crate) fn row(self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.stride..][..self.width]
    }

    fn crop(self, x: usize, y: usize, width: usize, height: usize) -> Self {
        Self {
            bytes: &self.bytes[y * self.stride + x..][..(height - 1) * self.stride + width],
            stride: self.stride,
            width,
            height,
        }
    }
}

/// The planes of a picture. Chroma planes have half the sides of luma, rounded up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planes<'a> {
    pub(crate) luma: Plane<'a>,
    /// Cb and Cr; without them the picture is grey.
    pub(crate) chroma: Option<[Plane<'a>; 2]>,
}

impl<'a> Planes<'a> {
    pub(crate) fn width(&self) -> u32 {
        side(self.luma.width)
    }

    pub(crate) fn height(&self) -> u32 {
        side(self.luma.height)
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width(), self.height())
    }

    /// The part inside `area`, which lies inside the picture and starts at a chroma sample.
    pub(crate) fn crop(&self, area: Rectangle) -> Self {
        let [x, y, width, height] = pixels(area);
        let chroma =
            |plane: Plane<'a>| plane.crop(x / 2, y / 2, width.div_ceil(2), height.div_ceil(2));
        Self {
            luma: self.luma.crop(x, y, width, height),
            chroma: self.chroma.map(|planes| planes.map(chroma)),
        }
    }
}

fn side(samples: usize) -> u32 {
    u32::try_from(samples).expect("sides of pictures are below 65,536")
}

/// Left, top, width, height for indexing.
fn pixels(area: Rectangle) -> [usize; 4] {
    [area.x, area.y, area.width, area.height].map(|value| value as usize)
}

/// Whether luma at the corner of `area` has a chroma sample of its own.
pub(crate) const fn starts_at_chroma(area: Rectangle) -> bool {
    area.x.is_multiple_of(2) && area.y.is_multiple_of(2)
}

/// A picture in our own memory, refilled from picture to picture. Rows have room for whole vectors of
/// 64 bytes, as swscale writes them.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    pub(crate) luma: Vec<u8>,
    pub(crate) cb: Vec<u8>,
    pub(crate) cr: Vec<u8>,
    /// Bytes of a luma row; chroma rows have half.
    pub(crate) stride: usize,
    width: usize,
    height: usize,
    is_grey: bool,
}

/// Bytes behind the last row that swscale may write.
const SLACK: usize = 64;

impl Canvas {
    /// Takes on a size. What is in it has no meaning afterwards, except if nothing changes.
    pub(crate) fn shape(&mut self, width: usize, height: usize, is_grey: bool) {
        self.stride = width.next_multiple_of(128);
        self.width = width;
        self.height = height;
        self.is_grey = is_grey;
        let rows = height.next_multiple_of(2);
        self.luma.resize(self.stride * rows + SLACK, 0);
        let chroma = if is_grey {
            0
        } else {
            self.stride / 2 * (rows / 2) + SLACK
        };
        self.cb.resize(chroma, 0);
        self.cr.resize(chroma, 0);
    }

    /// Bytes that it takes.
    pub(crate) const fn len(&self) -> usize {
        self.luma.len() + self.cb.len() + self.cr.len()
    }

    pub(crate) const fn is_grey(&self) -> bool {
        self.is_grey
    }

    pub(crate) fn planes(&self) -> Planes<'_> {
        let plane = |bytes, stride, width, height| Plane {
            bytes,
            stride,
            width,
            height,
        };
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let chroma = |bytes| plane(bytes, self.stride / 2, width, height);
        Planes {
            luma: plane(&self.luma, self.stride, self.width, self.height),
            chroma: (!self.is_grey).then(|| [chroma(&self.cb), chroma(&self.cr)]),
        }
    }

    /// Each plane with its stride, for writing.
    pub(crate) fn planes_mut(&mut self) -> [(&mut [u8], usize); 3] {
        let chroma = self.stride / 2;
        [
            (&mut self.luma, self.stride),
            (&mut self.cb, chroma),
            (&mut self.cr, chroma),
        ]
    }

    /// Becomes the part of `source` inside `area`, which may start between chroma samples: chroma is
    /// then the mean of the samples on both sides.
    pub(crate) fn cut(&mut self, source: Planes<'_>, area: Rectangle) {
        let [x, y, width, height] = pixels(area);
        self.shape(width, height, source.chroma.is_none());
        let stride = self.stride;
        copy_plane(
            source.luma.crop(x, y, width, height),
            &mut self.luma,
            stride,
        );
        let Some(chroma) = source.chroma else {
            return;
        };
        for (plane, to) in chroma.into_iter().zip([&mut self.cb, &mut self.cr]) {
            let rows = to.chunks_mut(stride / 2).take(height.div_ceil(2));
            for (index, row) in rows.enumerate() {
                let top = (y + 2 * index) / 2;
                let bottom = (y + 2 * index).div_ceil(2).min(plane.height - 1);
                for (column, to) in row[..width.div_ceil(2)].iter_mut().enumerate() {
                    let left = (x + 2 * column) / 2;
                    let right = (x + 2 * column).div_ceil(2).min(plane.width - 1);
                    let sum = [top, bottom]
                        .into_iter()
                        .flat_map(|row| [left, right].map(|column| plane.row(row)[column]))
                        .fold(2, |sum, sample| sum + u16::from(sample));
                    *to = u8::try_from(sum / 4).expect("a mean of bytes is a byte");
                }
            }
        }
    }

    /// Becomes `source` in the middle of a black picture; `black` is the luma of black.
    pub(crate) fn frame(&mut self, source: Planes<'_>, size: (u32, u32), black: u8) {
        let [_, _, width, height] = pixels(Rectangle {
            x: 0,
            y: 0,
            width: size.0,
            height: size.1,
        });
        self.shape(width, height, source.chroma.is_none());
        self.luma.fill(black);
        self.cb.fill(128);
        self.cr.fill(128);
        // At a chroma sample: the picture itself is not touched.
        let x = ((width - source.luma.width) / 2) & !1;
        let y = ((height - source.luma.height) / 2) & !1;
        let stride = self.stride;
        copy_plane(source.luma, &mut self.luma[y * stride + x..], stride);
        for (plane, to) in source
            .chroma
            .into_iter()
            .flatten()
            .zip([&mut self.cb, &mut self.cr])
        {
            copy_plane(plane, &mut to[y / 2 * (stride / 2) + x / 2..], stride / 2);
        }
    }

    /// Repeats the last column and row where a side is odd, as 4:2:0 JPEG needs.
    pub(crate) fn pad_to_even(&mut self) {
        if self.width % 2 == 1 {
            for row in self.luma.chunks_mut(self.stride).take(self.height) {
                row[self.width] = row[self.width - 1];
            }
        }
        if self.height % 2 == 1 {
            let last = (self.height - 1) * self.stride;
            self.luma
                .copy_within(last..last + self.stride, last + self.stride);
        }
    }
}

fn copy_plane(from: Plane<'_>, to: &mut [u8], stride: usize) {
    for (from, to) in from.rows().zip(to.chunks_mut(stride)) {
        to[..from.len()].copy_from_slice(from);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A picture whose samples tell where they come from.
    pub(crate) fn numbered(width: usize, height: usize) -> Canvas {
        let mut canvas = Canvas::default();
        canvas.shape(width, height, false);
        let number = |x: usize, y: usize| u8::try_from(y * 16 + x).unwrap();
        let stride = canvas.stride;
        for y in 0..height {
            for x in 0..width {
                canvas.luma[y * stride + x] = number(x, y);
                canvas.cb[y / 2 * (stride / 2) + x / 2] = number(x / 2, y / 2);
                canvas.cr[y / 2 * (stride / 2) + x / 2] = 255 - number(x / 2, y / 2);
            }
        }
        canvas
    }

    pub(crate) fn samples(plane: Plane<'_>) -> Vec<Vec<u8>> {
        plane.rows().map(<[u8]>::to_vec).collect()
    }

    fn area(x: u32, y: u32, width: u32, height: u32) -> Rectangle {
        Rectangle {
            x,
            y,
            width,
            height,
        }
    }

    #[test]
    fn a_crop_at_a_chroma_sample_is_a_view() {
        let canvas = numbered(8, 6);
        let view = canvas.planes().crop(area(2, 4, 3, 2));
        assert_eq!(samples(view.luma), [[66, 67, 68], [82, 83, 84]]);
        assert_eq!(samples(view.chroma.unwrap()[0]), [[33, 34]]);
        let mut copy = Canvas::default();
        copy.cut(canvas.planes(), area(2, 4, 3, 2));
        assert_eq!(samples(copy.planes().luma), samples(view.luma));
        let cb = copy.planes().chroma.unwrap()[0];
        assert_eq!(samples(cb), [[33, 34]]);
    }

    #[test]
    fn a_crop_between_chroma_samples_takes_their_mean() {
        let mut copy = Canvas::default();
        copy.cut(numbered(8, 6).planes(), area(1, 1, 4, 2));
        assert_eq!(
            samples(copy.planes().luma),
            [[17, 18, 19, 20], [33, 34, 35, 36]]
        );
        // Samples (0, 1, 16, 17) and (1, 2, 17, 18), halves up.
        assert_eq!(samples(copy.planes().chroma.unwrap()[0]), [[9, 10]]);
    }

    #[test]
    fn a_framed_picture_has_black_around_it() {
        let mut framed = Canvas::default();
        framed.frame(numbered(2, 2).planes(), (6, 2), 16);
        assert_eq!(samples(framed.planes().luma)[0], [16, 16, 0, 1, 16, 16]);
        assert_eq!(
            samples(framed.planes().chroma.unwrap()[1]),
            [[128, 255, 128]]
        );
    }
}
