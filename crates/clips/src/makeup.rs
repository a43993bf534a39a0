//! What a stored clip consists of: which segments it shows when, and what it lacks. Written down when the clip is
//! finished, since by the time that somebody asks the footage may be gone.

use crate::{Clips, Error};
use framewell_catalog::{ClipGap, StoredClip};
use framewell_model::{GapReason, RecordId, SegmentId, TimeRange, WallTime};
use framewell_playback::{Clip, ClipSegment, Holes};
use serde::{Deserialize, Serialize};

/// What a stored clip consists of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClipMakeup {
    /// What became of holes.
    pub holes: Holes,
    /// What of the range that was asked for is not there, ascending.
    pub gaps: Vec<Lack>,
    /// Which segments it shows when; none of a clip that was encoded anew.
    pub segments: Vec<ClipSegment>,
}

/// A gap, with the segments that are missing or damaged where it is because of those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// From when to when, and why.
    pub gap: ClipGap,
    /// Segments that could not be read.
    pub segments: Vec<SegmentId>,
}

/// As it is stored: times in microseconds, codings by number.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    keep: bool,
    gaps: Vec<(i64, i64, Option<GapReason>, Vec<SegmentId>)>,
    codecs: Vec<String>,
    segments: Vec<StoredSegment>,
}

/// Id, record, first and last moment, when it is shown, its bytes, and its codings.
type StoredSegment = (SegmentId, Option<i64>, i64, i64, i64, u64, u64, usize);

impl ClipMakeup {
    /// Of the virtual clip that is copied.
    pub(crate) fn of_copy(source: &Clip, holes: Holes) -> Self {
        Self {
            holes,
            gaps: lacks(source),
            segments: source.segments(),
        }
    }

    /// Of a clip that was encoded anew, which besides lacks what could not be read or decoded then.
    pub(crate) fn of_rendered(source: &Clip, lost: &[TimeRange]) -> Self {
        let mut gaps = lacks(source);
        gaps.extend(lost.iter().map(|range| Lack {
            gap: ClipGap {
                range: *range,
                reason: Some(GapReason::DataLoss),
            },
            segments: Vec::new(),
        }));
        gaps.sort_by_key(|lack| lack.gap.range.start);
        Self {
            holes: Holes::Collapse,
            gaps,
            segments: Vec::new(),
        }
    }

    pub(crate) fn gaps(&self) -> Vec<ClipGap> {
        self.gaps.iter().map(|lack| lack.gap).collect()
    }

    pub(crate) fn text(&self) -> String {
        let mut codecs: Vec<String> = Vec::new();
        let mut number_of = |text: &str| {
            let known = codecs.iter().position(|known| known == text);
            known.unwrap_or_else(|| {
                codecs.push(text.to_owned());
                codecs.len() - 1
            })
        };
        let segments = self.segments.iter().map(|segment| -> StoredSegment {
            (
                segment.id,
                segment.record.map(RecordId::get),
                segment.range.start.micros(),
                segment.range.end.micros(),
                segment.at_us,
                segment.bytes.start,
                segment.bytes.end,
                number_of(&segment.codecs),
            )
        });
        let segments = segments.collect();
        let gaps = self.gaps.iter().map(|Lack { gap, segments }| {
            let (start, end) = (gap.range.start.micros(), gap.range.end.micros());
            (start, end, gap.reason, segments.clone())
        });
        let stored = Stored {
            keep: self.holes == Holes::Keep,
            gaps: gaps.collect(),
            segments,
            codecs,
        };
        serde_json::to_string(&stored).expect("numbers and words can be written")
    }

    fn read(text: &str) -> Option<Self> {
        let stored: Stored = serde_json::from_str(text).ok()?;
        let gaps = stored
            .gaps
            .into_iter()
            .map(|(start, end, reason, segments)| {
                let gap = ClipGap {
                    range: range(start, end)?,
                    reason,
                };
                Some(Lack { gap, segments })
            });
        let segments = stored.segments.into_iter().map(|segment| {
            let (id, record, start, end, at_us, first, last, codecs) = segment;
            Some(ClipSegment {
                id,
                record: record.and_then(RecordId::new),
                range: range(start, end)?,
                at_us,
                bytes: first..last,
                codecs: stored.codecs.get(codecs)?.as_str().into(),
            })
        });
        Some(Self {
            holes: match stored.keep {
                true => Holes::Keep,
                false => Holes::Collapse,
            },
            gaps: gaps.collect::<Option<_>>()?,
            segments: segments.collect::<Option<_>>()?,
        })
    }
}

impl Clips {
    /// What a finished clip consists of; `None` for clips from before this was written down.
    pub async fn makeup(&self, clip: &StoredClip) -> Result<Option<ClipMakeup>, Error> {
        if clip.file.is_none() {
            return Err(Error::NotDone(clip.id));
        }
        let text = self.inner.catalog.clip_makeup(clip.id).await?;
        let read = |text: String| ClipMakeup::read(&text).ok_or(Error::Damaged(clip.id));
        text.map(read).transpose()
    }
}

fn range(start: i64, end: i64) -> Option<TimeRange> {
    TimeRange::new(WallTime::from_micros(start), WallTime::from_micros(end))
}

fn lacks(source: &Clip) -> Vec<Lack> {
    let lack = |gap: &framewell_footage::FootageGap| {
        let is_lost = gap.reason == Some(GapReason::DataLoss);
        let lost = source.lost.iter();
        let lost = lost.filter(|place| is_lost && place.range.overlaps(&gap.range));
        Lack {
            gap: ClipGap {
                range: gap.range,
                reason: gap.reason,
            },
            segments: lost.map(|place| place.segment).collect(),
        }
    };
    source.gaps.iter().map(lack).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use uuid::Uuid;

    #[test]
    fn what_is_written_down_is_read_again() {
        let id = |n| SegmentId::from_uuid(Uuid::from_u128(n));
        let segment = |n: u128, codecs: &str| ClipSegment {
            id: id(n),
            record: RecordId::new(i64::try_from(n).unwrap()),
            range: range(1_000, 2_000).unwrap(),
            at_us: 40_000,
            bytes: 7..900,
            codecs: Arc::from(codecs),
        };
        let makeup = ClipMakeup {
            holes: Holes::Keep,
            gaps: vec![Lack {
                gap: ClipGap {
                    range: range(5, 6).unwrap(),
                    reason: Some(GapReason::DataLoss),
                },
                segments: vec![id(9)],
            }],
            segments: vec![segment(1, "a"), segment(2, "b"), segment(0, "a")],
        };
        assert_eq!(ClipMakeup::read(&makeup.text()), Some(makeup.clone()));
        let none = ClipMakeup::default();
        assert_eq!(ClipMakeup::read(&none.text()), Some(none));
        // Nobody wrote this: a coding without a name, a range that ends before it starts.
        for text in [
            makeup.text().replace("[\"a\",\"b\"]", "[\"a\"]"),
            makeup.text().replace("[5,6,", "[6,5,"),
            "{}".to_owned(),
        ] {
            assert_eq!(ClipMakeup::read(&text), None, "{text}");
        }
    }
}
