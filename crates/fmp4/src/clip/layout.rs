//! Where the bytes of a clip come from, and where they come to lie.

use super::audio::Sound;
use super::samples::{ClipSamples, picked};
use super::select::Selection;
use super::{ClipSource, Piece, PieceData};
use crate::write::Written;
use framewell_media::TrackKind;
use std::ops::Range;

/// Bytes of a segment between two chunks that are taken along, so that a clip is one long read per
/// segment: the headers of fragments (half a kilobyte) and short tracks. No sample refers to them.
const TAKEN_ALONG: u64 = 16 << 10;

/// Samples of one track that lie side by side in a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    /// Index of its [`ClipSource`].
    pub(super) source: usize,
    pub(super) sample_count: u32,
    /// First byte in the segment.
    start: u64,
    len: u64,
    /// First byte, counted from the first byte of the clip's data.
    pub(super) from_data: u64,
}

/// Bytes of a segment that a clip takes over.
#[derive(Debug)]
struct Extent {
    segment: usize,
    range: Range<u64>,
    from_data: u64,
}

/// The data of a clip.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) video: Vec<Chunk>,
    pub(super) audio: Vec<Chunk>,
    extents: Vec<Extent>,
    pub(super) data_len: u64,
}

impl Layout {
    pub(super) fn new(
        selection: &Selection,
        sound: Option<&Sound>,
        sources: &[ClipSource],
    ) -> Self {
        let (mut video, mut audio) = (Vec::new(), Vec::new());
        for pick in &selection.picks {
            let picked = (TrackKind::Video, pick.only.as_deref());
            add_chunks(&mut video, sources, pick.source, picked);
        }
        for pick in sound.iter().flat_map(|sound| &sound.picks) {
            let only = pick.indices();
            let picked = (TrackKind::Audio, only.as_deref());
            add_chunks(&mut audio, sources, pick.source, picked);
        }
        let mut layout = Self {
            video,
            audio,
            extents: Vec::new(),
            data_len: 0,
        };
        layout.place(sources);
        layout
    }

    /// Gives every chunk its place, in the order of the sources, video first.
    fn place(&mut self, sources: &[ClipSource]) {
        let (mut video, mut audio) = (0, 0);
        loop {
            let next_video = self.video.get(video).map(|chunk| chunk.source);
            let next_audio = self.audio.get(audio).map(|chunk| chunk.source);
            let mut chunk = match (next_video, next_audio) {
                (Some(v), a) if a.is_none_or(|a| v <= a) => self.video[video],
                (_, Some(_)) => self.audio[audio],
                _ => break,
            };
            chunk.from_data = self.take(sources[chunk.source].segment, &chunk);
            if next_video.is_some_and(|v| next_audio.is_none_or(|a| v <= a)) {
                self.video[video] = chunk;
                video += 1;
            } else {
                self.audio[audio] = chunk;
                audio += 1;
            }
        }
    }

    /// Takes over the bytes of a chunk; where they come to lie.
    fn take(&mut self, segment: usize, chunk: &Chunk) -> u64 {
        let end = chunk.start + chunk.len;
        match self.extents.last_mut() {
            Some(extent)
                if extent.segment == segment
                    && (extent.range.end..=extent.range.end + TAKEN_ALONG)
                        .contains(&chunk.start) =>
            {
                self.data_len += end - extent.range.end;
                extent.range.end = end;
                extent.from_data + (chunk.start - extent.range.start)
            }
            _ => {
                let from_data = self.data_len;
                self.extents.push(Extent {
                    segment,
                    range: chunk.start..end,
                    from_data,
                });
                self.data_len += chunk.len;
                from_data
            }
        }
    }

    /// Whether offsets could need more than 32 bits, with room for any tables.
    pub(super) fn needs_64_bits(&self, sample_count: u64) -> bool {
        const FIXED: u64 = 1 << 20;
        const PER_SAMPLE: u64 = 32;
        let tables = FIXED + PER_SAMPLE * sample_count;
        self.data_len + tables > u64::from(u32::MAX)
    }

    /// All pieces of the file that starts with `head`, whose holes are tables of sizes, video first.
    pub(super) fn into_pieces(self, head: Vec<Written>) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(head.len() + self.extents.len());
        let mut tracks = [TrackKind::Video, TrackKind::Audio].into_iter();
        let mut data_at = 0;
        for part in head {
            let (len, data) = match part {
                Written::Bytes(bytes) => (bytes.len() as u64, PieceData::Memory(bytes)),
                Written::Hole(len) => {
                    let track = tracks.next().unwrap_or(TrackKind::Audio);
                    (
                        len,
                        PieceData::Sizes {
                            track,
                            range: 0..len,
                        },
                    )
                }
            };
            pieces.push(Piece {
                range: data_at..data_at + len,
                data,
            });
            data_at += len;
        }
        pieces.extend(self.extents.into_iter().map(|extent| {
            let start = data_at + extent.from_data;
            Piece {
                range: start..start + (extent.range.end - extent.range.start),
                data: PieceData::Segment {
                    segment: extent.segment,
                    range: extent.range,
                },
            }
        }));
        pieces
    }
}

/// Adds the chunks of a source: all samples of a track, or those with the given indices.
fn add_chunks(
    chunks: &mut Vec<Chunk>,
    sources: &[ClipSource],
    source: usize,
    (track, only): (TrackKind, Option<&[u32]>),
) {
    let ClipSource { entry, samples, .. } = &sources[source];
    let samples = match (samples, only) {
        (ClipSamples::Runs { runs, .. }, _) => {
            let (offset, len, sample_count) = runs.place(track);
            chunks.push(Chunk {
                source,
                sample_count,
                start: entry.offset + u64::from(entry.header_len) + u64::from(offset),
                len: len.into(),
                from_data: 0,
            });
            return;
        }
        (ClipSamples::Listed(samples), only) => picked(samples, track, only),
    };
    for sample in samples {
        let (start, len) = (
            entry.offset + u64::from(sample.offset),
            u64::from(sample.size),
        );
        match chunks.last_mut() {
            Some(chunk) if chunk.source == source && chunk.start + chunk.len == start => {
                chunk.len += len;
                chunk.sample_count += 1;
            }
            _ => chunks.push(Chunk {
                source,
                sample_count: 1,
                start,
                len,
                from_data: 0,
            }),
        }
    }
}
