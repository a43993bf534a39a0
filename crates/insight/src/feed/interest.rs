//! What somebody whom the server tells by itself wants to hear, as clients write it.

use super::Topic;
use crate::{Error, parse_native_filter};
use framewell_catalog::EventFilter;
use framewell_catalog::meta::Filter;
use framewell_model::ChannelId;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Events, documents or both, of some channels or all that its owner may see.
#[derive(Debug, Clone)]
pub struct Interest {
    /// Which events; `None` for none.
    pub events: Option<EventFilter>,
    /// Which documents; `None` for none.
    pub documents: Option<Filter>,
    /// Of these channels only.
    pub channels: Option<BTreeSet<ChannelId>>,
}

impl Interest {
    /// Reads the members `events`, `documents` and `channels`; others are not looked at.
    pub fn parse(object: &Map<String, Value>) -> Result<Self, Error> {
        let interest = Self {
            events: wanted(object, "events")?
                .map(|object| events(&object))
                .transpose()?,
            documents: wanted(object, "documents")?
                .map(|object| documents(&object))
                .transpose()?,
            channels: channels(object)?,
        };
        if interest.events.is_none() && interest.documents.is_none() {
            let text = "neither events nor documents are wanted: say events, documents or both";
            return Err(Error::Invalid(text.into()));
        }
        Ok(interest)
    }

    /// What to follow.
    #[must_use]
    pub fn topics(&self) -> Vec<Topic> {
        let events = self.events.clone().map(Topic::Events);
        let documents = self.documents.clone().map(Topic::Documents);
        events.into_iter().chain(documents).collect()
    }
}

/// `true` is `{}`; `false` and absence are nothing.
fn wanted(object: &Map<String, Value>, name: &str) -> Result<Option<Map<String, Value>>, Error> {
    match object.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(Value::Bool(true)) => Ok(Some(Map::new())),
        Some(Value::Object(object)) => Ok(Some(object.clone())),
        Some(_) => invalid(format!("{name} is neither true nor an object")),
    }
}

fn events(object: &Map<String, Value>) -> Result<EventFilter, Error> {
    only(object, "events", &["names", "tags", "without_tags"])?;
    let names = words(object, "names")?;
    let filter = EventFilter {
        names: (!names.is_empty()).then_some(names),
        with_any_tag: words(object, "tags")?,
        without_tags: words(object, "without_tags")?,
        ..EventFilter::default()
    };
    filter.check()?;
    Ok(filter)
}

fn documents(object: &Map<String, Value>) -> Result<Filter, Error> {
    only(object, "documents", &["filter"])?;
    parse_native_filter(object.get("filter"), |text| text.parse().ok())
}

fn channels(object: &Map<String, Value>) -> Result<Option<BTreeSet<ChannelId>>, Error> {
    let ids = match object.get("channels") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(ids)) => ids,
        Some(_) => return invalid("channels is no list of channel ids".into()),
    };
    let read = |id: &Value| {
        let id = id.as_i64().and_then(ChannelId::new);
        id.ok_or_else(|| Error::Invalid("channels is no list of channel ids".into()))
    };
    ids.iter().map(read).collect::<Result<_, _>>().map(Some)
}

fn words(object: &Map<String, Value>, name: &str) -> Result<Vec<String>, Error> {
    let refused = || Error::Invalid(format!("{name} is no list of texts"));
    match object.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(words)) => words
            .iter()
            .map(|word| word.as_str().map(str::to_owned).ok_or_else(refused))
            .collect(),
        Some(_) => Err(refused()),
    }
}

/// A typing mistake in a filter would let everything through.
fn only(object: &Map<String, Value>, what: &str, known: &[&str]) -> Result<(), Error> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let shown: String = name.chars().take(40).collect();
            let known = known.join(", ");
            invalid(format!(
                "{shown:?} is no member of {what}; there are {known}"
            ))
        }
    }
}

fn invalid<T>(text: String) -> Result<T, Error> {
    Err(Error::Invalid(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<Interest, Error> {
        Interest::parse(value.as_object().unwrap())
    }

    #[test]
    fn what_is_wanted_is_read_and_mistakes_are_named() {
        let all = parse(json!({"events": true})).unwrap();
        assert_eq!(all.events, Some(EventFilter::default()));
        assert!(all.documents.is_none() && all.channels.is_none());
        let some = json!({
            "events": {"names": ["door"], "without_tags": ["seen"]},
            "documents": {"filter": {"field": "long.Person", "gt": 0}},
            "channels": [3, 1],
        });
        let some = parse(some).unwrap();
        assert_eq!(some.topics().len(), 2);
        assert_eq!(some.events.unwrap().names.unwrap(), ["door"]);
        assert_eq!(some.channels.unwrap().len(), 2);
        let native = json!({"and": [{"field": "objects.label", "eq": "car"}, {"text": "red"}]});
        let native = parse(json!({"documents": {"filter": native}})).unwrap();
        assert!(native.documents.is_some(), "as searches do");
        for wrong in [
            json!({}),
            json!({"events": false}),
            json!({"events": 1}),
            json!({"events": {"name": ["door"]}}),
            json!({"events": {"names": "door"}}),
            json!({"documents": {"filter": {"field": "x"}}}),
            json!({"events": true, "channels": [0]}),
            json!({"events": true, "channels": "1"}),
        ] {
            assert!(
                matches!(parse(wrong.clone()), Err(Error::Invalid(_))),
                "{wrong}"
            );
        }
    }
}
