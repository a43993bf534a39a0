//! Where the bytes of a clip come from, and where they come to lie.

use super::audio::Sound;
use super::select::Selection;
use super::{ClipSource, Piece, PieceData};
use bytes::Bytes;
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
        sound: Option<&Sound<'_>>,
        sources: &[ClipSource],
    ) -> Self {
        let video = chunks(
            sources,
            selection
                .pictures
                .iter()
                .map(|p| (p.source, p.offset, p.size)),
        );
        let frames = sound.map_or(&[][..], |sound| &sound.samples);
        let audio = chunks(sources, frames.iter().map(|f| (f.source, f.offset, f.size)));
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
    pub(super) fn needs_64_bits(&self, sample_count: usize) -> bool {
        const FIXED: u64 = 1 << 20;
        const PER_SAMPLE: u64 = 32;
        let tables = FIXED + PER_SAMPLE * sample_count as u64;
        self.data_len + tables > u64::from(u32::MAX)
    }

    /// All pieces of the file that starts with `head`.
    pub(super) fn into_pieces(self, head: Bytes) -> Vec<Piece> {
        let data_at = head.len() as u64;
        let mut pieces = Vec::with_capacity(1 + self.extents.len());
        pieces.push(Piece {
            range: 0..data_at,
            data: PieceData::Memory(head),
        });
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

/// Chunks of samples given by source, offset in the fragment and size.
fn chunks(sources: &[ClipSource], samples: impl Iterator<Item = (usize, u32, u32)>) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for (source, offset, size) in samples {
        let start = sources[source].entry.offset + u64::from(offset);
        match chunks.last_mut() {
            Some(chunk) if chunk.source == source && chunk.start + chunk.len == start => {
                chunk.len += u64::from(size);
                chunk.sample_count += 1;
            }
            _ => chunks.push(Chunk {
                source,
                sample_count: 1,
                start,
                len: u64::from(size),
                from_data: 0,
            }),
        }
    }
    chunks
}
