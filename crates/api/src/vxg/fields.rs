//! Channel settings out of request bodies, shared by v2, v3 and v4.

use crate::error::ApiError;
use crate::vxg::image_live::read_period;
use crate::vxg::input;
use crate::vxg::source::SourceChange;
use framewell_model::{CameraSource, ChannelPatch, NewChannel, RecMode};
use serde_json::{Map, Value};

/// The time zone of a channel that names none.
const DEFAULT_TIMEZONE: &str = "UTC";

/// Reads a channel to be created; every member may be missing.
pub(crate) fn read_new_channel(body: &Map<String, Value>) -> Result<NewChannel, ApiError> {
    let source = match nested_source(body)? {
        None | Some(None) => None,
        Some(Some(change)) if change.is_empty() => None,
        Some(Some(change)) => change.apply(None)?,
    };
    Ok(NewChannel {
        name: input::name(body)?.unwrap_or_default(),
        rec_mode: rec_mode(body)?.unwrap_or_default(),
        timezone: timezone(body)?.unwrap_or_else(|| DEFAULT_TIMEZONE.to_owned()),
        source,
        retention_s: None,
        meta: input::channel_meta(body)?.unwrap_or_default(),
    })
}

/// Reads changes to a channel, the source in its `source` member (v3, v4).
pub(crate) fn read_patch(
    body: &Map<String, Value>,
    stored: Option<&CameraSource>,
) -> Result<ChannelPatch, ApiError> {
    let source = match nested_source(body)? {
        None => None,
        Some(None) => Some(None),
        Some(Some(change)) if change.is_empty() => None,
        Some(Some(change)) => Some(change.apply(stored)?),
    };
    Ok(ChannelPatch {
        source,
        ..read_plain_patch(body)?
    })
}

/// Reads changes to a channel, `url`, `login` and `password` at the top (v2).
pub(crate) fn read_flat_patch(
    body: &Map<String, Value>,
    stored: Option<&CameraSource>,
) -> Result<ChannelPatch, ApiError> {
    let change = SourceChange::read(body)?;
    let source = match change.is_empty() {
        true => None,
        false => Some(change.apply(stored)?),
    };
    Ok(ChannelPatch {
        source,
        ..read_plain_patch(body)?
    })
}

fn read_plain_patch(body: &Map<String, Value>) -> Result<ChannelPatch, ApiError> {
    Ok(ChannelPatch {
        name: input::name(body)?,
        rec_mode: rec_mode(body)?,
        timezone: timezone(body)?,
        image_period_us: read_period(body)?,
        meta: input::channel_meta(body)?,
        ..ChannelPatch::default()
    })
}

/// `Some(None)` for `null`, which removes the source.
fn nested_source(body: &Map<String, Value>) -> Result<Option<Option<SourceChange>>, ApiError> {
    match body.get("source") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::Object(source)) => Ok(Some(Some(SourceChange::read(source)?))),
        Some(_) => Err(ApiError::invalid("source is not an object")),
    }
}

fn rec_mode(body: &Map<String, Value>) -> Result<Option<RecMode>, ApiError> {
    let Some(word) = input::text(body, "rec_mode")? else {
        return Ok(None);
    };
    RecMode::from_word(word)
        .map(Some)
        .ok_or_else(|| ApiError::invalid("rec_mode is none of on, off, by_event, server_by_event"))
}

/// IANA names by their form: areas and cities of letters, digits, `_`, `+` and `-`.
fn timezone(body: &Map<String, Value>) -> Result<Option<String>, ApiError> {
    let Some(name) = input::text(body, "timezone")?.or(input::text(body, "tz")?) else {
        return Ok(None);
    };
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-'))
    };
    if name.len() > 64 || !name.split('/').all(is_part) {
        return Err(ApiError::invalid(
            "timezone is not a name such as Europe/Berlin",
        ));
    }
    Ok(Some(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn create(body: Value) -> Result<NewChannel, ApiError> {
        read_new_channel(body.as_object().unwrap())
    }

    #[test]
    fn a_name_alone_makes_a_channel() {
        let new = create(json!({"name": "x"})).unwrap();
        assert_eq!((new.name.as_str(), new.timezone.as_str()), ("x", "UTC"));
        assert_eq!((new.rec_mode, new.source), (RecMode::On, None));
        assert!(
            create(json!({"name": "x", "source": {}}))
                .unwrap()
                .source
                .is_none()
        );
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(create(json!({"rec_mode": "always"})).is_err());
        assert!(create(json!({"timezone": "Europe/../etc"})).is_err());
        assert!(create(json!({"timezone": ""})).is_err());
        assert!(create(json!({"source": "rtsp://10.0.0.5/"})).is_err());
        assert!(create(json!({"timezone": "America/Argentina/Buenos_Aires"})).is_ok());
        assert!(create(json!({"timezone": "Etc/GMT+3", "unknown": [1]})).is_ok());
    }

    #[test]
    fn null_removes_a_source_and_absence_keeps_it() {
        let stored = create(json!({"source": {"url": "rtsp://10.0.0.5/"}}))
            .unwrap()
            .source;
        let patch = |body: Value| read_patch(body.as_object().unwrap(), stored.as_ref()).unwrap();
        assert_eq!(patch(json!({"source": null})).source, Some(None));
        assert_eq!(patch(json!({"name": "y"})).source, None);
        let flat = json!({"url": "rtsp://10.0.0.5/sub", "token": "share.x"});
        let flat = read_flat_patch(flat.as_object().unwrap(), stored.as_ref()).unwrap();
        assert_eq!(flat.source.unwrap().unwrap().url, "rtsp://10.0.0.5/sub");
    }
}
