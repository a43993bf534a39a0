//! Wall time, media time, and where a time comes from.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

/// A moment in UTC, in microseconds since 1970-01-01 (what the database stores).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(i64);

impl WallTime {
    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// From a number of seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// From an NTP timestamp, 32.32 fixed point seconds since 1900 (RFC 3550 section 4).
    ///
    /// The era is the one that began in 1900 for timestamps with the top bit set, else the next.
    #[must_use]
    pub const fn from_ntp(ntp: u64) -> Self {
        const NTP_TO_UNIX_S: i64 = 2_208_988_800;
        const ERA_S: i64 = 1 << 32;
        let high = (ntp >> 32) as i64;
        let seconds = if high & 0x8000_0000 == 0 {
            high + ERA_S
        } else {
            high
        };
        let micros = ((ntp & 0xffff_ffff) * 1_000_000) >> 32;
        Self((seconds - NTP_TO_UNIX_S) * 1_000_000 + micros as i64)
    }

    /// Signed distance `self - earlier` in microseconds.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Moves by a signed number of microseconds.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// `YYYY-MM-DDThh:mm:ss.ffffff` in UTC **without** a zone: the compatible face.
    #[must_use]
    pub fn to_naive_text(self) -> String {
        self.utc().format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
    }

    /// RFC 3339 with `Z` and microseconds: the native face.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        self.utc().to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        self.plus_micros(i64::try_from(rhs.as_micros()).unwrap_or(i64::MAX))
    }
}

impl Sub<Duration> for WallTime {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        self.plus_micros(-i64::try_from(rhs.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A text that is no RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time such as 2024-05-01T10:20:30.5Z")]
pub struct ParseTimeError(pub String);

impl FromStr for WallTime {
    type Err = ParseTimeError;

    /// RFC 3339 with `Z` or an offset.
    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        DateTime::parse_from_rfc3339(text)
            .map(|time| Self(time.timestamp_micros()))
            .map_err(|_| ParseTimeError(text.chars().take(40).collect()))
    }
}

/// Half-open range of wall time: `start` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First moment.
    pub start: WallTime,
    /// First moment after it; at least `start`.
    pub end: WallTime,
}

impl TimeRange {
    /// `None` unless `start <= end`.
    #[must_use]
    pub fn new(start: WallTime, end: WallTime) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// Whether the moment lies in the range.
    #[must_use]
    pub fn contains(&self, at: WallTime) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether the two share a moment.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Length in microseconds.
    #[must_use]
    pub const fn micros(&self) -> i64 {
        self.end.micros_since(self.start)
    }
}

/// Where a wall time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockSource {
    /// The camera's own clock, by RTCP sender reports (RFC 3550 section 6.4.1).
    CameraRtcp,
    /// Our clock when the data arrived: the camera sent no report, or an absurd one.
    ServerArrival,
}

impl ClockSource {
    /// The word stored in the database and shown by the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CameraRtcp => "camera_rtcp",
            Self::ServerArrival => "server_arrival",
        }
    }
}

/// Ticks per second of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timescale(NonZeroU32);

impl Timescale {
    /// Video RTP clock rate (RFC 6184 section 5.1).
    pub const HZ_90K: Self = Self(NonZeroU32::new(90_000).expect("not zero"));
    /// Microseconds.
    pub const MICROS: Self = Self(NonZeroU32::new(1_000_000).expect("not zero"));

    /// `None` for 0.
    #[must_use]
    pub const fn new(hz: u32) -> Option<Self> {
        match NonZeroU32::new(hz) {
            Some(hz) => Some(Self(hz)),
            None => None,
        }
    }

    /// Ticks per second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0.get()
    }

    /// `ticks` of this scale in microseconds, rounded to nearest.
    #[must_use]
    pub const fn to_micros(self, ticks: i64) -> i64 {
        rescale(ticks, self.0.get(), 1_000_000)
    }

    /// Microseconds in ticks of this scale, rounded to nearest.
    #[must_use]
    pub const fn from_micros(self, micros: i64) -> i64 {
        rescale(micros, 1_000_000, self.0.get())
    }
}

/// `value * to / from`, rounded to nearest, halves away from zero; saturates.
const fn rescale(value: i64, from: u32, to: u32) -> i64 {
    let product = value as i128 * to as i128;
    let half = from as i128 / 2;
    let rounded = if product >= 0 {
        product + half
    } else {
        product - half
    } / from as i128;
    if rounded > i64::MAX as i128 {
        i64::MAX
    } else if rounded < i64::MIN as i128 {
        i64::MIN
    } else {
        rounded as i64
    }
}

/// A time or duration on a track's own scale: PTS, DTS, durations. No `+` between scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaTime {
    /// Count of ticks.
    pub ticks: i64,
    /// Length of a tick.
    pub scale: Timescale,
}

impl MediaTime {
    /// Both parts.
    #[must_use]
    pub const fn new(ticks: i64, scale: Timescale) -> Self {
        Self { ticks, scale }
    }

    /// In microseconds, rounded to nearest.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.scale.to_micros(self.ticks)
    }

    /// `self + other`; `None` if the scales differ or it overflows.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let ticks = self.ticks.checked_add(other.ticks)?;
        (self.scale == other.scale).then_some(Self {
            ticks,
            scale: self.scale,
        })
    }

    /// On another scale, rounded to nearest.
    #[must_use]
    pub const fn rescale(self, scale: Timescale) -> Self {
        Self {
            ticks: rescale(self.ticks, self.scale.hz(), scale.hz()),
            scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_of_both_faces() {
        let time: WallTime = "2024-05-01T10:20:30.123456Z".parse().unwrap();
        assert_eq!(time.to_naive_text(), "2024-05-01T10:20:30.123456");
        assert_eq!(time.to_rfc3339(), "2024-05-01T10:20:30.123456Z");
        let offset: WallTime = "2024-05-01T12:20:30.123456+02:00".parse().unwrap();
        assert_eq!(offset, time);
        assert!("NaN-aN-aNTaN:aN:aN".parse::<WallTime>().is_err());
    }

    #[test]
    fn ntp_of_both_eras() {
        // 1970-01-01 in era 0, and 2036-02-07T06:28:16Z, the first second of era 1.
        assert_eq!(
            WallTime::from_ntp(2_208_988_800 << 32),
            WallTime::from_micros(0)
        );
        assert_eq!(
            WallTime::from_ntp(0).to_rfc3339(),
            "2036-02-07T06:28:16.000000Z"
        );
        assert_eq!(
            WallTime::from_ntp((2_208_988_800 << 32) | 0x8000_0000).micros(),
            500_000
        );
    }

    #[test]
    fn ranges_are_half_open() {
        let at = WallTime::from_secs;
        let range = TimeRange::new(at(10), at(20)).unwrap();
        assert!(range.contains(at(10)) && !range.contains(at(20)));
        assert!(!range.overlaps(&TimeRange::new(at(20), at(30)).unwrap()));
        assert!(TimeRange::new(at(2), at(1)).is_none());
    }

    #[test]
    fn media_times_of_different_scales_do_not_add() {
        let video = MediaTime::new(90_000, Timescale::HZ_90K);
        let audio = MediaTime::new(1_000_000, Timescale::MICROS);
        assert_eq!(video.checked_add(audio), None);
        assert_eq!(audio.rescale(Timescale::HZ_90K), video);
    }

    proptest! {
        #[test]
        fn micros_survive_the_native_text(micros in -62_000_000_000_000_000i64..250_000_000_000_000_000) {
            let time = WallTime::from_micros(micros);
            prop_assert_eq!(time.to_rfc3339().parse::<WallTime>(), Ok(time));
        }

        #[test]
        fn rescaling_there_and_back_is_within_a_tick(ticks in -(1i64 << 50)..(1 << 50)) {
            let there = MediaTime::new(ticks, Timescale::HZ_90K).rescale(Timescale::MICROS);
            prop_assert!((there.rescale(Timescale::HZ_90K).ticks - ticks).abs() <= 1);
        }
    }
}
