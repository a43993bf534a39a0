//! Which recording mode a channel's schedule asks for now.

use framewell_model::{Channel, Day, MinuteOfDay, RecMode, WallTime};
use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use std::time::Duration;

/// A minute, in microseconds: periods begin and end with one.
const MINUTE_US: i64 = 60_000_000;

/// The mode of a channel at `now`: by its schedule, if it has one, in its time zone.
pub(crate) fn mode(channel: &Channel, now: WallTime) -> RecMode {
    let Some(schedule) = &channel.schedule else {
        return channel.rec_mode;
    };
    match on_the_wall(&channel.timezone, now) {
        Some((day, time)) => schedule.mode_at(day, time),
        None => {
            tracing::warn!(channel.id = %channel.id, timezone = channel.timezone, "time zone is not known; the schedule has no effect");
            channel.rec_mode
        }
    }
}

/// How long the modes of all schedules stay: offsets of time zones are whole minutes.
pub(crate) fn until_next_minute(now: WallTime) -> Duration {
    let past = now.micros().rem_euclid(MINUTE_US);
    Duration::from_micros((MINUTE_US - past).unsigned_abs())
}

fn on_the_wall(timezone: &str, now: WallTime) -> Option<(Day, MinuteOfDay)> {
    let timezone = TimeZone::get(timezone).ok()?;
    let time = Timestamp::from_microsecond(now.micros()).ok()?;
    let local = time.to_zoned(timezone);
    let day = match local.weekday() {
        Weekday::Monday => Day::Mon,
        Weekday::Tuesday => Day::Tue,
        Weekday::Wednesday => Day::Wed,
        Weekday::Thursday => Day::Thu,
        Weekday::Friday => Day::Fri,
        Weekday::Saturday => Day::Sat,
        Weekday::Sunday => Day::Sun,
    };
    let minutes = i32::from(local.hour()) * 60 + i32::from(local.minute());
    Some((day, MinuteOfDay::new(u16::try_from(minutes).ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> WallTime {
        text.parse().expect("a time")
    }

    fn wall(timezone: &str, now: &str) -> Option<(Day, String)> {
        on_the_wall(timezone, at(now)).map(|(day, time)| (day, time.into()))
    }

    #[test]
    fn the_wall_clock_of_the_place_counts_through_changes_of_the_clock() {
        let told = |day, time: &str| Some((day, time.to_owned()));
        let berlin = |now| wall("Europe/Berlin", now);
        assert_eq!(berlin("2026-01-05T07:30:00Z"), told(Day::Mon, "08:30"));
        assert_eq!(berlin("2026-07-06T06:30:00Z"), told(Day::Mon, "08:30"));
        // On 29 March 2026, 02:00 is followed by 03:00.
        assert_eq!(berlin("2026-03-29T00:59:59Z"), told(Day::Sun, "01:59"));
        assert_eq!(berlin("2026-03-29T01:00:00Z"), told(Day::Sun, "03:00"));
        // On 25 October, 03:00 is followed by 02:00.
        assert_eq!(berlin("2026-10-25T00:30:00Z"), told(Day::Sun, "02:30"));
        assert_eq!(berlin("2026-10-25T01:30:00Z"), told(Day::Sun, "02:30"));
        assert_eq!(
            wall("Asia/Kathmandu", "2026-01-04T18:20:00Z"),
            told(Day::Mon, "00:05")
        );
        assert_eq!(wall("Nowhere/Nothing", "2026-01-04T18:20:00Z"), None);
    }

    #[test]
    fn the_next_minute_is_the_next_look() {
        let left = |now| until_next_minute(at(now)).as_millis();
        assert_eq!(left("2026-01-04T18:20:59.500Z"), 500);
        assert_eq!(left("2026-01-04T18:20:00Z"), 60_000);
    }
}
