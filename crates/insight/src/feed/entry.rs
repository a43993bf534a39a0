//! One event or document as every subscriber is told of it.

use framewell_catalog::meta::{Document, Object, Region, Scanned};
use framewell_model::{ChannelId, Event, WallTime};
use serde_json::{Value, json};

/// An entry of a feed. Its text is made once, however many are told.
#[derive(Debug)]
pub struct Entry {
    /// Its number, the cursor behind it.
    pub revision: i64,
    /// What it is.
    pub told: Told,
    text: String,
}

/// What an entry is.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "each lies in an allocation of its own, with its text"
)]
pub enum Told {
    /// An event with its tags.
    Event(Event),
    /// A metadata document.
    Document(Document),
}

impl Entry {
    pub(super) fn event(event: Event) -> Self {
        Self {
            revision: event.revision,
            text: show_event(&event).to_string(),
            told: Told::Event(event),
        }
    }

    pub(super) fn document((revision, document): (i64, Document)) -> Self {
        Self {
            revision,
            text: show_document(&document).to_string(),
            told: Told::Document(document),
        }
    }

    /// The channel that it is about.
    #[must_use]
    pub const fn channel(&self) -> ChannelId {
        match &self.told {
            Told::Event(event) => event.channel,
            Told::Document(document) => document.channel,
        }
    }

    /// For the filters that it is compared with; `None` for an event.
    #[must_use]
    pub const fn scanned(&self) -> Option<Scanned<'_>> {
        match &self.told {
            Told::Event(_) => None,
            Told::Document(document) => Some(Scanned::new(document)),
        }
    }

    /// The word for it: `event` or `document`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self.told {
            Told::Event(_) => "event",
            Told::Document(_) => "document",
        }
    }

    /// The JSON object that subscribers see, on one line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The message about it, a JSON object on one line. `cursor` is where to go on after it, `behind` the
    /// number of entries of all channels that are newer.
    #[must_use]
    pub fn message(&self, cursor: i64, behind: i64) -> String {
        let (word, text) = (self.word(), &self.text);
        format!(r#"{{"behind":{behind},"cursor":"{cursor}","{word}":{text},"type":"{word}"}}"#)
    }
}

/// Paths that lead from an entry to its pixels, good for the token that reads them.
fn links(channel: ChannelId, at: WallTime) -> Value {
    const AROUND_US: i64 = 5_000_000;
    let (start, end) = (at.plus_micros(-AROUND_US), at.plus_micros(AROUND_US));
    json!({
        "image": format!("/v1/channels/{channel}/image?at={at}"),
        "clip": format!("/v1/channels/{channel}/clip.mp4?start={start}&end={end}&wait=true"),
        "live": format!("/v1/channels/{channel}/live"),
    })
}

fn show_event(event: &Event) -> Value {
    let mut links = links(event.channel, event.time);
    links["clip"] = json!(format!("/v1/events/{}/clip.mp4?wait=true", event.id));
    json!({
        "id": event.id,
        "channel": event.channel,
        "name": event.name,
        "time": event.time.to_rfc3339(),
        "created": event.created.to_rfc3339(),
        "source": event.source.as_str(),
        "tags": event.tags,
        "notify": event.notify,
        "links": links,
    })
}

/// A document as the native face shows it: what it does not have is left out, apart from the typed maps.
#[must_use]
pub fn show_document(document: &Document) -> Value {
    let native = &document.native;
    let captured = native.frame.and_then(|frame| frame.captured);
    let at = captured.unwrap_or(document.timestamp);
    let mut shown = json!({
        "id": document.id,
        "channel": document.channel,
        "timestamp": document.timestamp.to_rfc3339(),
        "long": document.long,
        "float": document.float,
        "string": document.string,
        "raw_data": document.raw_data,
        "links": links(document.channel, at),
    });
    if let Some(frame) = native.frame {
        shown["frame"] = frame.id.to_string().into();
    }
    if !native.objects.is_empty() {
        let objects = native.objects.iter();
        let objects = objects.map(|object| show_object(object, document.channel, at));
        shown["objects"] = objects.collect();
    }
    if let Some(data) = &native.data {
        shown["data"] = data.clone();
    }
    if let Some(model) = &native.model {
        shown["model"] = json!({ "name": model.name });
        if let Some(version) = &model.version {
            shown["model"]["version"] = version.as_str().into();
        }
    }
    if let Some(dimensions) = native.vector.dimensions() {
        shown["vector_dimensions"] = dimensions.into();
    }
    shown
}

fn show_object(object: &Object, channel: ChannelId, at: WallTime) -> Value {
    let mut shown = serde_json::to_value(object).unwrap_or_default();
    if let Some(crop) = object.region().and_then(crop) {
        let image = format!("/v1/channels/{channel}/image?at={at}&crop={crop}");
        shown["links"] = json!({ "image": image });
    }
    shown
}

/// A region as the picture routes take it, in millionths rounded inwards; `None` if it has no area.
fn crop(region: Region) -> Option<String> {
    const PARTS: f64 = 1e6;
    let from = |edge: f64| (edge.clamp(0.0, 1.0) * PARTS).ceil() / PARTS;
    let to = |edge: f64| (edge.clamp(0.0, 1.0) * PARTS).floor() / PARTS;
    let (x, y) = (from(region.min_x), from(region.min_y));
    let (width, height) = (to(region.max_x) - x, to(region.max_y) - y);
    (width > 0.0 && height > 0.0).then(|| format!("{x:.6},{y:.6},{width:.6},{height:.6}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_message_is_the_json_that_it_says_on_one_line() {
        let document = Document {
            id: "a\"\n".into(),
            channel: ChannelId::new(7).unwrap(),
            timestamp: WallTime::from_secs(0),
            long: BTreeMap::from([("Person".into(), i64::MAX)]),
            float: BTreeMap::new(),
            string: BTreeMap::from([("line".into(), "one\r\ntwo\u{2028}".into())]),
            raw_data: None,
            native: framewell_catalog::meta::Native::default(),
        };
        let message = Entry::document((3, document)).message(5, 2);
        assert_eq!(message.lines().count(), 1);
        let read: Value = serde_json::from_str(&message).unwrap();
        assert_eq!(read["type"], "document");
        assert_eq!((&read["cursor"], &read["behind"]), (&json!("5"), &json!(2)));
        assert_eq!(read["document"]["id"], "a\"\n");
        assert_eq!(read["document"]["long"]["Person"], i64::MAX);
    }

    #[test]
    fn a_crop_lies_within_the_picture() {
        let region = |min_x, min_y, max_x, max_y| Region {
            min_x,
            min_y,
            max_x,
            max_y,
        };
        let whole = crop(region(0.0, 0.0, 1.0 + 1e-7, 1.0)).unwrap();
        assert_eq!(whole, "0.000000,0.000000,1.000000,1.000000");
        let third = crop(region(1.0 / 3.0, 0.5, 2.0 / 3.0, 1.0)).unwrap();
        assert_eq!(third, "0.333334,0.500000,0.333332,0.500000");
        assert_eq!(crop(region(0.5, 0.5, 0.5, 0.7)), None);
    }
}
