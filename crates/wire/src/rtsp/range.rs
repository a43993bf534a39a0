//! The `Range` header (RFC 2326 section 12.29): absolute time and normal play time. Sans-IO.
//!
//! Read here for the reason that `Transport` is: the parser of `rtsp-types` is not made for strangers.

use framewell_model::WallTime;

const US_PER_S: i64 = 1_000_000;
/// Longest text of a time that is looked at.
const MAX_TIME_BYTES: usize = 40;
/// Largest normal play time: a hundred years.
const MAX_NPT_S: i64 = 100 * 366 * 86_400;

/// How a client counts time; it is answered in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// UTC (RFC 2326 section 3.7).
    Clock,
    /// Seconds from the beginning of what the URL names (RFC 2326 section 3.6).
    Npt,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeHeader {
    /// How its times are written.
    pub unit: Unit,
    /// `None`: from where it stands.
    pub start: Option<Moment>,
    /// `None`: as far as it goes.
    pub end: Option<Moment>,
}

/// A time of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// UTC.
    At(WallTime),
    /// Microseconds from the beginning.
    Offset(i64),
    /// `npt=now-`: live, or from where a recording stands.
    Now,
}

impl Moment {
    /// As absolute time, with the beginning of what the URL names at `zero`; `None` for now.
    pub const fn wall(self, zero: WallTime) -> Option<WallTime> {
        match self {
            Self::At(wall) => Some(wall),
            Self::Offset(micros) => Some(zero.plus_micros(micros)),
            Self::Now => None,
        }
    }
}

impl RangeHeader {
    /// `None` for units that are not served (SMPTE) and for what is no range.
    pub fn parse(text: &str) -> Option<Self> {
        // A start time behind a semicolon is for a transport schedule of the sender's own.
        let range = text.split(';').next()?.trim();
        let (unit, span) = range.split_once('=')?;
        let (start, end) = match span.trim().strip_prefix('-') {
            // A time before the beginning, which `ffmpeg` asks for when a stream begins with pictures
            // before it: the beginning.
            Some(early) if early.contains('-') => ("0", early.split_once('-')?.1),
            _ => span.split_once('-')?,
        };
        let unit = match unit.trim().to_ascii_lowercase().as_str() {
            "clock" => Unit::Clock,
            "npt" => Unit::Npt,
            _ => return None,
        };
        let moment = |text: &str| -> Option<Option<Moment>> {
            let text = text.trim();
            match unit {
                _ if text.is_empty() => Some(None),
                Unit::Clock => parse_clock(text).map(Moment::At).map(Some),
                Unit::Npt => parse_npt(text).map(Some),
            }
        };
        let (start, end) = (moment(start)?, moment(end)?);
        (start.is_some() || end.is_some()).then_some(Self { unit, start, end })
    }
}

/// `20261123T150621.250Z`, fractions of any length (RFC 2326 section 3.7).
pub fn parse_clock(text: &str) -> Option<WallTime> {
    if text.len() > MAX_TIME_BYTES {
        return None;
    }
    let (date, time) = text.strip_suffix(['Z', 'z'])?.split_once(['T', 't'])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let are_digits =
        |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    let is_fraction = fraction.bytes().all(|b| b.is_ascii_digit());
    if !are_digits(date, 8) || !are_digits(time, 6) || !is_fraction {
        return None;
    }
    let part = |text: &str, from: usize, to: usize| text.get(from..to).map(str::to_owned);
    let day = format!(
        "{}-{}-{}",
        part(date, 0, 4)?,
        part(date, 4, 6)?,
        part(date, 6, 8)?
    );
    let clock = format!(
        "{}:{}:{}",
        part(time, 0, 2)?,
        part(time, 2, 4)?,
        part(time, 4, 6)?
    );
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{day}T{clock}{point}{fraction}Z").parse().ok()
}

/// Seconds, `h:mm:ss`, both with a fraction, or `now` (RFC 2326 section 3.6).
fn parse_npt(text: &str) -> Option<Moment> {
    if text.eq_ignore_ascii_case("now") {
        return Some(Moment::Now);
    }
    if text.len() > MAX_TIME_BYTES {
        return None;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut seconds: i64 = 0;
    for part in whole.split(':') {
        let count: u32 = part.parse().ok()?;
        seconds = seconds.checked_mul(60)?.checked_add(i64::from(count))?;
    }
    if seconds > MAX_NPT_S || whole.split(':').count() > 3 {
        return None;
    }
    let mut micros = 0;
    let mut unit = US_PER_S / 10;
    for digit in fraction.bytes() {
        if !digit.is_ascii_digit() {
            return None;
        }
        micros += i64::from(digit - b'0') * unit;
        unit /= 10;
    }
    Some(Moment::Offset(seconds * US_PER_S + micros))
}

/// The value of an answer. `zero` is the beginning of what the URL names.
pub fn format(unit: Unit, zero: WallTime, start: WallTime, end: Option<WallTime>) -> String {
    let moment = |at: WallTime| match unit {
        Unit::Clock => clock_text(at),
        Unit::Npt => npt_text(at.micros_since(zero)),
    };
    let name = match unit {
        Unit::Clock => "clock",
        Unit::Npt => "npt",
    };
    let end = end.map(moment).unwrap_or_default();
    format!("{name}={}-{end}", moment(start))
}

fn clock_text(at: WallTime) -> String {
    let text = at.to_rfc3339();
    text.chars().filter(|c| *c != '-' && *c != ':').collect()
}

fn npt_text(micros: i64) -> String {
    let micros = micros.max(0);
    format!("{}.{:06}", micros / US_PER_S, micros % US_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> WallTime {
        text.parse().unwrap()
    }

    #[test]
    fn absolute_times_are_read_with_and_without_ends() {
        let start = at("2026-11-23T15:06:21.25Z");
        let header = RangeHeader::parse("clock=20261123T150621.25Z-20261123T151000Z").unwrap();
        assert_eq!(header.unit, Unit::Clock);
        assert_eq!(header.start, Some(Moment::At(start)));
        assert_eq!(header.end, Some(Moment::At(at("2026-11-23T15:10:00Z"))));
        let open = RangeHeader::parse(" clock=20261123T150621.250000Z- ;time=19970123T143720Z");
        assert_eq!(open.unwrap().start, Some(Moment::At(start)));
        assert_eq!(open.unwrap().end, None);
    }

    #[test]
    fn normal_play_time_is_read_in_all_forms() {
        for (text, micros) in [
            ("npt=0-", 0),
            ("npt=0.000-", 0),
            ("npt=12.5-", 12_500_000),
            ("npt=1:02:03.25-", 3_723_250_000),
            ("npt=05:00-", 300_000_000),
            ("npt=-0.6-", 0),
        ] {
            let header = RangeHeader::parse(text).unwrap();
            assert_eq!(header.start, Some(Moment::Offset(micros)), "{text}");
        }
        let now = RangeHeader::parse("npt=now-").unwrap();
        assert_eq!(now.start, Some(Moment::Now));
        let end = RangeHeader::parse("npt=-20").unwrap();
        assert_eq!(
            (end.start, end.end),
            (None, Some(Moment::Offset(20_000_000)))
        );
    }

    #[test]
    fn what_is_no_range_is_none() {
        for text in [
            "",
            "npt",
            "npt=",
            "npt=-",
            "npt=x-",
            "npt=-5-3x",
            "npt=1:2:3:4-",
            "npt=99999999999999999999-",
            "smpte=10:07:00-",
            "clock=2026-11-23T15:06:21Z-",
            "clock=-20261123T150621Z-",
            "clock=20261323T150621Z-",
            "clock=20261123T150621-",
        ] {
            assert_eq!(RangeHeader::parse(text), None, "{text}");
        }
    }

    #[test]
    fn answers_are_in_the_unit_of_the_question() {
        let (zero, start) = (at("2026-11-23T15:00:00Z"), at("2026-11-23T15:06:21.25Z"));
        let end = Some(start.plus_micros(10_000_000));
        assert_eq!(
            format(Unit::Clock, zero, start, end),
            "clock=20261123T150621.250000Z-20261123T150631.250000Z"
        );
        assert_eq!(format(Unit::Npt, zero, start, None), "npt=381.250000-");
        assert_eq!(
            parse_clock("20261123T150621.250000Z"),
            Some(start),
            "and can be asked for again"
        );
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "\\PC{0,60}", tail in "[ -~]{0,60}") {
            RangeHeader::parse(&text);
            RangeHeader::parse(&format!("npt={tail}"));
            RangeHeader::parse(&format!("clock={tail}"));
        }
    }
}
