//! Which pictures of a GOP are meant. Pure functions.

use super::rule::Sampling;
use crate::Match;
use framewell_footage::{CompressedGop, TICK_US};
use framewell_model::{TimeRange, WallTime};

/// A picture that a GOP shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Place in decoding order.
    pub(crate) index: usize,
    pub(crate) pts: i64,
    pub(crate) wall: WallTime,
    pub(crate) is_key: bool,
}

/// What one GOP has to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Aim {
    pub(crate) sampling: Sampling,
    pub(crate) matching: Match,
    /// Instants of a grid, or capture times, that are this GOP's to answer.
    pub(crate) window: TimeRange,
}

/// Which picture an instant means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Picked {
    /// Place in decoding order.
    Own(usize),
    /// The key frame of the next GOP.
    Next,
}

/// A picture that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The first instant that means it.
    pub(crate) requested: WallTime,
    pub(crate) picked: Picked,
}

/// The pictures that are shown from the GOP's key frame up to the next one, in time order. Its own
/// leading pictures are shown before, with the GOP before; the next one's leading pictures belong here
/// (open GOP, H.265 section 3.81).
pub(crate) fn shown(gop: &CompressedGop) -> Vec<Shown> {
    let own = gop.own.min(gop.samples.len());
    let key_pts = |from: usize| gop.samples.get(from).map(|sample| sample.pts);
    let (Some(first), next) = (key_pts(0), key_pts(own)) else {
        return Vec::new();
    };
    let is_shown = |index: usize, pts: i64| match next {
        Some(next) if index >= own => pts < next,
        _ => pts >= first,
    };
    let all = gop.samples.iter().enumerate();
    let mut shown: Vec<Shown> = all
        .filter(|(index, sample)| is_shown(*index, sample.pts))
        .map(|(index, sample)| Shown {
            index,
            pts: sample.pts,
            wall: sample.wall,
            is_key: index == 0,
        })
        .collect();
    shown.sort_by_key(|picture| (picture.wall, picture.pts));
    shown
}

impl Aim {
    /// Whether the GOP has anything to answer.
    pub(crate) fn is_empty(&self) -> bool {
        match self.sampling {
            Sampling::Grid(grid) => grid.within(self.window).next().is_none(),
            _ => self.window.micros() <= 0,
        }
    }

    /// Whether the key frame is all that is needed of it.
    pub(crate) const fn needs_key_only(&self) -> bool {
        match self.sampling {
            Sampling::Grid(_) => matches!(self.matching, Match::Keyframe),
            Sampling::Keyframes => true,
            Sampling::Changes(_) | Sampling::All => false,
        }
    }

    /// How far the GOP has to be read: up to all pictures captured at or before this.
    pub(crate) fn reads_until(&self, end: WallTime) -> WallTime {
        match (self.sampling, self.matching) {
            (Sampling::Grid(grid), Match::Exact | Match::Before | Match::Keyframe) => {
                let instants = grid.within(self.window);
                let last = instants.last().unwrap_or(self.window.start);
                last.plus_micros(TICK_US)
            }
            (Sampling::Grid(_), _) => end,
            _ => self.window.end.plus_micros(-1),
        }
    }

    /// How many pictures are wanted of it, as far as that is known without looking.
    pub(crate) fn expected(&self) -> u64 {
        match self.sampling {
            Sampling::Grid(grid) => u64::try_from(grid.count(self.window)).unwrap_or_default(),
            _ => u64::from(self.window.micros() > 0),
        }
    }

    /// The first moment that something is wanted for.
    pub(crate) fn first(&self) -> WallTime {
        match self.sampling {
            Sampling::Grid(grid) => grid.within(self.window).next(),
            _ => None,
        }
        .unwrap_or(self.window.start)
    }

    /// The pictures meant, in time order, none twice in a row. `next` is when the next GOP's key frame
    /// was captured. Not for [`Sampling::Changes`], which only a decoder can tell.
    pub(crate) fn choose(&self, shown: &[Shown], next: Option<WallTime>) -> Vec<Wanted> {
        match self.sampling {
            Sampling::Grid(grid) => {
                let mut wanted: Vec<Wanted> = Vec::new();
                for requested in grid.within(self.window) {
                    let Some(picked) = self.pick(requested, shown, next) else {
                        continue;
                    };
                    if wanted.last().is_none_or(|last| last.picked != picked) {
                        wanted.push(Wanted { requested, picked });
                    }
                }
                wanted
            }
            Sampling::Keyframes => self.captured(shown, |picture| picture.is_key),
            Sampling::All | Sampling::Changes(_) => self.captured(shown, |_| true),
        }
    }

    fn captured(&self, shown: &[Shown], is_meant: impl Fn(&Shown) -> bool) -> Vec<Wanted> {
        let in_window = |picture: &&Shown| self.window.contains(picture.wall) && is_meant(picture);
        shown
            .iter()
            .filter(in_window)
            .map(|picture| Wanted {
                requested: picture.wall,
                picked: Picked::Own(picture.index),
            })
            .collect()
    }

    fn pick(&self, at: WallTime, shown: &[Shown], next: Option<WallTime>) -> Option<Picked> {
        let own = |picture: &Shown| (picture.wall, Picked::Own(picture.index));
        let before = || {
            let until = at.plus_micros(TICK_US);
            let count = shown.partition_point(|picture| picture.wall <= until);
            shown[..count].last().map(own)
        };
        let after = || {
            let from = at.plus_micros(-TICK_US);
            let skipped = shown.partition_point(|picture| picture.wall < from);
            let first = shown.get(skipped).map(own);
            first.or_else(|| next.map(|wall| (wall, Picked::Next)))
        };
        let found = match self.matching {
            Match::Exact | Match::Before => before(),
            Match::Keyframe => before().and_then(|_| shown.iter().find(|p| p.is_key).map(own)),
            Match::After => after(),
            Match::Nearest => match (before(), after()) {
                (Some(before), Some(after)) => {
                    let is_nearer = after.0.micros_since(at) < at.micros_since(before.0);
                    Some(if is_nearer { after } else { before })
                }
                (before, after) => before.or(after),
            },
        };
        found.map(|(_, picked)| picked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Rule;
    use bytes::Bytes;
    use framewell_footage::GopSample;
    use framewell_media::{VideoCodec, VideoParameters};
    use framewell_model::ClockSource;
    use std::sync::Arc;

    fn at(ms: i64) -> WallTime {
        WallTime::from_micros(ms * 1_000)
    }

    fn range(start_ms: i64, end_ms: i64) -> TimeRange {
        TimeRange::new(at(start_ms), at(end_ms)).unwrap()
    }

    /// Capture times in decoding order; the first `own` are the GOP's own.
    fn gop(millis: &[i64], own: usize) -> CompressedGop {
        let sample = |(index, ms): (usize, &i64)| GopSample {
            pts: ms * 90,
            wall: at(*ms),
            is_key: index == 0 || index == own,
            data: Bytes::new(),
        };
        CompressedGop {
            run: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
            video: Arc::new(VideoParameters {
                codec: VideoCodec::H264,
                width: 64,
                height: 48,
                config: Bytes::new(),
                reorder_depth: 2,
                rfc6381: String::new(),
            }),
            samples: millis.iter().enumerate().map(sample).collect(),
            own,
            clock: ClockSource::CameraRtcp,
        }
    }

    fn aim(rule: Rule, matching: Match, window: TimeRange) -> Aim {
        Aim {
            sampling: rule.over(window, window),
            matching,
            window,
        }
    }

    /// Instant and capture time, in ms; -1 for the next key frame.
    fn found(aim: &Aim, gop: &CompressedGop, next: Option<i64>) -> Vec<(i64, i64)> {
        let picked = |picked| match picked {
            Picked::Own(index) => gop.samples[index].wall.micros() / 1_000,
            Picked::Next => -1,
        };
        aim.choose(&shown(gop), next.map(at))
            .into_iter()
            .map(|wanted| (wanted.requested.micros() / 1_000, picked(wanted.picked)))
            .collect()
    }

    #[test]
    fn leading_pictures_belong_to_the_gop_before() {
        // I P B B | I b b P: the last key frame's leading pictures at 160 and 200 are shown before it.
        let open = gop(&[0, 120, 40, 80, 240, 160, 200, 280], 4);
        let walls: Vec<i64> = shown(&open)
            .iter()
            .map(|p| p.wall.micros() / 1_000)
            .collect();
        assert_eq!(walls, [0, 40, 80, 120, 160, 200]);
        // Its own leading pictures are not its.
        let second = gop(&[240, 160, 200, 280], 4);
        let walls: Vec<i64> = shown(&second)
            .iter()
            .map(|p| p.wall.micros() / 1_000)
            .collect();
        assert_eq!(walls, [240, 280]);
    }

    #[test]
    fn an_instant_means_the_picture_on_screen() {
        // Decoding order I P B B P B B.
        let gop = gop(&[0, 120, 40, 80, 240, 160, 200], 7);
        let aim = aim(Rule::Every(50_000), Match::Exact, range(0, 280));
        let expected = [
            (0, 0),
            (50, 40),
            (100, 80),
            (150, 120),
            (200, 200),
            (250, 240),
        ];
        assert_eq!(found(&aim, &gop, None), expected);
    }

    #[test]
    fn no_picture_comes_twice_in_a_row() {
        let gop = gop(&[0, 400, 800], 3);
        let aim = aim(Rule::Rate(10.0), Match::Exact, range(0, 1_000));
        assert_eq!(found(&aim, &gop, None), [(0, 0), (400, 400), (800, 800)]);
    }

    #[test]
    fn each_matching_has_its_picture() {
        let gop = gop(&[1_000, 1_400, 1_800], 3);
        let window = range(500, 2_500);
        let of = |matching, next| found(&aim(Rule::Every(500_000), matching, window), &gop, next);
        assert_eq!(
            of(Match::Exact, Some(2_600)),
            [(1_000, 1_000), (1_500, 1_400), (2_000, 1_800)]
        );
        assert_eq!(of(Match::Before, None), of(Match::Exact, None));
        assert_eq!(
            of(Match::After, Some(2_600)),
            [(500, 1_000), (1_500, 1_800), (2_000, -1)]
        );
        assert_eq!(of(Match::After, None), [(500, 1_000), (1_500, 1_800)]);
        assert_eq!(
            of(Match::Nearest, Some(2_600)),
            [(500, 1_000), (1_500, 1_400), (2_000, 1_800)]
        );
        assert_eq!(
            of(Match::Nearest, Some(2_100)),
            [(500, 1_000), (1_500, 1_400), (2_000, -1)]
        );
        assert_eq!(of(Match::Keyframe, None), [(1_000, 1_000)]);
    }

    #[test]
    fn rules_without_a_grid_take_what_was_captured_in_the_window() {
        let gop = gop(&[0, 40, 80, 120], 4);
        let of = |rule, window| found(&aim(rule, Match::Exact, window), &gop, None);
        assert_eq!(of(Rule::All, range(40, 120)), [(40, 40), (80, 80)]);
        assert_eq!(of(Rule::Keyframes, range(0, 120)), [(0, 0)]);
        assert!(of(Rule::Keyframes, range(1, 120)).is_empty());
    }

    #[test]
    fn only_what_is_needed_is_read() {
        let window = range(0, 2_000);
        let until = |rule, matching| {
            let aim = aim(rule, matching, window);
            assert!(!aim.needs_key_only());
            aim.reads_until(at(9_000)).micros()
        };
        assert_eq!(
            until(Rule::Every(1_500_000), Match::Exact),
            1_500_000 + TICK_US
        );
        assert_eq!(until(Rule::Every(1_500_000), Match::After), 9_000_000);
        assert_eq!(until(Rule::All, Match::Exact), 1_999_999);
        assert!(aim(Rule::Every(1_000), Match::Keyframe, window).needs_key_only());
        assert!(aim(Rule::Keyframes, Match::Exact, window).needs_key_only());
        let none = Aim {
            window: range(100, 900),
            ..aim(Rule::Every(1_000_000), Match::Exact, window)
        };
        assert!(none.is_empty());
    }
}
