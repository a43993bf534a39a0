//! A place in a batch, as text that outlives the server.

use super::rule::{Grid, Sampling};
use crate::Match;
use framewell_model::{ChannelId, FrameId, TimeRange, WallTime};
use std::fmt;
use std::str::FromStr;

/// A place in a batch. As text it is opaque, needs no escaping in a URL, and holds all that the batch
/// was: channel, range, rule, matching. What is resumed later looks at the footage that is there then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cursor {
    pub(crate) channel: ChannelId,
    pub(crate) range: TimeRange,
    pub(crate) sampling: Sampling,
    pub(crate) matching: Match,
    /// Everything up to here, this moment included, has been told.
    pub(crate) done: WallTime,
    /// The last picture given.
    pub(crate) last: Option<FrameId>,
}

impl Cursor {
    /// The channel it belongs to.
    #[must_use]
    pub const fn channel(&self) -> ChannelId {
        self.channel
    }

    /// The range of the whole batch.
    #[must_use]
    pub const fn range(&self) -> TimeRange {
        self.range
    }
}

/// A text that is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one of ours")]
pub struct CursorError;

/// Of the text; a cursor of another version is refused, not misread.
const VERSION: &str = "b1";

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.range.start.micros(), self.range.end.micros());
        write!(f, "{VERSION}_{}_{start}_{end}_", self.channel.get())?;
        match self.sampling {
            Sampling::Grid(grid) => {
                let last = grid.last.map_or_else(String::new, |last| last.to_string());
                write!(
                    f,
                    "g{}.{}.{}.{last}",
                    grid.start.micros(),
                    grid.span,
                    grid.steps
                )?;
            }
            Sampling::Keyframes => f.write_str("k")?,
            Sampling::Changes(threshold) => write!(f, "c{:08x}", threshold.to_bits())?,
            Sampling::All => f.write_str("a")?,
        }
        write!(f, "_{}_{}_", letter(self.matching), self.done.micros())?;
        self.last.map_or(Ok(()), |last| write!(f, "{last}"))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        read(text).filter(is_sane).ok_or(CursorError)
    }
}

fn read(text: &str) -> Option<Cursor> {
    let mut parts = text.split('_');
    let mut next = || parts.next();
    let time = |text: &str| text.parse().ok().map(WallTime::from_micros);
    if next()? != VERSION {
        return None;
    }
    let cursor = Cursor {
        channel: ChannelId::stored(next()?.parse().ok()?)?,
        range: TimeRange::new(time(next()?)?, time(next()?)?)?,
        sampling: read_sampling(next()?)?,
        matching: read_matching(next()?)?,
        done: time(next()?)?,
        last: match next()? {
            "" => None,
            text => Some(text.parse().ok()?),
        },
    };
    parts.next().is_none().then_some(cursor)
}

fn read_sampling(text: &str) -> Option<Sampling> {
    let kind = text.chars().next()?;
    let rest = text.strip_prefix(kind)?;
    match kind {
        'k' if rest.is_empty() => Some(Sampling::Keyframes),
        'a' if rest.is_empty() => Some(Sampling::All),
        'c' => Some(Sampling::Changes(f32::from_bits(
            u32::from_str_radix(rest, 16).ok()?,
        ))),
        'g' => read_grid(rest).map(Sampling::Grid),
        _ => None,
    }
}

fn read_grid(text: &str) -> Option<Grid> {
    let mut parts = text.split('.');
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (start, span, steps) = (number()?, number()?, number()?);
    let last = match parts.next()? {
        "" => None,
        last => Some(last.parse().ok()?),
    };
    let grid = Grid::new(WallTime::from_micros(start), span, steps, last);
    parts.next().is_none().then_some(grid)
}

/// What we write is always so; a text made by hand may not make us loop or overflow.
fn is_sane(cursor: &Cursor) -> bool {
    /// About the years 1000 to 3000.
    const TIMES: std::ops::RangeInclusive<i64> = -31_000_000_000_000_000..=33_000_000_000_000_000;
    let is_time = |at: WallTime| TIMES.contains(&at.micros());
    // First of all: a grid is searched step by step around a time at the end of time.
    if ![cursor.range.start, cursor.range.end, cursor.done]
        .into_iter()
        .all(is_time)
    {
        return false;
    }
    match cursor.sampling {
        Sampling::Grid(grid) => {
            let is_grid = is_time(grid.start) && grid.span >= 0 && grid.steps >= 1;
            // Without an end, instants closer than any rule has them are endlessly many.
            let is_finite = |grid: Grid| match grid.last {
                Some(last) => (0..=super::MAX_INSTANTS).contains(&last),
                None => grid.span / grid.steps >= *super::PERIOD_US.start(),
            };
            is_grid && is_finite(grid) && grid.count(cursor.range) <= super::MAX_INSTANTS
        }
        Sampling::Changes(threshold) => (0.0..=1.0).contains(&threshold),
        Sampling::Keyframes | Sampling::All => true,
    }
}

const fn letter(matching: Match) -> char {
    match matching {
        Match::Exact => 'x',
        Match::Before => 'b',
        Match::After => 'a',
        Match::Nearest => 'n',
        Match::Keyframe => 'k',
    }
}

fn read_matching(text: &str) -> Option<Match> {
    let all = [
        Match::Exact,
        Match::Before,
        Match::After,
        Match::Nearest,
        Match::Keyframe,
    ];
    let mut chars = text.chars();
    let first = chars.next().filter(|_| chars.next().is_none())?;
    all.into_iter().find(|matching| letter(*matching) == first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{MAX_INSTANTS, Rule};
    use proptest::prelude::*;

    fn cursor(rule: Rule, last: bool) -> Cursor {
        let at = |s: i64| WallTime::from_micros(1_714_558_830_123_456 + s * 1_000_000);
        let range = TimeRange::new(at(0), at(60)).unwrap();
        Cursor {
            channel: "7".parse().unwrap(),
            range,
            sampling: rule.over(range, range),
            matching: Match::Nearest,
            done: at(5),
            last: last.then(|| FrameId {
                run: "01900000-0000-7000-8000-000000000007".parse().unwrap(),
                ticks: -3_600,
            }),
        }
    }

    #[test]
    fn a_cursor_survives_its_text() {
        for rule in [
            Rule::Every(2_000_000),
            Rule::Rate(29.97),
            Rule::Count(8),
            Rule::Count(1),
            Rule::Keyframes,
            Rule::Changes(0.123),
            Rule::All,
        ] {
            for last in [false, true] {
                let cursor = cursor(rule, last);
                let text = cursor.to_string();
                assert_eq!(text.parse(), Ok(cursor), "{text}");
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                assert!(text.chars().all(is_plain), "{text}");
            }
        }
    }

    #[test]
    fn texts_that_are_not_ours_are_refused() {
        let good = cursor(Rule::Every(2_000_000), true).to_string();
        let bad = [
            String::new(),
            good.replace("b1", "b2"),
            format!("{good}_"),
            good.replace(".2000000.1.", ".0.1."),
            good.replace(".2000000.1.", ".1.1000000."),
            good.replace("_n_", "_nn_"),
            good.replace("_7_", "_0_"),
            good.replace("1714558830123456", "9223372036854775807"),
        ];
        for text in bad {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }

    /// An hour of footage, and a grid written by hand.
    fn forged(grid: &str) -> String {
        let (start, end) = (1_714_558_830_123_456_i64, 1_714_562_430_123_456_i64);
        let grid = grid.replace('S', &start.to_string());
        format!("b1_7_{start}_{end}_g{grid}_x_{}_", start - 1)
    }

    #[test]
    fn grids_without_an_end_that_stand_still_are_refused() {
        assert!(forged("S.1000.1.").parse::<Cursor>().is_err(), "too many");
        assert!(forged("S.10000.1.").parse::<Cursor>().is_ok());
        let ends_never = "b1_7_0_9223372036854775807_g-31000000000000000.1000000.1._x_-1_";
        let bad = [
            forged("S.1.9000000000000000000."),
            forged("S.1.9223372036854775807."),
            forged("S.999.1."),
            forged("S.9223372036854775807.9223372036854775807."),
            forged("S.10000.11."),
            ends_never.to_owned(),
        ];
        for text in bad {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }

    #[test]
    fn what_overflows_is_more_than_may_be_named() {
        let start = WallTime::from_micros(0);
        let range = TimeRange::new(start, WallTime::from_micros(3_600_000_000)).unwrap();
        let grid = Grid::new(start, 1, 9_000_000_000_000_000_000, None);
        assert!(grid.count(range) > MAX_INSTANTS);
    }

    /// Numbers around those that matter, and any.
    fn number() -> impl Strategy<Value = i64> {
        let small = -2i64..2_000_000;
        let near = 1_714_558_830_000_000i64..1_714_568_830_000_000;
        prop_oneof![small, near, any::<i64>(), Just(i64::MAX), Just(i64::MIN)]
    }

    proptest! {
        #[test]
        fn no_cursor_names_more_instants_than_may_be(
            start in number(), length in number(), origin in number(), done in number(),
            span in number(), steps in number(), last in proptest::option::of(number()),
        ) {
            let end = start.saturating_add(length);
            let last = last.map_or_else(String::new, |last| last.to_string());
            let text = format!("b1_7_{start}_{end}_g{origin}.{span}.{steps}.{last}_x_{done}_");
            if let Ok(Cursor { sampling: Sampling::Grid(grid), range, .. }) = text.parse() {
                prop_assert!(grid.count(range) <= MAX_INSTANTS);
                let most = usize::try_from(MAX_INSTANTS).unwrap() + 1;
                prop_assert!(grid.within(range).take(most + 1).count() <= most);
            }
        }
    }
}
