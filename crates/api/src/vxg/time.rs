//! Times of the compatible face: UTC without a zone, in every form that clients send (contract
//! section 2.5).

use crate::error::ApiError;
use crate::params::Params;
use framewell_model::WallTime;
use serde_json::{Map, Value};

/// Reads a time. Accepted: a date alone; `T` or a space before the time of day; no seconds, or
/// seconds with up to nine digits of fraction; `Z` or an offset although none is needed; month, day
/// and hour with one digit.
pub(crate) fn read_time(text: &str) -> Option<WallTime> {
    let (date, rest) = match text.split_once(['T', ' ']) {
        Some((date, rest)) => (date, Some(rest)),
        None => (text, None),
    };
    let date = read_date(date)?;
    let (clock, offset) = match rest {
        Some(rest) => split_offset(rest),
        None => ("00:00", "Z"),
    };
    format!("{date}T{}{offset}", read_clock(clock)?)
        .parse()
        .ok()
}

/// `YYYY-M-D` as `YYYY-MM-DD`; the calendar is checked later.
fn read_date(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_year = year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !is_year {
        return None;
    }
    Some(format!(
        "{year}-{:02}-{:02}",
        two_digits(month)?,
        two_digits(day)?
    ))
}

/// Time of day and its zone; none means UTC.
fn split_offset(text: &str) -> (&str, &str) {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return (clock, "Z");
    }
    match text.rfind(['+', '-']) {
        Some(at) => text.split_at(at),
        None => (text, "Z"),
    }
}

/// `h:mm[:ss[.f…]]` as `hh:mm:ss.ffffff`.
fn read_clock(text: &str) -> Option<String> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, fraction),
        None => (text, "0"),
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (two_digits(parts.next()?)?, two_digits(parts.next()?)?);
    let second = parts.next();
    let is_fraction = (1..=9).contains(&fraction.len())
        && fraction.bytes().all(|b| b.is_ascii_digit())
        && (second.is_some() || fraction == "0");
    if parts.next().is_some() || !is_fraction {
        return None;
    }
    let second = second.map_or(Some(0), two_digits)?;
    // A leap second would come back as another text than it was sent.
    if second > 59 {
        return None;
    }
    Some(format!("{hour:02}:{minute:02}:{second:02}.{fraction}"))
}

fn two_digits(text: &str) -> Option<u8> {
    let is_plain = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// A time in the query. Present but empty is an error, as for any text that is no time: pages with
/// empty input fields must not get the whole archive.
pub(crate) fn query_time(params: &Params, name: &str) -> Result<Option<WallTime>, ApiError> {
    params
        .get(name)
        .map(|text| required(text, name))
        .transpose()
}

/// A time in a body; `null` is `Some(None)`.
pub(crate) fn body_time(
    body: &Map<String, Value>,
    name: &str,
) -> Result<Option<Option<WallTime>>, ApiError> {
    match body.get(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::String(text)) => required(text, name).map(|time| Some(Some(time))),
        Some(_) => Err(ApiError::invalid(format!("{name} is not a text"))),
    }
}

fn required(text: &str, name: &str) -> Result<WallTime, ApiError> {
    read_time(text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        ApiError::invalid(format!(
            "{name} {shown:?} is not a time such as 2024-05-01T10:20:30.5"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str) -> String {
        read_time(input)
            .unwrap_or_else(|| panic!("{input}"))
            .to_naive_text()
    }

    #[test]
    fn every_form_that_clients_send_is_read() {
        for (input, expected) in [
            ("2024-05-01T10:20:30", "2024-05-01T10:20:30.000000"),
            ("2024-05-01T10:20:30.123", "2024-05-01T10:20:30.123000"),
            ("2024-05-01T10:20:30.123456", "2024-05-01T10:20:30.123456"),
            ("2024-05-01 10:20:30.123456", "2024-05-01T10:20:30.123456"),
            ("2024-05-01T10:20", "2024-05-01T10:20:00.000000"),
            ("2024-05-01T10:20:30.5Z", "2024-05-01T10:20:30.500000"),
            ("2024-05-01T12:20:30+02:00", "2024-05-01T10:20:30.000000"),
            ("2024-05-01", "2024-05-01T00:00:00.000000"),
            ("2024-05-1", "2024-05-01T00:00:00.000000"),
            ("2024-5-01T9:05:06", "2024-05-01T09:05:06.000000"),
            ("2024-02-29T00:00:00.000", "2024-02-29T00:00:00.000000"),
        ] {
            assert_eq!(text(input), expected, "{input}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        for input in [
            "",
            "NaN-aN-aNTaN:aN:aN",
            "now",
            "2024",
            "2024-05",
            "2024-13-01",
            "2023-02-29",
            "2024-05-01T",
            "2024-05-01T10",
            "2024-05-01T25:00:00",
            "2024-05-01T10:61:00",
            "2024-05-01T10:20:30.",
            "2024-05-01T10:20:30,5",
            "2024-05-01T10:20.5",
            "2024-05-01T10:20:30ZZ",
            "2024-05-01T10:20:30 junk",
            "1714558830",
            "-2024-05-01",
            "2024-05-01T10:20:60",
            "24-05-01",
            "2024-05-01T10:20:30+2",
        ] {
            assert_eq!(read_time(input), None, "{input}");
        }
    }

    #[test]
    fn what_we_write_we_read() {
        let time = WallTime::from_micros(1_714_558_830_123_456);
        assert_eq!(read_time(&time.to_naive_text()), Some(time));
    }

    #[test]
    fn an_empty_time_in_a_query_is_an_error() {
        assert!(query_time(&Params::parse(Some("start=")), "start").is_err());
        assert!(query_time(&Params::default(), "start").unwrap().is_none());
    }
}
