//! Where a client of a stream of fragments is.

use framewell_media::{AccessUnit, TrackKind};
use framewell_model::{RunId, WallTime};
use std::fmt;
use std::str::FromStr;

/// The newest units that a client has, exactly: who comes back with it gets what follows, nothing twice
/// and nothing left out. Live and recorded streams have the same cursors, since both keep the run and its
/// decode times.
///
/// The text is for the server alone to understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The run of the units.
    pub run: RunId,
    /// Decode time of the newest video unit, in 90 kHz ticks of the run. `None` before the first one.
    pub video: Option<i64>,
    /// Decode time of the newest audio unit, in its ticks of the run. `None` before the first one.
    pub audio: Option<i64>,
    /// Capture time of the newest unit that was decoded: where to look for the rest.
    pub wall: WallTime,
}

/// A text that is no cursor of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is none of ours")]
pub struct BadCursor;

/// Layout of the text.
const VERSION: &str = "1";
/// Stands for a track without units.
const NONE: &str = "x";

impl Cursor {
    /// Before the first unit of a run.
    pub(crate) const fn before(run: RunId, wall: WallTime) -> Self {
        Self {
            run,
            video: None,
            audio: None,
            wall,
        }
    }

    /// Goes on behind a unit of its run.
    pub(crate) fn pass(&mut self, unit: &AccessUnit) {
        let newest = match unit.track {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        };
        *newest = Some(newest.map_or(unit.dts.ticks, |dts| dts.max(unit.dts.ticks)));
        if unit.track == TrackKind::Video || self.video.is_none() {
            self.wall = unit.wall;
        }
    }

    /// Whether a unit of its run lies behind it.
    pub(crate) fn has(&self, unit: &AccessUnit) -> bool {
        let newest = match unit.track {
            TrackKind::Video => self.video,
            TrackKind::Audio => self.audio,
        };
        newest.is_some_and(|dts| unit.dts.ticks <= dts)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticks = |dts: Option<i64>| dts.map_or_else(|| NONE.to_owned(), |dts| dts.to_string());
        write!(
            f,
            "{VERSION}.{}.{}.{}.{}",
            self.run.uuid().simple(),
            ticks(self.video),
            ticks(self.audio),
            self.wall.micros()
        )
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let mut words = text.split('.');
        let mut next = || words.next().ok_or(BadCursor);
        if next()? != VERSION {
            return Err(BadCursor);
        }
        let run = next()?.parse().map_err(|_| BadCursor)?;
        let ticks = |word: &str| match word {
            NONE => Ok(None),
            word => word.parse().map(Some).map_err(|_| BadCursor),
        };
        let (video, audio) = (ticks(next()?)?, ticks(next()?)?);
        let wall = WallTime::from_micros(next()?.parse().map_err(|_| BadCursor)?);
        match words.next() {
            Some(_) => Err(BadCursor),
            None => Ok(Self {
                run,
                video,
                audio,
                wall,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunId {
        "0190b8a0-0000-7000-8000-00000000abcd".parse().unwrap()
    }

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        for (video, audio) in [
            (None, None),
            (Some(-3_600), Some(1_024)),
            (Some(i64::MAX), None),
        ] {
            let cursor = Cursor {
                run: run(),
                video,
                audio,
                wall: WallTime::from_micros(1_767_225_600_000_001),
            };
            let text = cursor.to_string();
            assert_eq!(text.parse(), Ok(cursor));
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
            );
        }
    }

    #[test]
    fn other_texts_are_no_cursors() {
        let good = Cursor::before(run(), WallTime::from_secs(1)).to_string();
        for text in [
            "",
            "1",
            "1.a.b.c.d",
            "latest",
            good.get(..good.len() - 9).unwrap(),
            &format!("{good}.1"),
            &good.replacen('1', "2", 1),
            &"9".repeat(1_000),
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
        }
    }
}
