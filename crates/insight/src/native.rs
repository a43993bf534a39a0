//! Native documents: the compatible ones and what they add.

use crate::document::{InputDocument, Patch};
use crate::json::{self, ReadTime};
use crate::objects::{only, present, read_objects, word};
use crate::sketch::sketch;
use framewell_catalog::meta::{Document, Frame, Model, Native, Object, Vector};
use framewell_model::{FrameId, WallTime};
use serde_json::{Map, Value};

/// Most numbers of a vector.
pub const MAX_DIMENSIONS: usize = 4_096;
/// Longest `data` as JSON in bytes.
pub const MAX_DATA_BYTES: usize = 64 << 10;
/// Deepest nesting of `data`.
pub const MAX_DATA_DEPTH: usize = 32;

/// Members of a document as they are sent.
const MEMBERS: [&str; 12] = [
    "id",
    "channel",
    "timestamp",
    "long",
    "float",
    "string",
    "raw_data",
    "frame",
    "objects",
    "data",
    "model",
    "vector",
];

/// A native document that may wait for its frame to say when it is.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeDocument {
    /// The moment it is about, if it says so.
    pub timestamp: Option<WallTime>,
    rest: InputDocument,
}

impl NativeDocument {
    /// The frame that it is about.
    #[must_use]
    pub fn frame(&self) -> Option<FrameId> {
        self.rest.native.frame.map(|frame| frame.id)
    }

    /// The document at a moment; `captured` is when its frame was captured, if that is known.
    #[must_use]
    pub fn at(self, timestamp: WallTime, captured: Option<WallTime>) -> InputDocument {
        let mut document = self.rest;
        document.timestamp = timestamp;
        if let Some(frame) = &mut document.native.frame {
            frame.captured = captured;
        }
        document
    }
}

/// What a patch does to the native members; `None` leaves one as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NativePatch {
    /// Another frame, or none.
    pub frame: Option<Option<Frame>>,
    /// Other objects; all of them are replaced.
    pub objects: Option<Vec<Object>>,
    /// Other free JSON, or none.
    pub data: Option<Option<Value>>,
    /// Another model, or none.
    pub model: Option<Option<Model>>,
    /// Another vector, or none.
    pub vector: Option<Vector>,
}

impl NativePatch {
    /// Changes `document` in place.
    pub(crate) fn apply(self, document: &mut Document) {
        let native = &mut document.native;
        if let Some(frame) = self.frame {
            native.frame = frame;
        }
        if let Some(objects) = self.objects {
            native.objects = objects;
        }
        if let Some(data) = self.data {
            native.data = data;
        }
        if let Some(model) = self.model {
            native.model = model;
        }
        if let Some(vector) = self.vector {
            native.vector = vector;
        }
    }
}

/// Reads a whole native document. The error text is for the client and names the member.
pub fn parse_native_document(value: &Value, read_time: ReadTime) -> Result<NativeDocument, String> {
    let members = only(value, "a document", &MEMBERS)?;
    let timestamp = json::timestamp(members, read_time)?;
    if timestamp.is_none() && present(members, "frame").is_none() {
        return Err("timestamp is missing, and there is no frame that says it".to_owned());
    }
    let epoch = WallTime::from_micros(0);
    let mut rest = json::read_document(members, timestamp.unwrap_or(epoch))?;
    rest.native = Native {
        frame: frame(members)?,
        objects: present(members, "objects")
            .map(read_objects)
            .transpose()?
            .unwrap_or_default(),
        data: data(members)?,
        model: model(members)?,
        vector: vector(members)?,
    };
    Ok(NativeDocument { timestamp, rest })
}

/// Reads a partial native document of this id. Typed maps are merged; the other members are replaced,
/// `null` removes one.
pub fn parse_native_patch(id: &str, value: &Value, read_time: ReadTime) -> Result<Patch, String> {
    let members = only(value, "a document", &MEMBERS)?;
    if present(members, "id").is_some_and(|other| other != id) {
        return Err("id is not the one of the path".to_owned());
    }
    let names = |name| members.contains_key(name);
    let mut patch = json::read_patch(id.to_owned(), members, read_time)?;
    patch.native = NativePatch {
        frame: names("frame").then(|| frame(members)).transpose()?,
        objects: match members.get("objects") {
            None => None,
            Some(Value::Null) => Some(Vec::new()),
            Some(objects) => Some(read_objects(objects)?),
        },
        data: names("data").then(|| data(members)).transpose()?,
        model: names("model").then(|| model(members)).transpose()?,
        vector: names("vector").then(|| vector(members)).transpose()?,
    };
    Ok(patch)
}

fn frame(members: &Map<String, Value>) -> Result<Option<Frame>, String> {
    let Some(frame) = present(members, "frame") else {
        return Ok(None);
    };
    let id = frame.as_str().and_then(|text| text.parse().ok());
    let id = id.ok_or("frame is not a frame id as in the header Framewell-Frame of pictures")?;
    Ok(Some(Frame { id, captured: None }))
}

fn data(members: &Map<String, Value>) -> Result<Option<Value>, String> {
    let Some(data) = present(members, "data") else {
        return Ok(None);
    };
    if is_deeper(data, MAX_DATA_DEPTH) {
        return Err(format!("data is nested deeper than {MAX_DATA_DEPTH}"));
    }
    if data.to_string().len() > MAX_DATA_BYTES {
        return Err(format!("data has more than {MAX_DATA_BYTES} bytes"));
    }
    Ok(Some(data.clone()))
}

fn is_deeper(value: &Value, limit: usize) -> bool {
    let Some(limit) = limit.checked_sub(1) else {
        return value.is_array() || value.is_object();
    };
    match value {
        Value::Array(values) => values.iter().any(|value| is_deeper(value, limit)),
        Value::Object(members) => members.values().any(|value| is_deeper(value, limit)),
        _ => false,
    }
}

fn model(members: &Map<String, Value>) -> Result<Option<Model>, String> {
    let Some(model) = present(members, "model") else {
        return Ok(None);
    };
    let members = only(model, "model", &["name", "version"])?;
    Ok(Some(Model {
        name: word(members, "model", "name")?.ok_or("model.name is missing")?,
        version: word(members, "model", "version")?,
    }))
}

fn vector(members: &Map<String, Value>) -> Result<Vector, String> {
    let Some(value) = present(members, "vector") else {
        return Ok(Vector::None);
    };
    let values = read_vector(value)?;
    let sketch = sketch(&values)
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    Ok(Vector::New { values, sketch })
}

/// Numbers that have a direction: finite as 32-bit floats, and not all zero.
pub fn read_vector(value: &Value) -> Result<Vec<f32>, String> {
    let Some(numbers) = value.as_array() else {
        return Err("vector is not an array of numbers".to_owned());
    };
    if numbers.is_empty() || numbers.len() > MAX_DIMENSIONS {
        let count = numbers.len();
        return Err(format!(
            "vector has {count} numbers, 1 to {MAX_DIMENSIONS} are allowed"
        ));
    }
    let read = |(n, value): (usize, &Value)| {
        let number = value.as_f64();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "that is how vectors are stored"
        )]
        let number = number.map(|number| number as f32);
        number
            .filter(|number| number.is_finite())
            .ok_or_else(|| format!("vector[{n}] is not a finite 32-bit number"))
    };
    let values: Vec<f32> = numbers
        .iter()
        .enumerate()
        .map(read)
        .collect::<Result<_, _>>()?;
    if values.iter().all(|value| *value == 0.0) {
        return Err("vector has no direction: all its numbers are 0".to_owned());
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FRAME: &str = "01900000000070008000000000000007.-3600";

    fn read_time(text: &str) -> Option<WallTime> {
        text.parse().ok()
    }

    fn parse(document: Value) -> Result<NativeDocument, String> {
        parse_native_document(&document, read_time)
    }

    #[test]
    fn a_frame_may_say_the_time() {
        let parsed = parse(json!({"frame": FRAME, "channel": 7, "long": {"n": 1}})).unwrap();
        assert_eq!(
            (parsed.timestamp, parsed.frame().unwrap().ticks),
            (None, -3_600)
        );
        let at = WallTime::from_secs(5);
        let document = parsed.at(at, Some(at));
        assert_eq!(
            (document.timestamp, document.native.frame.unwrap().captured),
            (at, Some(at))
        );
        let neither = parse(json!({"long": {"n": 1}})).unwrap_err();
        assert!(neither.contains("timestamp is missing"), "{neither}");
    }

    #[test]
    fn refusals_name_the_member() {
        let mut deep = json!(1);
        for _ in 0..=MAX_DATA_DEPTH {
            deep = json!([deep]);
        }
        for (member, value, expected) in [
            ("frame", json!("7.1"), "frame is not a frame id"),
            ("frame", json!(7), "frame is not a frame id"),
            (
                "vector",
                json!([]),
                "vector has 0 numbers, 1 to 4096 are allowed",
            ),
            (
                "vector",
                json!(vec![1; MAX_DIMENSIONS + 1]),
                "vector has 4097 numbers",
            ),
            (
                "vector",
                json!([1, "x"]),
                "vector[1] is not a finite 32-bit number",
            ),
            (
                "vector",
                json!([1, 1e300]),
                "vector[1] is not a finite 32-bit number",
            ),
            ("vector", json!([0, 0.0, 1e-300]), "no direction"),
            ("vector", json!("AAAA"), "vector is not an array of numbers"),
            ("model", json!("yolo"), "model is not an object"),
            ("model", json!({"version": "1"}), "model.name is missing"),
            ("data", deep.clone(), "data is nested deeper than 32"),
            (
                "data",
                json!("x".repeat(MAX_DATA_BYTES)),
                "data has more than 65536 bytes",
            ),
            ("objects", json!({}), "objects is not an array"),
            ("objekte", json!([]), "no member \"objekte\""),
            ("long", json!({"n": 2.5}), "long.n is not a 64-bit integer"),
        ] {
            let refused = parse(json!({"timestamp": "2024-05-01T10:00:00Z", member: value}));
            let refused = refused.unwrap_err();
            assert!(refused.contains(expected), "{member}: {refused}");
        }
        let mut fits = json!(1);
        for _ in 0..MAX_DATA_DEPTH {
            fits = json!([fits]);
        }
        assert!(parse(json!({"timestamp": "2024-05-01T10:00:00Z", "data": fits})).is_ok());
    }

    #[test]
    fn a_patch_says_what_goes_and_what_stays() {
        let patch = json!({"objects": null, "data": null, "vector": [1], "long": {"n": null}});
        let patch = parse_native_patch("a", &patch, read_time).unwrap();
        assert_eq!(patch.native.objects, Some(Vec::new()));
        assert_eq!(patch.native.data, Some(None));
        assert_eq!((patch.native.frame, patch.native.model), (None, None));
        assert_eq!(patch.native.vector.unwrap().dimensions(), Some(1));
        assert!(parse_native_patch("a", &json!({"id": "b"}), read_time).is_err());
    }
}
