//! A contact sheet: samples of a range as tiles of one picture, with a map from tile to time.

mod canvas;
mod label;
mod pcm;

use crate::batch::{
    BatchRequest, Budget, Cursor, EndReason, Entry, Pixels, Sample, SampleFailure, SampleGap, What,
};
use crate::{Error, Imaging, Output, PictureFormat, Rectangle};
use canvas::Canvas;
use framewell_decode::{Job, JobSample};
use framewell_model::{ChannelId, ClockSource, FrameId, WallTime};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Tiles of a sheet.
pub const MAX_TILES: u32 = 100;
/// Widths of a tile in pixels.
pub const TILE_WIDTH: RangeInclusive<u32> = 64..=1_280;
/// Longest side of a sheet in pixels.
pub const MAX_SIDE: u32 = 8_192;
/// Most pixels of a sheet.
pub const MAX_PIXELS: u64 = 16 << 20;

/// Pixels between two tiles.
const SPACE: usize = 4;

/// What a sheet is to show.
#[derive(Debug, Clone)]
pub struct SheetRequest {
    /// The channel.
    pub channel: ChannelId,
    /// Which pictures; a cursor gives the next sheet of a range with more pictures than one has.
    pub what: What,
    /// Most tiles, 1 to [`MAX_TILES`]; the rest is for the next sheet. `None`: all of the range, and an
    /// error that says their number if that is more than [`MAX_TILES`].
    pub tiles: Option<u32>,
    /// Tiles side by side; `None`: about as many as there are rows.
    pub columns: Option<u32>,
    /// Width of a tile in pixels, in [`TILE_WIDTH`]; its height follows from the video.
    pub tile_width: u32,
    /// Whether each tile shows its number and its time (UTC).
    pub has_labels: bool,
    /// Encoding.
    pub format: PictureFormat,
}

/// A finished sheet.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// The picture.
    pub picture: Pixels,
    /// In time order, from the upper left by rows.
    pub tiles: Vec<Tile>,
    /// Holes in the footage of the range.
    pub gaps: Vec<SampleGap>,
    /// Footage that was lost on the way.
    pub failures: Vec<SampleFailure>,
    /// The place behind the last tile, if the range has more pictures.
    pub next: Option<Cursor>,
}

/// Where a picture lies on a sheet, and which one it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// In pixels of the sheet, without the space between tiles.
    pub area: Rectangle,
    /// The instant of the rule.
    pub requested: WallTime,
    /// Capture time.
    pub captured: WallTime,
    /// Where that time comes from.
    pub clock: ClockSource,
    /// Which picture of the channel it is.
    pub frame: FrameId,
}

impl SheetRequest {
    fn check(&self) -> Result<(), String> {
        if let Some(tiles) = self.tiles.filter(|tiles| !(1..=MAX_TILES).contains(tiles)) {
            return Err(format!(
                "a sheet of {tiles} tiles is outside 1 to {MAX_TILES}"
            ));
        }
        if let What::Range { range, rule, .. } = &self.what {
            rule.check()?;
            let count = rule.instants(*range).unwrap_or_default();
            if self.tiles.is_none() && count > u64::from(MAX_TILES) {
                return Err(format!(
                    "the sheet would take {count} tiles, more than {MAX_TILES}; give most tiles to have them on several"
                ));
            }
        }
        if !TILE_WIDTH.contains(&self.tile_width) {
            let (from, to) = (TILE_WIDTH.start(), TILE_WIDTH.end());
            let width = self.tile_width;
            return Err(format!("a tile width of {width} is outside {from} to {to}"));
        }
        if self.columns == Some(0) || self.columns.is_some_and(|columns| columns > MAX_TILES) {
            return Err(format!("columns are outside 1 to {MAX_TILES}"));
        }
        if self.format.is_raw() {
            return Err("a sheet is jpg, png or webp".into());
        }
        Output::new(self.format).check()
    }
}

/// What came of the range.
#[derive(Debug, Default)]
struct Gathered {
    samples: Vec<(Sample, Pixels)>,
    gaps: Vec<SampleGap>,
    failures: Vec<SampleFailure>,
    next: Option<Cursor>,
}

impl Imaging {
    /// Makes a contact sheet. [`framewell_footage::Error::NoFootage`] if the range has no pictures.
    pub async fn sheet(&self, request: &SheetRequest) -> Result<Sheet, Error> {
        request.check().map_err(Error::Invalid)?;
        let gathered = self.gather(request).await?;
        let request = request.clone();
        let channel = request.channel;
        let output = Output::new(request.format);
        let put = tokio::task::spawn_blocking(move || {
            let sheet = arrange(&request, &gathered)?;
            let (width, height) = (sheet.canvas.width(), sheet.canvas.height());
            let video = pcm::parameters(width, height)
                .map_err(|error| Error::Invalid(error.to_string()))?;
            let sample = pcm::sample(&sheet.canvas);
            Ok::<_, Error>((video, sample, sheet.tiles, gathered))
        });
        let failed = |source| Error::Decode { channel, source };
        let (video, data, tiles, gathered) = put
            .await
            .map_err(|panic| failed(framewell_decode::Error::Died(panic.to_string())))??;
        let samples = vec![JobSample { pts: 0, data }];
        let job = Job::single(Arc::new(video), samples, 0, output);
        let pictures = self.pool.decode(job).await.map_err(failed)?;
        let none = || {
            failed(framewell_decode::Error::Bitstream(
                "no sheet came out".into(),
            ))
        };
        let picture = pictures.into_iter().next().ok_or_else(none)?;
        Ok(Sheet {
            picture: Pixels {
                data: picture.data,
                format: picture.format,
                width: picture.width,
                height: picture.height,
            },
            tiles,
            gaps: gathered.gaps,
            failures: gathered.failures,
            next: gathered.next,
        })
    }

    async fn gather(&self, request: &SheetRequest) -> Result<Gathered, Error> {
        let output = Output {
            width: Some(request.tile_width),
            ..Output::new(PictureFormat::Rgb24)
        };
        let mut batch = self
            .batch(BatchRequest {
                channel: request.channel,
                what: request.what.clone(),
                output: Some(output),
                budget: Budget {
                    images: Some(u64::from(request.tiles.unwrap_or(MAX_TILES))),
                    pixels: Some(MAX_PIXELS),
                    ..Budget::default()
                },
            })
            .await?;
        let range = batch.cursor().range();
        let mut gathered = Gathered::default();
        while let Some(entry) = batch.next().await {
            match entry {
                Entry::Picture(mut sample) => {
                    if let Some(pixels) = sample.pixels.take() {
                        gathered.samples.push((sample, pixels));
                    }
                }
                Entry::Gap(gap) => gathered.gaps.push(gap),
                Entry::Failed(failure) => gathered.failures.push(failure),
                Entry::End(end) if end.reason == EndReason::Unavailable => {
                    return Err(Error::Unavailable(request.channel));
                }
                Entry::End(end) => gathered.next = end.next,
            }
        }
        if gathered.samples.is_empty() {
            let channel = request.channel;
            let (before, after) = self.nearest(channel, range).await?;
            return Err(Error::Footage(framewell_footage::Error::NoFootage {
                channel,
                at: range.start,
                before,
                after,
            }));
        }
        Ok(gathered)
    }
}

/// Tiles on their canvas.
struct Arranged {
    canvas: Canvas,
    tiles: Vec<Tile>,
}

/// Rows of tiles, each in a cell as high as the highest one.
fn arrange(request: &SheetRequest, gathered: &Gathered) -> Result<Arranged, Error> {
    let samples = &gathered.samples;
    let heights = samples.iter().map(|(_, pixels)| pixels.height as usize);
    let widths = samples.iter().map(|(_, pixels)| pixels.width as usize);
    let (cell_width, cell_height) = (widths.max().unwrap_or(1), heights.max().unwrap_or(1));
    let columns = columns_of(request.columns, samples.len());
    let rows = samples.len().div_ceil(columns);
    let side = |count: usize, cell: usize| {
        let pixels = count * cell + (count - 1) * SPACE;
        pixels.next_multiple_of(2)
    };
    let (width, height) = (side(columns, cell_width), side(rows, cell_height));
    let longest = MAX_SIDE as usize;
    let area = width as u64 * height as u64;
    if width > longest || height > longest || area > MAX_PIXELS {
        return Err(Error::Invalid(format!(
            "a sheet of {width}x{height} pixels is larger than {MAX_SIDE} on a side or {MAX_PIXELS} in all"
        )));
    }
    let mut canvas = Canvas::new(width, height);
    let mut tiles = Vec::with_capacity(samples.len());
    for (number, (sample, pixels)) in samples.iter().enumerate() {
        let left = number % columns * (cell_width + SPACE);
        let top = number / columns * (cell_height + SPACE);
        canvas.put(left, top, pixels.width as usize, &pixels.data);
        if request.has_labels {
            let text = label::text(number + 1, sample.captured);
            label::draw(&mut canvas, (left, top), pixels.width as usize, &text);
        }
        let at = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        tiles.push(Tile {
            area: Rectangle {
                x: at(left),
                y: at(top),
                width: pixels.width,
                height: pixels.height,
            },
            requested: sample.requested,
            captured: sample.captured,
            clock: sample.clock,
            frame: sample.frame,
        });
    }
    Ok(Arranged { canvas, tiles })
}

fn columns_of(asked: Option<u32>, tiles: usize) -> usize {
    let square = (1..=tiles).find(|columns| columns * columns >= tiles);
    let columns = asked.map_or(square.unwrap_or(1), |asked| asked as usize);
    columns.clamp(1, tiles.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_about_square() {
        let columns: Vec<usize> = [1, 2, 4, 5, 9, 10, 100]
            .into_iter()
            .map(|tiles| columns_of(None, tiles))
            .collect();
        assert_eq!(columns, [1, 2, 2, 3, 3, 4, 10]);
        assert_eq!(columns_of(Some(4), 10), 4);
        assert_eq!(columns_of(Some(40), 10), 10);
    }
}
