//! What of a file is to be stored. Without I/O.

use super::ImportError;
use framewell_fmp4::MovieSample;
use framewell_footage::CONTINUITY_US;
use framewell_model::{TimeRange, Timescale, WallTime};
use std::ops::Range;

/// Most groups of a file: each is read and written alone. Five hours of key frames only, 25 per second.
const MAX_GROUPS: usize = 500_000;

/// A group of pictures of a file, from a key frame to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Its pictures among those of the file.
    pub(super) pictures: Range<usize>,
    /// Capture times.
    pub(super) range: TimeRange,
}

/// The groups of a file with their times.
#[derive(Debug)]
pub(super) struct Footage {
    groups: Vec<Group>,
    start: WallTime,
}

/// What is to be stored.
#[derive(Debug)]
pub(super) struct Plan {
    /// Groups that follow one on another; each list becomes a run.
    pub(super) stretches: Vec<Vec<Group>>,
    pub(super) stored: Vec<TimeRange>,
    pub(super) existing: Vec<TimeRange>,
    /// Capture time of media time 0.
    pub(super) start: WallTime,
}

/// Capture time of a video time.
pub(super) fn wall_of(start: WallTime, pts: i64) -> WallTime {
    start.plus_micros(Timescale::HZ_90K.to_micros(pts))
}

fn end_of(sample: &MovieSample) -> i64 {
    sample.pts.saturating_add(i64::from(sample.duration))
}

impl Footage {
    /// Of the pictures of a file.
    pub(super) fn of(video: &[MovieSample], start: WallTime) -> Result<Self, ImportError> {
        let keys: Vec<usize> = (0..video.len()).filter(|at| video[*at].is_key).collect();
        if keys.len() > MAX_GROUPS {
            let text = format!("more than {MAX_GROUPS} key frames");
            return Err(ImportError::Unusable(text));
        }
        let mut groups = Vec::with_capacity(keys.len());
        for (number, key) in keys.iter().enumerate() {
            let next = keys.get(number + 1).copied().unwrap_or(video.len());
            let pictures = &video[*key..next];
            let end = match video.get(next) {
                Some(next) => next.pts,
                None => pictures.iter().map(end_of).max().unwrap_or(0),
            };
            let range = TimeRange::new(wall_of(start, video[*key].pts), wall_of(start, end));
            groups.push(Group {
                pictures: *key..next,
                range: range.ok_or_else(|| {
                    ImportError::Unusable("the times of its key frames run back".to_owned())
                })?,
            });
        }
        if groups.is_empty() {
            return Err(ImportError::Unusable("it has no key frame".to_owned()));
        }
        Ok(Self { groups, start })
    }

    pub(super) fn range(&self) -> TimeRange {
        TimeRange {
            start: self.groups[0].range.start,
            end: self.groups[self.groups.len() - 1].range.end,
        }
    }

    /// Leaves out the groups that overlap existing footage (ascending by start) by more than rounding. Both
    /// lists may be long: they are walked side by side.
    pub(super) fn plan(self, existing: &[TimeRange]) -> Plan {
        let mut plan = Plan {
            stretches: Vec::new(),
            stored: Vec::new(),
            existing: Vec::new(),
            start: self.start,
        };
        let mut before: Option<bool> = None;
        let existing = not_contained(existing);
        let mut passed = 0;
        for group in self.groups {
            let is_before = |known: &TimeRange| known.end <= group.range.start;
            while existing.get(passed).is_some_and(is_before) {
                passed += 1;
            }
            let is_there = existing[passed..]
                .iter()
                .take_while(|known| known.start < group.range.end)
                .any(|known| overlap_us(known, &group.range) > slack(&group));
            let goes_on = before.replace(is_there) == Some(is_there);
            let list = if is_there {
                &mut plan.existing
            } else {
                &mut plan.stored
            };
            match list.last_mut().filter(|_| goes_on) {
                Some(last) => last.end = group.range.end,
                None => list.push(group.range),
            }
            if is_there {
                continue;
            }
            match plan.stretches.last_mut().filter(|_| goes_on) {
                Some(stretch) => stretch.push(group),
                None => plan.stretches.push(vec![group]),
            }
        }
        plan
    }
}

/// Leaves out ranges that lie within one before them, so that the ends ascend as the starts do.
fn not_contained(ranges: &[TimeRange]) -> Vec<TimeRange> {
    let mut kept: Vec<TimeRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        if kept.last().is_none_or(|last| range.end > last.end) {
            kept.push(*range);
        }
    }
    kept
}

/// A group of one picture may be shorter than what counts as rounding.
fn slack(group: &Group) -> i64 {
    CONTINUITY_US.min(group.range.micros() / 2)
}

fn overlap_us(a: &TimeRange, b: &TimeRange) -> i64 {
    a.end.min(b.end).micros_since(a.start.max(b.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start_ms: i64, end_ms: i64) -> TimeRange {
        let at = |ms: i64| WallTime::from_micros(ms * 1_000);
        TimeRange::new(at(start_ms), at(end_ms)).unwrap()
    }

    /// Groups of a second each.
    fn footage(count: usize) -> Footage {
        let group = |number: usize| {
            let at = i64::try_from(number).unwrap() * 1_000;
            Group {
                pictures: number * 25..(number + 1) * 25,
                range: range(at, at + 1_000),
            }
        };
        Footage {
            groups: (0..count).map(group).collect(),
            start: WallTime::from_micros(0),
        }
    }

    #[test]
    fn without_footage_everything_is_stored() {
        let plan = footage(5).plan(&[]);
        assert_eq!(plan.stored, [range(0, 5_000)]);
        assert_eq!((plan.existing.len(), plan.stretches.len()), (0, 1));
        assert_eq!(plan.stretches[0].len(), 5);
    }

    #[test]
    fn existing_footage_wins_and_rounding_is_no_overlap() {
        let plan = footage(10).plan(&[range(2_950, 4_060), range(8_500, 20_000)]);
        assert_eq!(plan.stored, [range(0, 3_000), range(4_000, 8_000)]);
        assert_eq!(plan.existing, [range(3_000, 4_000), range(8_000, 10_000)]);
        let lengths: Vec<usize> = plan.stretches.iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 4]);
        assert_eq!(plan.stretches[1][0].pictures, 100..125);
    }

    #[test]
    fn long_lists_are_walked_side_by_side() {
        // Each second has footage that is no more than rounding. Pair by pair it would be 2 x 10^10 looks.
        let known: Vec<TimeRange> = (0..100_000)
            .map(|s| range(s * 1_000, s * 1_000 + 40))
            .collect();
        let plan = footage(200_000).plan(&known);
        assert_eq!(plan.stored, [range(0, 200_000_000)]);
    }

    #[test]
    fn footage_within_other_footage_does_not_hide_it() {
        let plan = footage(10).plan(&[range(0, 5_000), range(1_000, 2_000), range(8_000, 9_000)]);
        assert_eq!(plan.existing, [range(0, 5_000), range(8_000, 9_000)]);
    }

    #[test]
    fn a_file_of_key_frames_only_has_a_limit() {
        let picture = |at: i64| MovieSample {
            offset: 0,
            size: 5,
            dts: at * 90,
            pts: at * 90,
            duration: 90,
            is_key: true,
        };
        let groups = |count: i64| {
            let video: Vec<MovieSample> = (0..count).map(picture).collect();
            Footage::of(&video, WallTime::from_micros(0)).map(|footage| footage.groups.len())
        };
        assert_eq!(groups(500_000).unwrap(), 500_000);
        let error = groups(500_001).unwrap_err().to_string();
        assert!(error.contains("key frames"), "{error}");
    }

    #[test]
    fn a_repetition_stores_nothing() {
        let plan = footage(4).plan(&[range(0, 4_000)]);
        assert_eq!(plan.existing, [range(0, 4_000)]);
        assert!(plan.stored.is_empty() && plan.stretches.is_empty());
    }
}
