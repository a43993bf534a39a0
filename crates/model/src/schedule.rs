//! Recording modes by time of week.

use crate::RecMode;
use serde::{Deserialize, Serialize};

/// Most periods of a schedule: each hour of a week, and a half more.
pub const MOST_PERIODS: usize = 252;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "days of the week")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    /// Monday first (ISO 8601).
    pub const ALL: [Self; 7] = [
        Self::Mon,
        Self::Tue,
        Self::Wed,
        Self::Thu,
        Self::Fri,
        Self::Sat,
        Self::Sun,
    ];

    fn before(self) -> Self {
        let place = Self::ALL.iter().position(|day| *day == self).unwrap_or(0);
        Self::ALL[(place + 6) % 7]
    }
}

/// A time of day on the wall, `HH:MM` in text; `24:00` is the end of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MinuteOfDay(u16);

impl MinuteOfDay {
    /// `None` beyond the end of the day.
    #[must_use]
    pub const fn new(minutes: u16) -> Option<Self> {
        if minutes <= 24 * 60 {
            Some(Self(minutes))
        } else {
            None
        }
    }
}

impl TryFrom<String> for MinuteOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parse = || {
            let (hours, minutes) = text.split_once(':')?;
            let is_two_digits =
                |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            if !is_two_digits(hours) || !is_two_digits(minutes) {
                return None;
            }
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (minutes < 60).then(|| Self::new(hours * 60 + minutes))?
        };
        parse().ok_or_else(|| format!("{text:?} is not a time of day such as 08:30"))
    }
}

impl From<MinuteOfDay> for String {
    fn from(time: MinuteOfDay) -> Self {
        format!("{:02}:{:02}", time.0 / 60, time.0 % 60)
    }
}

/// A time of some days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// On which days it begins; absent: on each.
    #[serde(default = "every_day")]
    pub days: Vec<Day>,
    /// From this time of the wall clock on.
    pub from: MinuteOfDay,
    /// Up to this one; of the next day, if it is not behind `from`.
    pub to: MinuteOfDay,
    /// How the channel records then.
    pub mode: RecMode,
}

fn every_day() -> Vec<Day> {
    Day::ALL.to_vec()
}

/// Recording modes by time of week, by the wall clock of the channel's time zone: an hour that a change
/// of the clock leaves out is left out, one that comes twice counts twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The first one that is on counts.
    pub periods: Vec<Period>,
    /// The mode when none of them is on.
    pub otherwise: RecMode,
}

impl Schedule {
    /// What is wrong with it, in words for the client.
    pub fn check(&self) -> Result<(), String> {
        if self.periods.len() > MOST_PERIODS {
            return Err(format!("a schedule has {MOST_PERIODS} periods at most"));
        }
        if self.periods.iter().any(|period| period.days.is_empty()) {
            return Err("a period without days never begins".to_owned());
        }
        Ok(())
    }

    /// The mode at a time of the wall clock.
    #[must_use]
    pub fn mode_at(&self, day: Day, time: MinuteOfDay) -> RecMode {
        let mut periods = self.periods.iter();
        let on = periods.find(|period| period.is_on(day, time));
        on.map_or(self.otherwise, |period| period.mode)
    }
}

impl Period {
    fn is_on(&self, day: Day, time: MinuteOfDay) -> bool {
        let begins = |day| self.days.contains(&day);
        if self.from < self.to {
            return begins(day) && (self.from..self.to).contains(&time);
        }
        (begins(day) && time >= self.from) || (begins(day.before()) && time < self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str) -> Schedule {
        serde_json::from_str(text).unwrap()
    }

    fn at(time: &str) -> MinuteOfDay {
        MinuteOfDay::try_from(time.to_owned()).unwrap()
    }

    #[test]
    fn the_first_period_that_is_on_counts() {
        let schedule = schedule(
            r#"{"otherwise":"off","periods":[
                {"days":["mon"],"from":"08:00","to":"09:00","mode":"on"},
                {"from":"08:00","to":"18:00","mode":"by_event"}]}"#,
        );
        assert_eq!(schedule.mode_at(Day::Mon, at("08:59")), RecMode::On);
        assert_eq!(schedule.mode_at(Day::Mon, at("09:00")), RecMode::ByEvent);
        assert_eq!(schedule.mode_at(Day::Tue, at("08:00")), RecMode::ByEvent);
        assert_eq!(schedule.mode_at(Day::Tue, at("18:00")), RecMode::Off);
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let schedule = schedule(
            r#"{"otherwise":"off","periods":[{"days":["sun"],"from":"22:00","to":"06:00","mode":"on"}]}"#,
        );
        assert_eq!(schedule.mode_at(Day::Sun, at("22:00")), RecMode::On);
        assert_eq!(schedule.mode_at(Day::Mon, at("05:59")), RecMode::On);
        assert_eq!(schedule.mode_at(Day::Mon, at("06:00")), RecMode::Off);
        assert_eq!(schedule.mode_at(Day::Sun, at("05:00")), RecMode::Off);
    }

    #[test]
    fn nonsense_is_refused() {
        for time in ["", "8:00", "24:01", "23:60", "aa:bb", "+8:00", "08:000"] {
            assert!(MinuteOfDay::try_from(time.to_owned()).is_err(), "{time}");
        }
        assert_eq!(String::from(at("24:00")), "24:00");
        let empty =
            r#"{"otherwise":"on","periods":[{"days":[],"from":"08:00","to":"09:00","mode":"on"}]}"#;
        assert!(schedule(empty).check().is_err());
    }
}
