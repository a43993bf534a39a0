//! The sizes of a track's samples, which are asked for when they are sent: they are as many as the samples, and
//! nothing before them in the file depends on them.

use super::ClipPlan;
use bytes::Bytes;
use framewell_media::TrackKind;
use std::ops::Range;

/// Bytes of a size in `stsz` (ISO/IEC 14496-12 section 8.7.3).
pub(super) const SIZE_BYTES: u64 = 4;

/// Sizes of samples one behind the other.
#[derive(Debug, Clone)]
struct SizeRun {
    /// Number of the first sample in the track, from 0.
    first: u64,
    sizes: Sizes,
}

#[derive(Debug, Clone)]
enum Sizes {
    Listed(Vec<u32>),
    /// Of all samples of the track in some fragments of a segment.
    Stored {
        segment: usize,
        fragments: Range<usize>,
    },
}

/// All sizes of a track.
#[derive(Debug, Clone, Default)]
pub(super) struct SizeTable {
    /// Ascending.
    runs: Vec<SizeRun>,
    count: u64,
}

impl SizeTable {
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn add(&mut self, size: u32) {
        match self.runs.last_mut() {
            Some(SizeRun {
                sizes: Sizes::Listed(sizes),
                ..
            }) => sizes.push(size),
            _ => self.runs.push(SizeRun {
                first: self.count,
                sizes: Sizes::Listed(vec![size]),
            }),
        }
        self.count += 1;
    }

    /// All samples of a fragment.
    pub(super) fn add_stored(&mut self, segment: usize, fragment: usize, count: u32) {
        match self.runs.last_mut() {
            Some(SizeRun {
                sizes:
                    Sizes::Stored {
                        segment: last,
                        fragments,
                    },
                ..
            }) if *last == segment && fragments.end == fragment => fragments.end += 1,
            _ => self.runs.push(SizeRun {
                first: self.count,
                sizes: Sizes::Stored {
                    segment,
                    fragments: fragment..fragment + 1,
                },
            }),
        }
        self.count += u64::from(count);
    }

    /// The runs with samples of a range.
    fn runs_in(&self, samples: &Range<u64>) -> &[SizeRun] {
        let first = self.runs.partition_point(|run| run.first <= samples.start);
        let end = self.runs.partition_point(|run| run.first < samples.end);
        &self.runs[first.saturating_sub(1).min(end)..end]
    }
}

/// Samples with bytes in a range of the table.
fn samples_in(bytes: &Range<u64>) -> Range<u64> {
    bytes.start / SIZE_BYTES..bytes.end.div_ceil(SIZE_BYTES)
}

impl ClipPlan {
    fn size_table(&self, track: TrackKind) -> &SizeTable {
        match track {
            TrackKind::Video => &self.video_sizes,
            TrackKind::Audio => &self.audio_sizes,
        }
    }

    /// The segments whose sizes [`ClipPlan::sizes`] asks for, in order.
    pub fn segments_of_sizes(
        &self,
        track: TrackKind,
        bytes: &Range<u64>,
    ) -> impl Iterator<Item = usize> {
        let runs = self.size_table(track).runs_in(&samples_in(bytes));
        runs.iter().filter_map(|run| match &run.sizes {
            Sizes::Stored { segment, .. } => Some(*segment),
            Sizes::Listed(_) => None,
        })
    }

    /// Some bytes of a track's table of sizes, see [`super::PieceData::Sizes`]. `stored` gives the sizes of all
    /// samples of the track in some fragments of a segment; `None` if it does not know them.
    pub fn sizes(
        &self,
        track: TrackKind,
        bytes: &Range<u64>,
        mut stored: impl FnMut(usize, Range<usize>) -> Option<Vec<u32>>,
    ) -> Option<Bytes> {
        let samples = samples_in(bytes);
        let mut out = Vec::new();
        let mut next = samples.start;
        for run in self.size_table(track).runs_in(&samples) {
            let given;
            let sizes = match &run.sizes {
                Sizes::Listed(sizes) => sizes,
                Sizes::Stored { segment, fragments } => {
                    given = stored(*segment, fragments.clone())?;
                    &given
                }
            };
            let from = usize::try_from(next.checked_sub(run.first)?).ok()?;
            let count = usize::try_from(samples.end - next).ok()?;
            for size in sizes.iter().skip(from).take(count) {
                out.extend_from_slice(&size.to_be_bytes());
                next += 1;
            }
        }
        let skip = usize::try_from(bytes.start - samples.start * SIZE_BYTES).ok()?;
        let end = skip + usize::try_from(bytes.end - bytes.start).ok()?;
        (end <= out.len()).then(|| Bytes::from(out).slice(skip..end))
    }
}
