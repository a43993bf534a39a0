//! Objects of native documents: read, and refused with the name of what is wrong.

use crate::json::clip;
use framewell_catalog::meta::{Bounds, KeyPoint, Object};
use serde_json::{Map, Value};

/// Most objects of one document.
pub const MAX_OBJECTS: usize = 1_000;
/// Most corners of one outline, and most marks of one object.
pub const MAX_POINTS: usize = 1_000;
/// Longest label, track id or name of a mark in bytes.
pub const MAX_LABEL_BYTES: usize = 128;

/// How far a box may reach over the edge of the picture: what rounding to six digits adds.
const ROUNDING: f64 = 1e-6;

/// Reads the member `objects`.
pub(crate) fn read_objects(value: &Value) -> Result<Vec<Object>, String> {
    let Some(objects) = value.as_array() else {
        return Err("objects is not an array".to_owned());
    };
    if objects.len() > MAX_OBJECTS {
        let count = objects.len();
        return Err(format!(
            "objects has {count} elements, at most {MAX_OBJECTS} are allowed"
        ));
    }
    let read = |(n, value)| read_object(value, &format!("objects[{n}]"));
    objects.iter().enumerate().map(read).collect()
}

fn read_object(value: &Value, path: &str) -> Result<Object, String> {
    let members = only(
        value,
        path,
        &["label", "score", "track", "box", "polygon", "points"],
    )?;
    let object = Object {
        label: word(members, path, "label")?,
        score: part(members, path, "score")?,
        track: track(members, path)?,
        bounds: present(members, "box")
            .map(|value| read_box(value, &format!("{path}.box")))
            .transpose()?,
        polygon: present(members, "polygon")
            .map(|value| read_polygon(value, &format!("{path}.polygon")))
            .transpose()?
            .unwrap_or_default(),
        points: present(members, "points")
            .map(|value| read_points(value, &format!("{path}.points")))
            .transpose()?
            .unwrap_or_default(),
    };
    if object.label.is_none() && object.region().is_none() {
        return Err(format!(
            "{path} has neither a label nor a box, a polygon or points"
        ));
    }
    Ok(object)
}

/// A box as `{x, y, width, height}`; also the region of filters.
pub(crate) fn read_box(value: &Value, path: &str) -> Result<Bounds, String> {
    let members = only(value, path, &["x", "y", "width", "height"])?;
    let side = |name| {
        let side = part(members, path, name)?;
        side.ok_or_else(|| format!("{path}.{name} is missing"))
    };
    let bounds = Bounds {
        x: side("x")?,
        y: side("y")?,
        width: side("width")?,
        height: side("height")?,
    };
    for (name, start, length) in [
        ("width", bounds.x, bounds.width),
        ("height", bounds.y, bounds.height),
    ] {
        if length <= 0.0 {
            return Err(format!("{path}.{name} is not more than 0"));
        }
        if start + length > 1.0 + ROUNDING {
            return Err(format!(
                "{path} reaches outside of the picture: {start} and {name} {length} are more than 1"
            ));
        }
    }
    Ok(bounds)
}

fn read_polygon(value: &Value, path: &str) -> Result<Vec<[f64; 2]>, String> {
    let corners = list(value, path)?;
    if corners.len() < 3 {
        return Err(format!("{path} has fewer than 3 corners"));
    }
    let corner = |(n, value): (usize, &Value)| {
        let pair = value.as_array().map(Vec::as_slice);
        let Some([x, y]) = pair else {
            return Err(format!("{path}[{n}] is not a pair [x, y]"));
        };
        let place = |value, axis| number_part(value, &format!("{path}[{n}][{axis}]"));
        Ok([place(x, 0)?, place(y, 1)?])
    };
    corners.iter().enumerate().map(corner).collect()
}

fn read_points(value: &Value, path: &str) -> Result<Vec<KeyPoint>, String> {
    let read = |(n, value)| {
        let path = format!("{path}[{n}]");
        let members = only(value, &path, &["name", "x", "y", "score"])?;
        let place =
            |name| part(members, &path, name)?.ok_or_else(|| format!("{path}.{name} is missing"));
        Ok(KeyPoint {
            name: word(members, &path, "name")?,
            x: place("x")?,
            y: place("y")?,
            score: part(members, &path, "score")?,
        })
    };
    list(value, path)?.iter().enumerate().map(read).collect()
}

fn list<'a>(value: &'a Value, path: &str) -> Result<&'a Vec<Value>, String> {
    match value.as_array() {
        None => Err(format!("{path} is not an array")),
        Some(list) if list.len() > MAX_POINTS => Err(format!(
            "{path} has {} elements, at most {MAX_POINTS} are allowed",
            list.len()
        )),
        Some(list) => Ok(list),
    }
}

/// The members of an object that has no others than these: a typing mistake must not lose data.
pub(crate) fn only<'a>(
    value: &'a Value,
    path: &str,
    known: &[&str],
) -> Result<&'a Map<String, Value>, String> {
    let Some(members) = value.as_object() else {
        return Err(format!("{path} is not an object"));
    };
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(members),
        Some(name) => Err(format!(
            "{path} has no member {:?}; it has {}",
            clip(name),
            known.join(", ")
        )),
    }
}

/// A member that is there and not null.
pub(crate) fn present<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

/// A short text.
pub(crate) fn word(
    members: &Map<String, Value>,
    path: &str,
    name: &str,
) -> Result<Option<String>, String> {
    match present(members, name) {
        None => Ok(None),
        Some(Value::String(text)) if is_word(text) => Ok(Some(text.clone())),
        Some(_) => Err(format!(
            "{path}.{name} is not a text of 1 to {MAX_LABEL_BYTES} bytes"
        )),
    }
}

fn is_word(text: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&text.len()) && !text.contains('\0')
}

/// Trackers count: an integer is taken as its text.
fn track(members: &Map<String, Value>, path: &str) -> Result<Option<String>, String> {
    match present(members, "track") {
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Ok(Some(number.to_string()))
        }
        _ => word(members, path, "track"),
    }
}

/// A number of 0 to 1.
fn part(members: &Map<String, Value>, path: &str, name: &str) -> Result<Option<f64>, String> {
    present(members, name)
        .map(|value| number_part(value, &format!("{path}.{name}")))
        .transpose()
}

fn number_part(value: &Value, path: &str) -> Result<f64, String> {
    let number = value
        .as_f64()
        .ok_or_else(|| format!("{path} is not a number"))?;
    if (0.0..=1.0).contains(&number) {
        return Ok(number);
    }
    Err(format!("{path} {number} is not between 0 and 1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(object: Value) -> String {
        read_objects(&json!([{"label": "good"}, object])).unwrap_err()
    }

    #[test]
    fn every_shape_is_read() {
        let objects = json!([{
            "label": "person", "score": 0.9, "track": 17,
            "box": {"x": 0, "y": 0.5, "width": 1, "height": 0.5},
            "polygon": [[0, 0], [1, 0], [0.5, 1]],
            "points": [{"name": "nose", "x": 0.5, "y": 0.25, "score": 1}, {"x": 0, "y": 1}],
        }, {"label": "scene", "score": null}]);
        let read = read_objects(&objects).unwrap();
        assert_eq!(read[0].track.as_deref(), Some("17"));
        assert_eq!(read[0].polygon[2], [0.5, 1.0]);
        assert_eq!(read[0].points[1].name, None);
        assert_eq!(read[1].region(), None);
    }

    #[test]
    fn refusals_name_the_element_and_the_member() {
        for (object, expected) in [
            (json!(5), "objects[1] is not an object"),
            (
                json!({}),
                "objects[1] has neither a label nor a box, a polygon or points",
            ),
            (
                json!({"label": ""}),
                "objects[1].label is not a text of 1 to 128 bytes",
            ),
            (
                json!({"label": "a", "score": 1.5}),
                "objects[1].score 1.5 is not between 0 and 1",
            ),
            (
                json!({"label": "a", "score": "high"}),
                "objects[1].score is not a number",
            ),
            (
                json!({"box": {"x": 0, "y": 0, "width": 0.5}}),
                "objects[1].box.height is missing",
            ),
            (
                json!({"box": {"x": 0, "y": 0, "width": 0.5, "height": 0}}),
                "objects[1].box.height is not more than 0",
            ),
            (
                json!({"box": {"x": -0.5, "y": 0, "width": 0.5, "height": 1}}),
                "objects[1].box.x -0.5 is not between 0 and 1",
            ),
            (
                json!({"box": [0, 0, 1, 1]}),
                "objects[1].box is not an object",
            ),
            (
                json!({"polygon": [[0, 0], [1, 1]]}),
                "objects[1].polygon has fewer than 3 corners",
            ),
            (
                json!({"polygon": [[0, 0], [1, 1], [2]]}),
                "objects[1].polygon[2] is not a pair [x, y]",
            ),
            (
                json!({"polygon": [[0, 0], [1, 1], [0, 2]]}),
                "objects[1].polygon[2][1] 2 is not between 0 and 1",
            ),
            (
                json!({"points": [{"x": 0}]}),
                "objects[1].points[0].y is missing",
            ),
        ] {
            assert_eq!(refusal(object), expected);
        }
        let outside = json!({"box": {"x": 0.75, "y": 0, "width": 0.5, "height": 1}});
        assert!(refusal(outside).contains("outside of the picture"));
        assert!(refusal(json!({"lable": "a"})).contains("no member \"lable\""));
        let many = Value::from(vec![json!({"label": "a"}); MAX_OBJECTS + 1]);
        assert!(read_objects(&many).unwrap_err().contains("1001"));
    }
}
