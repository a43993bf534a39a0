//! Documents as clients send them, already typed, and what becomes of them.

use crate::native::NativePatch;
use framewell_catalog::meta::{Document, Native};
use framewell_model::{ChannelId, WallTime};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;

/// Most members in all maps of one document.
pub const MAX_FIELDS: usize = 256;
/// Longest member name in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// Longest text member in bytes.
pub const MAX_TEXT_BYTES: usize = 64 << 10;
/// Longest `raw_data` in bytes.
pub const MAX_RAW_BYTES: usize = 256 << 10;
/// Longest document id in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// Most bytes of one document in all: names, texts, `raw_data`, and `objects` and `data` as JSON.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// Most elements of one write.
pub const MAX_BATCH: usize = 10_000;

/// A whole document to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct InputDocument {
    /// The client's own id, so that a write can be repeated; `None` makes a new one.
    pub id: Option<String>,
    /// The moment it is about.
    pub timestamp: WallTime,
    /// 64-bit integers by name.
    pub long: BTreeMap<String, i64>,
    /// Finite numbers by name.
    pub float: BTreeMap<String, f64>,
    /// Texts by name.
    pub string: BTreeMap<String, String>,
    /// Free text.
    pub raw_data: Option<String>,
    /// What only native documents have.
    pub native: Native,
}

/// A partial document: maps are merged member by member, a member that is `None` goes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Patch {
    /// The document to change.
    pub id: String,
    /// New moment.
    pub timestamp: Option<WallTime>,
    /// Integers to set or remove.
    pub long: BTreeMap<String, Option<i64>>,
    /// Numbers to set or remove.
    pub float: BTreeMap<String, Option<f64>>,
    /// Texts to set or remove.
    pub string: BTreeMap<String, Option<String>>,
    /// New free text; `Some(None)` removes it.
    pub raw_data: Option<Option<String>>,
    /// What becomes of the native members.
    pub native: NativePatch,
}

/// What became of one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Created, with its id (201).
    Created(String),
    /// Replaced, merged or deleted (200).
    Done(String),
    /// The channel has no document with that id (404). A document of another channel looks the same.
    NotFound(String),
    /// Refused (400), and why.
    Refused(String),
}

impl InputDocument {
    /// The stored form.
    pub(crate) fn into_document(self, channel: ChannelId, id: String) -> Document {
        Document {
            id,
            channel,
            timestamp: self.timestamp,
            long: self.long,
            float: self.float,
            string: self.string,
            raw_data: self.raw_data,
            native: self.native,
        }
    }
}

impl Patch {
    /// Changes `document` in place.
    pub(crate) fn apply(self, document: &mut Document) {
        if let Some(timestamp) = self.timestamp {
            document.timestamp = timestamp;
        }
        merge(&mut document.long, self.long);
        merge(&mut document.float, self.float);
        merge(&mut document.string, self.string);
        if let Some(raw_data) = self.raw_data {
            document.raw_data = raw_data;
        }
        self.native.apply(document);
    }
}

fn merge<T>(into: &mut BTreeMap<String, T>, changes: BTreeMap<String, Option<T>>) {
    for (name, value) in changes {
        match value {
            Some(value) => into.insert(name, value),
            None => into.remove(&name),
        };
    }
}

/// Whether a document is within the limits; the text says which one it breaks.
pub(crate) fn check_limits(document: &Document) -> Result<(), String> {
    let names = || {
        document
            .long
            .keys()
            .chain(document.float.keys())
            .chain(document.string.keys())
    };
    if names().count() > MAX_FIELDS {
        return Err(format!("a document may have {MAX_FIELDS} members at most"));
    }
    if let Some(name) = names().find(|name| name.is_empty() || name.len() > MAX_NAME_BYTES) {
        let shown: String = name.chars().take(40).collect();
        return Err(format!(
            "member name {shown:?} is empty or longer than {MAX_NAME_BYTES} bytes"
        ));
    }
    // PostgreSQL cannot store the character, so neither database may.
    let has_nul = |text: &str| text.contains('\0');
    if names().any(|name| has_nul(name))
        || document.string.values().any(|text| has_nul(text))
        || document.raw_data.as_deref().is_some_and(has_nul)
    {
        return Err("texts may not contain the character U+0000".to_owned());
    }
    if let Some((name, _)) = document.float.iter().find(|(_, value)| !value.is_finite()) {
        return Err(format!("float.{name} is not a finite number"));
    }
    let is_long = |text: &&String| text.len() > MAX_TEXT_BYTES;
    if document.string.values().any(|text| is_long(&text)) {
        return Err(format!("a text may have {MAX_TEXT_BYTES} bytes at most"));
    }
    let raw_len = document.raw_data.as_ref().map_or(0, String::len);
    if raw_len > MAX_RAW_BYTES {
        return Err(format!("raw_data may have {MAX_RAW_BYTES} bytes at most"));
    }
    let bytes = names().map(String::len).sum::<usize>()
        + document.string.values().map(String::len).sum::<usize>()
        + raw_len
        + json_len(&document.native.objects)
        + document.native.data.as_ref().map_or(0, json_len);
    if bytes > MAX_DOCUMENT_BYTES {
        return Err(format!(
            "the document has {bytes} bytes, {MAX_DOCUMENT_BYTES} are allowed in all"
        ));
    }
    Ok(())
}

/// Bytes of a value as JSON, which nobody has to hold for that.
fn json_len(value: &impl Serialize) -> usize {
    let mut counted = Counted(0);
    // It takes everything, and what is counted here was JSON or is written as such.
    let _written = serde_json::to_writer(&mut counted, value);
    counted.0
}

/// Counts what is written to it.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_catalog::meta::Object;

    fn document() -> Document {
        Document {
            id: "a".into(),
            channel: ChannelId::new(1).unwrap(),
            timestamp: WallTime::from_secs(5),
            long: BTreeMap::from([("Person".into(), 2)]),
            float: BTreeMap::new(),
            string: BTreeMap::from([("type".into(), "clip".into())]),
            raw_data: Some("raw".into()),
            native: Native::default(),
        }
    }

    #[test]
    fn a_patch_changes_only_the_members_it_names() {
        let mut merged = document();
        let patch = Patch {
            id: "a".into(),
            long: BTreeMap::from([("Car".into(), Some(1)), ("Person".into(), None)]),
            string: BTreeMap::from([("description".into(), Some("x".into()))]),
            ..Patch::default()
        };
        patch.apply(&mut merged);
        assert_eq!(merged.long, BTreeMap::from([("Car".into(), 1)]));
        assert_eq!(merged.string["type"], "clip");
        assert_eq!(merged.string["description"], "x");
        assert_eq!(merged.raw_data.as_deref(), Some("raw"));
        assert_eq!(merged.timestamp, WallTime::from_secs(5));
    }

    #[test]
    fn limits_name_what_is_wrong() {
        let mut infinite = document();
        infinite.float.insert("score".into(), f64::INFINITY);
        assert_eq!(
            check_limits(&infinite).unwrap_err(),
            "float.score is not a finite number"
        );
        let mut wide = document();
        wide.long = (0..=MAX_FIELDS).map(|n| (format!("f{n}"), 0)).collect();
        assert!(check_limits(&wide).unwrap_err().contains("256 members"));
        let mut nul = document();
        nul.string.insert("s".into(), "a\0b".into());
        assert!(check_limits(&nul).unwrap_err().contains("U+0000"));
        let mut unnamed = document();
        unnamed.long.insert(String::new(), 1);
        assert!(check_limits(&unnamed).unwrap_err().contains("empty"));
        assert_eq!(check_limits(&document()), Ok(()));
        // Every part is short enough.
        let mut long = document();
        long.string = (0..16)
            .map(|n| (format!("s{n}"), "x".repeat(MAX_TEXT_BYTES)))
            .collect();
        let error = check_limits(&long).unwrap_err();
        assert!(error.contains("1048576 are allowed in all"), "{error}");
        long.string.remove("s0");
        assert_eq!(check_limits(&long), Ok(()));
        long.native.objects = vec![Object {
            polygon: vec![[0.0, 0.5]; 9_000],
            ..Object::default()
        }];
        assert!(check_limits(&long).is_err());
    }
}
