//! Members of request bodies: typed, bounded, with an error that names the member.

use crate::error::ApiError;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Longest name of a channel or group, in characters.
const MAX_NAME_CHARS: usize = 255;
/// Most tags of a channel or group.
const MAX_TAGS: usize = 256;
/// Longest tag name in bytes.
const MAX_TAG_BYTES: usize = 128;
/// Longest tag value in bytes.
const MAX_DATA_BYTES: usize = 64 << 10;

/// A text member; `null` counts as absent.
pub(crate) fn text<'a>(
    body: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.contains('\0') => Err(ApiError::invalid(format!(
            "{name} contains the character U+0000"
        ))),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ApiError::invalid(format!("{name} is not a text"))),
    }
}

/// A flag; old clients send it as a text or a number too.
pub(crate) fn flag(body: &Map<String, Value>, name: &str) -> Result<Option<bool>, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(Value::String(text)) if text == "true" || text == "1" => Ok(Some(true)),
        Some(Value::String(text)) if text == "false" || text == "0" => Ok(Some(false)),
        Some(Value::Number(number)) if number.as_i64() == Some(1) => Ok(Some(true)),
        Some(Value::Number(number)) if number.as_i64() == Some(0) => Ok(Some(false)),
        Some(_) => Err(ApiError::invalid(format!(
            "{name} is neither true nor false"
        ))),
    }
}

/// Seconds as a number or as a text, in microseconds; `null` is `Some(None)`. Not a number, infinite,
/// zero and negative ones are refused.
pub(crate) fn seconds(
    body: &Map<String, Value>,
    name: &str,
) -> Result<Option<Option<i64>>, ApiError> {
    let seconds: Option<f64> = match body.get(name) {
        None => return Ok(None),
        Some(Value::Null) => return Ok(Some(None)),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    let micros = seconds.map(|seconds| (seconds * 1e6).round());
    match micros {
        // A day of years and years: whoever asks for more means something else.
        Some(micros) if (1.0..=1e15).contains(&micros) =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "between 1 and 10^15")]
            Ok(Some(Some(micros as i64)))
        }
        _ => Err(ApiError::invalid(format!(
            "{name} is not a positive number of seconds"
        ))),
    }
}

/// Microseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "below 2^53 by far")]
pub(crate) const fn seconds_of(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// The name of a channel or group.
pub(crate) fn name(body: &Map<String, Value>) -> Result<Option<String>, ApiError> {
    let Some(name) = text(body, "name")? else {
        return Ok(None);
    };
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(ApiError::invalid(format!(
            "name is longer than {MAX_NAME_CHARS} characters"
        )));
    }
    Ok(Some(name.to_owned()))
}

/// A tag name.
pub(crate) fn check_tag(tag: &str) -> Result<(), ApiError> {
    if tag.is_empty() || tag.len() > MAX_TAG_BYTES || tag.contains('\0') {
        return Err(ApiError::invalid(format!(
            "a tag is a text of 1 to {MAX_TAG_BYTES} bytes"
        )));
    }
    Ok(())
}

/// A tag value: text, or a number or flag as its text.
pub(crate) fn tag_data(value: &Value) -> Result<String, ApiError> {
    let data = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => return Err(ApiError::invalid("the data of a tag is a text")),
    };
    check_data(data)
}

fn check_data(data: String) -> Result<String, ApiError> {
    if data.len() > MAX_DATA_BYTES || data.contains('\0') {
        return Err(ApiError::invalid(format!(
            "the data of a tag is a text of at most {MAX_DATA_BYTES} bytes without U+0000"
        )));
    }
    Ok(data)
}

/// The `meta` member of a channel: tag to text; `null` clears the map, a `null` value drops its tag.
pub(crate) fn channel_meta(
    body: &Map<String, Value>,
) -> Result<Option<BTreeMap<String, String>>, ApiError> {
    meta(body, tag_data)
}

/// The `meta` member of a group: any JSON by tag, kept as JSON text.
pub(crate) fn group_meta(
    body: &Map<String, Value>,
) -> Result<Option<BTreeMap<String, String>>, ApiError> {
    meta(body, |value| check_data(value.to_string()))
}

fn meta(
    body: &Map<String, Value>,
    read: fn(&Value) -> Result<String, ApiError>,
) -> Result<Option<BTreeMap<String, String>>, ApiError> {
    let members = match body.get("meta") {
        None => return Ok(None),
        Some(Value::Null) => return Ok(Some(BTreeMap::new())),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(ApiError::invalid("meta is not an object")),
    };
    if members.len() > MAX_TAGS {
        return Err(ApiError::invalid(format!(
            "meta has more than {MAX_TAGS} tags"
        )));
    }
    let mut tags = BTreeMap::new();
    for (tag, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        check_tag(tag)?;
        tags.insert(tag.clone(), read(value)?);
    }
    Ok(Some(tags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn members_of_the_wrong_type_are_named() {
        let body = object(json!({"name": 5, "flag": "maybe", "meta": []}));
        assert_eq!(name(&body).unwrap_err().message, "name is not a text");
        assert!(flag(&body, "flag").unwrap_err().message.contains("flag"));
        assert!(channel_meta(&body).unwrap_err().message.contains("meta"));
        let long = object(json!({"name": "x".repeat(256)}));
        assert!(name(&long).is_err());
        assert!(text(&object(json!({"a": "x\u{0}"})), "a").is_err());
    }

    #[test]
    fn seconds_are_numbers_or_texts() {
        let read = |value: Value| seconds(&object(json!({"p": value})), "p");
        assert_eq!(read(json!("5")).unwrap(), Some(Some(5_000_000)));
        assert_eq!(read(json!(" 1.0 ")).unwrap(), Some(Some(1_000_000)));
        assert_eq!(read(json!(0.04)).unwrap(), Some(Some(40_000)));
        assert_eq!(read(json!(60)).unwrap(), Some(Some(60_000_000)));
        assert_eq!(read(json!(null)).unwrap(), Some(None));
        assert_eq!(seconds(&object(json!({})), "p").unwrap(), None);
        for bad in [
            json!(0),
            json!(-1),
            json!("0"),
            json!(""),
            json!("NaN"),
            json!("inf"),
            json!("1e300"),
            json!("5s"),
            json!([5]),
            json!(true),
            json!(1e-9),
            json!(i64::MAX),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn channel_tags_are_text_and_group_tags_stay_json() {
        let body = object(json!({"meta": {"a": "x", "n": 5, "gone": null}}));
        let tags = channel_meta(&body).unwrap().unwrap();
        assert_eq!(tags["a"], "x");
        assert_eq!(tags["n"], "5");
        assert!(!tags.contains_key("gone"));
        let kept = group_meta(&body).unwrap().unwrap();
        assert_eq!(kept["a"], "\"x\"");
        assert_eq!(kept["n"], "5");
        assert_eq!(
            channel_meta(&object(json!({"meta": null}))).unwrap(),
            Some(BTreeMap::new())
        );
        assert_eq!(channel_meta(&object(json!({}))).unwrap(), None);
    }
}
