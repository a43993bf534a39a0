//! JSON to typed documents. Numbers may arrive as text and texts as numbers; what cannot be kept
//! exactly is refused.

use crate::document::{InputDocument, MAX_ID_BYTES, Patch};
use crate::native::NativePatch;
use framewell_catalog::meta::Native;
use framewell_model::WallTime;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Reads a time in the words of the face that was called.
pub type ReadTime = fn(&str) -> Option<WallTime>;

/// Typed values by name; `None` where the client sent `null`.
type Typed<T> = BTreeMap<String, Option<T>>;

/// Reads a whole document. The error text is for the client.
pub fn parse_document(value: &Value, read_time: ReadTime) -> Result<InputDocument, String> {
    let object = as_object(value)?;
    let timestamp = timestamp(object, read_time)?.ok_or("timestamp is missing")?;
    read_document(object, timestamp)
}

/// Reads the members that all documents have.
pub(crate) fn read_document(
    object: &Map<String, Value>,
    timestamp: WallTime,
) -> Result<InputDocument, String> {
    Ok(InputDocument {
        id: id(object)?,
        timestamp,
        native: Native::default(),
        long: present(typed_map(object, "long", long)?),
        float: present(typed_map(object, "float", float)?),
        string: present(typed_map(object, "string", text)?),
        raw_data: raw_data(object)?.flatten(),
    })
}

/// Reads a partial document.
pub fn parse_patch(value: &Value, read_time: ReadTime) -> Result<Patch, String> {
    let object = as_object(value)?;
    let id = id(object)?.ok_or("id is missing")?;
    read_patch(id, object, read_time)
}

/// Reads what changes of the members that all documents have.
pub(crate) fn read_patch(
    id: String,
    object: &Map<String, Value>,
    read_time: ReadTime,
) -> Result<Patch, String> {
    Ok(Patch {
        id,
        timestamp: timestamp(object, read_time)?,
        native: NativePatch::default(),
        long: typed_map(object, "long", long)?,
        float: typed_map(object, "float", float)?,
        string: typed_map(object, "string", text)?,
        raw_data: raw_data(object)?,
    })
}

/// Reads an element that only names a document.
pub fn parse_id(value: &Value) -> Result<String, String> {
    id(as_object(value)?)?.ok_or_else(|| "id is missing".to_owned())
}

fn as_object(value: &Value) -> Result<&Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| "a document is a JSON object".to_owned())
}

fn id(object: &Map<String, Value>) -> Result<Option<String>, String> {
    match object.get("id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if (1..=MAX_ID_BYTES).contains(&id.len()) => Ok(Some(id.clone())),
        Some(_) => Err(format!("id is not a text of 1 to {MAX_ID_BYTES} bytes")),
    }
}

pub(crate) fn timestamp(
    object: &Map<String, Value>,
    read_time: ReadTime,
) -> Result<Option<WallTime>, String> {
    match object.get("timestamp") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => read_time(text)
            .map(Some)
            .ok_or_else(|| format!("timestamp {:?} is not a time", clip(text))),
        Some(_) => Err("timestamp is not a text".to_owned()),
    }
}

fn raw_data(object: &Map<String, Value>) -> Result<Option<Option<String>>, String> {
    match object.get("raw_data") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::String(text)) => Ok(Some(Some(text.clone()))),
        Some(_) => Err("raw_data is not a text".to_owned()),
    }
}

fn typed_map<T>(
    object: &Map<String, Value>,
    name: &str,
    read: fn(&Value) -> Option<T>,
) -> Result<Typed<T>, String> {
    let members = match object.get(name) {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(format!("{name} is not an object")),
    };
    let read_member = |(key, value): (&String, &Value)| {
        let typed = match value {
            Value::Null => None,
            value => Some(read(value).ok_or_else(|| {
                let key: String = key.chars().take(40).collect();
                format!("{name}.{key} is not a {}", type_name(name))
            })?),
        };
        Ok((key.clone(), typed))
    };
    members.iter().map(read_member).collect()
}

fn type_name(map: &str) -> &'static str {
    match map {
        "long" => "64-bit integer",
        "float" => "finite number",
        _ => "text",
    }
}

/// Integers, whole floats as JavaScript and Python write them (`2.0`), and decimal text.
pub(crate) fn long(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().and_then(whole_float)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A float as an integer, where that loses nothing: beyond 2^53 neighbours are no longer one apart.
fn whole_float(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within 2^53, so the cast is exact"
    )]
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}

/// Finite numbers, and text that is one.
pub(crate) fn float(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}

/// Text; numbers and booleans become theirs.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn present<T>(map: Typed<T>) -> BTreeMap<String, T> {
    map.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// The beginning of a client's text, for a message.
pub(crate) fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read_time(text: &str) -> Option<WallTime> {
        text.parse().ok()
    }

    #[test]
    fn typed_maps_are_read_and_absent_ones_are_empty() {
        let parsed = parse_document(
            &json!({"timestamp": "2024-05-01T10:20:05.947Z", "long": {"n": 12, "big": i64::MAX, "whole": 2.0, "text": "-7"},
                    "float": {"luminosity": 0.114, "int": 3, "text": "1e3"}, "string": {"objects": "people", "n": 5}}),
            read_time,
        )
        .unwrap();
        assert_eq!(parsed.long["big"], i64::MAX);
        assert_eq!(parsed.long["whole"], 2);
        assert_eq!(parsed.long["text"], -7);
        assert_eq!(parsed.float["int"], 3.0);
        assert_eq!(parsed.float["text"], 1000.0);
        assert_eq!(parsed.string["n"], "5");
        assert_eq!(parsed.raw_data, None);
        assert_eq!(parsed.id, None);
        let bare = parse_document(&json!({"timestamp": "2024-05-01T10:20:05Z"}), read_time);
        assert!(bare.unwrap().long.is_empty());
    }

    #[test]
    fn values_that_would_change_are_refused() {
        let refused = |document: Value| parse_document(&document, read_time).unwrap_err();
        let with = |member: &str, value: Value| {
            refused(json!({"timestamp": "2024-05-01T10:20:05Z", member: {"x": value}}))
        };
        assert_eq!(with("long", json!(2.5)), "long.x is not a 64-bit integer");
        assert_eq!(
            with("long", json!(u64::MAX)),
            "long.x is not a 64-bit integer"
        );
        assert_eq!(with("long", json!(true)), "long.x is not a 64-bit integer");
        assert_eq!(
            with("float", json!("NaN")),
            "float.x is not a finite number"
        );
        assert_eq!(
            with("float", json!("inf")),
            "float.x is not a finite number"
        );
        assert_eq!(with("string", json!([1])), "string.x is not a text");
        assert_eq!(refused(json!([])), "a document is a JSON object");
        assert_eq!(refused(json!({})), "timestamp is missing");
        assert_eq!(
            refused(json!({"timestamp": ""})),
            "timestamp \"\" is not a time"
        );
        assert_eq!(
            refused(json!({"timestamp": "2024-05-01T10:20:05Z", "long": 5})),
            "long is not an object"
        );
    }

    #[test]
    fn null_in_a_patch_removes_a_member() {
        let patch = parse_patch(
            &json!({"id": "a", "long": {"x": null}, "raw_data": null}),
            read_time,
        )
        .unwrap();
        assert_eq!(patch.long["x"], None);
        assert_eq!(patch.raw_data, Some(None));
        assert_eq!(patch.timestamp, None);
        assert_eq!(
            parse_patch(&json!({"long": {}}), read_time).unwrap_err(),
            "id is missing"
        );
    }

    proptest! {
        #[test]
        fn every_long_survives_as_number_and_as_text(value: i64) {
            prop_assert_eq!(long(&json!(value)), Some(value));
            prop_assert_eq!(long(&json!(value.to_string())), Some(value));
        }
    }
}
