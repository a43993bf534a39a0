//! What viewers say on a data channel, and what they are told: JSON objects, one a message. Sans-IO.

use framewell_model::{ErrorKind, WallTime};
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest message read.
const MAX_MESSAGE: usize = 4 << 10;
/// Slowest and fastest play of recorded footage.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.1..=16.0;

/// A wish of a viewer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wish {
    /// Recorded footage from here on, at this speed.
    Seek(WallTime, f64),
    /// What the camera sees now.
    Live,
    /// Send nothing, or go on.
    Pause(bool),
    /// How fast recorded footage plays.
    Speed(f64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    seek: Option<String>,
    live: Option<bool>,
    pause: Option<bool>,
    speed: Option<f64>,
}

/// Reads the wishes of a message. The error is words for the viewer.
pub fn read(message: &[u8]) -> Result<Vec<Wish>, String> {
    if message.len() > MAX_MESSAGE {
        return Err(format!("a message has at most {MAX_MESSAGE} bytes"));
    }
    let message: Message = serde_json::from_slice(message)
        .map_err(|_| "a message is a JSON object with seek, live, pause or speed".to_owned())?;
    if message.speed.is_some_and(|speed| !SPEEDS.contains(&speed)) {
        return Err(format!("speed is {} to {}", SPEEDS.start(), SPEEDS.end()));
    }
    let mut wishes = Vec::new();
    match (&message.seek, message.live, message.speed) {
        (Some(_), Some(true), _) => return Err("seek and live exclude each other".to_owned()),
        (Some(text), _, speed) => {
            let time = text.parse();
            let time = time.map_err(|_| "seek is a time such as 2026-11-23T15:00:00Z")?;
            wishes.push(Wish::Seek(time, speed.unwrap_or(1.0)));
        }
        (None, Some(true), Some(_)) => return Err("live has one speed".to_owned()),
        (None, Some(true), None) => wishes.push(Wish::Live),
        (None, Some(false), _) => return Err("to leave live, seek".to_owned()),
        (None, None, speed) => wishes.extend(speed.map(Wish::Speed)),
    }
    wishes.extend(message.pause.map(Wish::Pause));
    if wishes.is_empty() {
        return Err("nothing is asked for: seek, live, pause or speed".to_owned());
    }
    Ok(wishes)
}

/// The first picture after a change: when it was captured, and whether it is live.
pub fn playing(time: WallTime, is_live: bool, speed: f64) -> Value {
    json!({ "type": "playing", "time": time.to_rfc3339(), "live": is_live, "speed": speed })
}

/// Recorded footage has a hole here and goes on behind it.
pub fn gap(start: WallTime, end: WallTime) -> Value {
    json!({ "type": "gap", "start": start.to_rfc3339(), "end": end.to_rfc3339() })
}

/// Nothing is sent until the viewer asks for it.
pub fn paused() -> Value {
    json!({ "type": "paused" })
}

/// Pictures that this viewer was too slow for.
pub fn missed(pictures: u64) -> Value {
    json!({ "type": "missed", "frames": pictures })
}

/// A wish that cannot be fulfilled; what played before goes on.
pub fn refused(kind: ErrorKind, message: &str) -> Value {
    json!({ "type": "error", "error": { "code": kind.label(), "message": message } })
}

/// Recorded footage is over, or the session is.
pub fn ended(reason: &str) -> Value {
    json!({ "type": "end", "reason": reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read() {
        let time: WallTime = "2026-11-23T15:00:00Z".parse().unwrap();
        let wishes = read(br#"{"seek":"2026-11-23T15:00:00Z","speed":2}"#);
        assert_eq!(wishes, Ok(vec![Wish::Seek(time, 2.0)]));
        assert_eq!(read(br#"{"live":true}"#), Ok(vec![Wish::Live]));
        assert_eq!(read(br#"{"speed":0.5}"#), Ok(vec![Wish::Speed(0.5)]));
        assert_eq!(read(br#"{"pause":false}"#), Ok(vec![Wish::Pause(false)]));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for bad in [
            &b"{}"[..],
            b"[]",
            b"seek",
            br#"{"seek":"yesterday"}"#,
            br#"{"seek":"2026-11-23T15:00:00Z","live":true}"#,
            br#"{"live":false}"#,
            br#"{"speed":0}"#,
            br#"{"speed":1e9}"#,
            br#"{"rewind":true}"#,
        ] {
            assert!(read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(read(&[b' '; MAX_MESSAGE + 1]).is_err());
    }
}
