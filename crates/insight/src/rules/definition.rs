//! What a rule says, read from JSON and checked.

use super::region::{Anchor, Polygon};
use crate::json::ReadTime;
use crate::{Error, parse_native_filter};
use framewell_catalog::meta::{Document, Filter, Scanned};
use framewell_model::ChannelId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Longest name of a rule or an event, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// Most channels that a rule names.
const MAX_CHANNELS: usize = 1_000;
/// Most tags that a rule gives its events.
const MAX_TAGS: usize = 32;
/// Longest definition as it is stored, in bytes: all are read again every few seconds.
pub(super) const MAX_BYTES: usize = 16 << 10;
/// Longest text of a tag, in bytes.
const MAX_TAG_BYTES: usize = 1_024;
/// Longest time for which something has to last, and longest pause between two events, in seconds.
const MAX_SECONDS: f64 = 86_400.0;
/// Longest time for which documents that come late are waited for, in seconds.
const MAX_TOLERANCE_S: f64 = 60.0;
/// Most objects that a rule counts to.
const MAX_COUNT: u32 = 10_000;

/// Objects that a rule looks for in a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectTest {
    /// Their class; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How sure the engine has to be, 0 to 1; one without a score counts as 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_score: Option<f64>,
    /// Corners of the region that they lie in, as parts of the picture; absent: anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Polygon>,
    /// Which point of an object has to lie there.
    #[serde(default)]
    pub anchor: Anchor,
    /// At least so many of them at once.
    #[serde(default = "one")]
    pub min_count: u32,
    /// At most so many of them at once; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_count: Option<u32>,
    /// Whether each object track is timed by itself; then the counts do not count.
    #[serde(default)]
    pub per_track: bool,
}

const fn one() -> u32 {
    1
}

/// A rule as clients write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// Whether it looks at anything.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Which channels; absent: all that the token opens, also those that come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<BTreeSet<ChannelId>>,
    /// Which documents it looks at, as a filter; absent: all.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub among: Option<Value>,
    /// Objects that have to be there; this or `filter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectTest>,
    /// A filter that documents have to match; this or `objects`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Value>,
    /// How long it has to last by the times of the documents.
    #[serde(default)]
    pub for_seconds: f64,
    /// Documents further apart than this do not show that it lasted.
    #[serde(default = "ten")]
    pub max_gap_s: f64,
    /// No second event of a cause within this time.
    #[serde(default)]
    pub cooldown_s: f64,
    /// How long documents that come late, or out of order, are waited for.
    #[serde(default = "one_second")]
    pub tolerance_s: f64,
    /// Name of the event.
    pub event: String,
    /// Tags of the event.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

const fn yes() -> bool {
    true
}

const fn ten() -> f64 {
    10.0
}

const fn one_second() -> f64 {
    1.0
}

/// Microseconds of a checked number of seconds.
pub(super) fn micros(seconds: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be a day at most"
    )]
    let micros = (seconds * 1e6).round() as i64;
    micros
}

/// A definition with its filters understood.
#[derive(Debug, Clone)]
pub(super) struct Understood {
    pub(super) definition: Definition,
    among: Filter,
    filter: Option<Filter>,
}

/// What one document shows of what a rule looks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sight {
    /// Whether it is there.
    pub(super) holds: bool,
    /// How many objects.
    pub(super) count: u32,
    /// Object tracks, for rules that time each by itself.
    pub(super) tracks: BTreeSet<String>,
}

impl Definition {
    /// Reads and checks what a client sent. [`Error::Invalid`] names the member and the limit.
    pub fn read(value: &Value) -> Result<Self, Error> {
        let definition: Self =
            Self::deserialize(value).map_err(|error| Error::Invalid(error.to_string()))?;
        Understood::new(definition.clone())?;
        Ok(definition)
    }

    fn check(&self) -> Result<(), Error> {
        let fail = |text: String| Err(Error::Invalid(text));
        if self.name.len() > MAX_NAME_BYTES {
            return fail(format!("name is longer than {MAX_NAME_BYTES} bytes"));
        }
        if self.event.is_empty() || self.event.len() > MAX_NAME_BYTES {
            return fail(format!("event is a text of 1 to {MAX_NAME_BYTES} bytes"));
        }
        let channels = self.channels.as_ref().map_or(1, BTreeSet::len);
        if channels == 0 || channels > MAX_CHANNELS {
            return fail(format!("channels names 1 to {MAX_CHANNELS} channels"));
        }
        if self.tags.len() > MAX_TAGS {
            return fail(format!("a rule gives {MAX_TAGS} tags at most"));
        }
        let is_good = |(tag, data): (&String, &String)| {
            !tag.is_empty() && tag.len() <= MAX_NAME_BYTES && data.len() <= MAX_TAG_BYTES
        };
        if !self.tags.iter().all(is_good) {
            return fail(format!(
                "the name of a tag has 1 to {MAX_NAME_BYTES} bytes, its text at most {MAX_TAG_BYTES}"
            ));
        }
        for (member, value, least, most) in [
            ("for_seconds", self.for_seconds, 0.0, MAX_SECONDS),
            ("max_gap_s", self.max_gap_s, 0.001, MAX_SECONDS),
            ("cooldown_s", self.cooldown_s, 0.0, MAX_SECONDS),
            ("tolerance_s", self.tolerance_s, 0.0, MAX_TOLERANCE_S),
        ] {
            if !(least..=most).contains(&value) {
                return fail(format!("{member} is not {least} to {most} seconds"));
            }
        }
        self.check_nul()?;
        match (&self.objects, &self.filter) {
            (None, None) => fail("one of objects and filter is missing".to_owned()),
            (Some(_), Some(_)) => {
                fail("a rule has objects or filter, not both; where narrows both down".to_owned())
            }
            (Some(objects), None) => objects.check(),
            (None, Some(_)) => Ok(()),
        }
    }
}

impl Definition {
    /// No text of an event may have one, and a rule that cannot raise its event is of no use.
    fn check_nul(&self) -> Result<(), Error> {
        let label = self.objects.as_ref().and_then(|test| test.label.as_ref());
        let named = [("name", &self.name), ("event", &self.event)];
        let mut texts = named
            .into_iter()
            .chain(label.map(|label| ("objects.label", label)))
            .chain(
                self.tags
                    .iter()
                    .flat_map(|(tag, data)| [("tags", tag), ("tags", data)]),
            );
        match texts.find(|(_, text)| text.contains('\0')) {
            None => Ok(()),
            Some((member, _)) => Err(Error::Invalid(format!(
                "{member} contains the character NUL"
            ))),
        }
    }
}

impl ObjectTest {
    fn check(&self) -> Result<(), Error> {
        let fail = |text: String| Err(Error::Invalid(text));
        if self
            .min_score
            .is_some_and(|score| !(0.0..=1.0).contains(&score))
        {
            return fail("objects.min_score is not 0 to 1".to_owned());
        }
        if let Some(Err(why)) = self.region.as_ref().map(Polygon::check) {
            return fail(format!("objects.region {why}"));
        }
        let most = self.max_count.unwrap_or(MAX_COUNT);
        if self.min_count > most || most > MAX_COUNT {
            return fail(format!(
                "objects.min_count is at most objects.max_count, which is at most {MAX_COUNT}"
            ));
        }
        if self.min_count == 0 && self.max_count.is_none() {
            return fail("objects.min_count 0 without max_count is always so".to_owned());
        }
        Ok(())
    }

    /// What it finds among the objects of a document.
    fn look(&self, document: &Document) -> Sight {
        let mut sight = Sight::default();
        for object in super::sight::objects(document) {
            let is_labelled = self
                .label
                .as_ref()
                .is_none_or(|label| object.label == Some(label.as_str()));
            let is_sure = self
                .min_score
                .is_none_or(|least| object.score.unwrap_or(1.0) >= least);
            let is_inside = self.region.as_ref().is_none_or(|region| {
                let point = object.place.map(|place| place.anchor(self.anchor));
                point.is_some_and(|point| region.contains(point))
            });
            if is_labelled && is_sure && is_inside {
                sight.count = sight.count.saturating_add(1);
                if self.per_track {
                    sight.tracks.extend(object.track.map(str::to_owned));
                }
            }
        }
        sight.holds = if self.per_track {
            !sight.tracks.is_empty()
        } else {
            let most = self.max_count.unwrap_or(u32::MAX);
            (self.min_count..=most).contains(&sight.count)
        };
        sight
    }
}

impl Understood {
    pub(super) fn new(definition: Definition) -> Result<Self, Error> {
        definition.check()?;
        let read_time: ReadTime = |text| text.parse().ok();
        let named = |member: &str, filter: Option<&Value>| {
            let parsed = parse_native_filter(filter, read_time).and_then(|filter| {
                crate::filter::check_word_tests(&filter)?;
                Ok(filter)
            });
            parsed.map_err(|error| match error {
                Error::Invalid(why) => Error::Invalid(format!("{member}: {why}")),
                other => other,
            })
        };
        Ok(Self {
            among: named("where", definition.among.as_ref())?,
            filter: definition
                .filter
                .as_ref()
                .map(|filter| named("filter", Some(filter)))
                .transpose()?,
            definition,
        })
    }

    /// Filters that a database has to accept, too.
    pub(super) fn filters(&self) -> impl Iterator<Item = &Filter> {
        std::iter::once(&self.among).chain(&self.filter)
    }

    /// What a document shows; `None` if the rule does not look at it.
    pub(super) fn look(&self, scanned: &Scanned<'_>) -> Option<Sight> {
        if !self.among.matches_scanned(scanned) {
            return None;
        }
        Some(match (&self.definition.objects, &self.filter) {
            (Some(objects), _) => objects.look(scanned.document()),
            (None, filter) => Sight {
                holds: filter
                    .as_ref()
                    .is_some_and(|filter| filter.matches_scanned(scanned)),
                ..Sight::default()
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(value: Value) -> String {
        Definition::read(&value).unwrap_err().to_string()
    }

    #[test]
    fn a_short_rule_is_enough() {
        let rule = json!({"event": "crowd", "filter": {"field": "long.Person", "gte": 2}});
        let rule = Definition::read(&rule).unwrap();
        assert!(rule.enabled && rule.channels.is_none());
        assert_eq!((rule.for_seconds, rule.tolerance_s), (0.0, 1.0));
    }

    #[test]
    fn filters_know_native_members_as_searches_do() {
        let rule = json!({"event": "a", "filter": {"field": "objects.label", "eq": "car"}, "where": {"text": "red"}});
        let rule = Understood::new(Definition::read(&rule).unwrap()).unwrap();
        let document = |words: &str, label: &str| {
            let document = json!({"id": "d", "timestamp": "2024-05-01T10:00:00Z", "raw_data": words, "objects": [{"label": label}]});
            let read = crate::parse_native_document(&document, |text| text.parse().ok()).unwrap();
            let at = read.timestamp.unwrap();
            read.at(at, None)
                .into_document(ChannelId::new(1).unwrap(), "d".into())
        };
        assert_eq!(rule.look(&Scanned::new(&document("blue", "car"))), None);
        assert!(
            rule.look(&Scanned::new(&document("a Red one", "car")))
                .unwrap()
                .holds
        );
        assert!(
            !rule
                .look(&Scanned::new(&document("a Red one", "dog")))
                .unwrap()
                .holds
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let filter = json!({"field": "long.Person", "gte": 2});
        assert!(refused(json!({"filter": filter})).contains("event"));
        assert!(refused(json!({"event": "a"})).contains("objects and filter"));
        let both = json!({"event": "a", "filter": filter, "objects": {}});
        assert!(refused(both).contains("not both"));
        let misspelt = json!({"event": "a", "filter": filter, "for_second": 3});
        assert!(refused(misspelt).contains("for_second"));
        let bad = json!({"event": "a", "filter": {"field": "lang.Person", "gte": 2}});
        assert!(refused(bad).starts_with("filter: "));
        let bad = json!({"event": "a", "filter": filter, "where": []});
        assert!(refused(bad).starts_with("where: "));
        for (member, value) in [
            ("for_seconds", 86_401.0),
            ("cooldown_s", -1.0),
            ("max_gap_s", 0.0),
            ("tolerance_s", 61.0),
        ] {
            let mut rule = json!({"event": "a", "filter": filter});
            rule[member] = json!(value);
            assert!(refused(rule).starts_with(member), "{member}");
        }
        for (objects, why) in [
            (json!({"min_score": 1.5}), "min_score"),
            (json!({"min_count": 3, "max_count": 2}), "min_count"),
            (json!({"min_count": 0}), "always"),
            (json!({"region": [[0, 0], [1, 1]]}), "region"),
            (json!({"region": [[0, 0], [1, 1], [0, 2]]}), "region"),
            (json!({"lable": "x"}), "lable"),
        ] {
            let text = refused(json!({"event": "a", "objects": objects}));
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn a_rule_looks_for_words_a_few_times_only() {
        let rule = |tests: usize| {
            let test = json!({"field": "raw_data", "words_in": "red"});
            json!({"event": "a", "filter": {"or": vec![test; tests]}})
        };
        assert!(Definition::read(&rule(16)).is_ok());
        assert!(refused(rule(17)).starts_with("filter: the filter looks for words 17 times"));
    }

    #[test]
    fn no_text_of_an_event_has_a_nul() {
        for (member, value) in [
            ("name", json!("a\0")),
            ("event", json!("a\0")),
            ("tags", json!({"a\0": "b"})),
            ("tags", json!({"a": "b\0"})),
            ("objects.label", json!({"label": "a\0"})),
        ] {
            let mut rule = json!({"event": "a", "objects": {}});
            rule[member.split('.').next().unwrap()] = value;
            let text = refused(rule);
            assert!(text.starts_with(member) && text.contains("NUL"), "{text}");
        }
    }

    fn looks(objects: Value, seen: Value) -> Sight {
        let rule = Definition::read(&json!({"event": "a", "objects": objects})).unwrap();
        let document = Document {
            id: "d".into(),
            channel: ChannelId::new(1).unwrap(),
            timestamp: framewell_model::WallTime::from_secs(1),
            long: BTreeMap::new(),
            float: BTreeMap::new(),
            string: BTreeMap::new(),
            raw_data: None,
            native: framewell_catalog::meta::Native {
                objects: serde_json::from_value(seen).unwrap(),
                ..Default::default()
            },
        };
        let rule = Understood::new(rule).unwrap();
        rule.look(&Scanned::new(&document)).unwrap()
    }

    #[test]
    fn objects_count_by_label_score_and_place() {
        let at = |x: f64, y: f64| json!({"x": x, "y": y, "width": 0.2, "height": 0.2});
        let seen = json!([
            {"label": "Person", "score": 0.9, "track": "p1", "box": at(0.1, 0.2)},
            {"label": "Person", "score": 0.5, "track": "p2", "box": at(0.1, 0.6)},
            {"label": "Car", "box": at(0.7, 0.7)},
            {"label": "Person", "track": "p3", "polygon": [[0.6, 0.6], [0.8, 0.6], [0.7, 0.9]]},
            {"label": "Person", "track": "p4"},
        ]);
        let count = |objects: Value| looks(objects, seen.clone()).count;
        assert_eq!(count(json!({})), 5);
        assert_eq!(count(json!({"label": "Person"})), 4);
        assert_eq!(count(json!({"label": "person"})), 0);
        assert_eq!(count(json!({"label": "Person", "min_score": 0.6})), 3);
        let lower = json!([[0, 0.39], [1, 0.39], [1, 1], [0, 1]]);
        assert_eq!(
            count(json!({"region": lower})),
            3,
            "the middle of p1 is at 0.3"
        );
        assert_eq!(count(json!({"region": lower, "anchor": "bottom"})), 4);
        let left = json!([[0, 0], [0.5, 0], [0.5, 1], [0, 1]]);
        let tracks = looks(json!({"region": left, "per_track": true}), seen.clone()).tracks;
        assert_eq!(tracks.into_iter().collect::<Vec<_>>(), ["p1", "p2"]);
        let none = json!({"label": "Dog", "min_count": 0, "max_count": 0});
        assert!(looks(none.clone(), seen.clone()).holds);
        assert!(looks(none, json!([])).holds);
        assert!(!looks(json!({"label": "Person", "max_count": 3}), seen).holds);
    }
}
