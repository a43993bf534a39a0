//! A filter over a document in memory. It answers as [`crate::meta_filter`] does in SQL, so that what was
//! read once can be told to many subscribers; a property test compares the two.

use crate::meta::{Document, Field, Filter, Object, ObjectField, Region, Test, Value};
use crate::meta_number::{Bound, Comparison, double_bound, integer_bound};
use crate::meta_text::TextWords;
use crate::text::words;
use framewell_model::WallTime;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;

/// A document that filters are asked about. Its words are split once, whatever number of tests and filters
/// look for some in them, and not before one does.
#[derive(Debug)]
pub struct Scanned<'a> {
    document: &'a Document,
    fields: RefCell<Vec<(Field, BTreeSet<String>)>>,
    text: OnceCell<TextWords>,
}

impl<'a> Scanned<'a> {
    /// Nothing is split yet.
    #[must_use]
    pub const fn new(document: &'a Document) -> Self {
        Self {
            document,
            fields: RefCell::new(Vec::new()),
            text: OnceCell::new(),
        }
    }

    /// The document.
    #[must_use]
    pub const fn document(&self) -> &'a Document {
        self.document
    }

    fn text(&self) -> &TextWords {
        self.text.get_or_init(|| TextWords::of(self.document))
    }

    fn has_words(&self, field: &Field, wanted: &[String]) -> bool {
        let Some(Found::Text(text)) = find(self.document, field) else {
            return false;
        };
        let mut fields = self.fields.borrow_mut();
        if !fields.iter().any(|(known, _)| known == field) {
            fields.push((field.clone(), words(text).collect()));
        }
        let known = fields.iter().find(|(known, _)| known == field);
        let mut wanted = wanted.iter().flat_map(|text| words(text));
        known.is_some_and(|(_, has)| wanted.all(|word| has.contains(&word)))
    }
}

impl Filter {
    /// Whether a document matches, for filters that [`crate::Catalog::check_filter`] accepts. A value of
    /// another type than its field's matches nothing.
    #[must_use]
    pub fn matches(&self, document: &Document) -> bool {
        self.matches_scanned(&Scanned::new(document))
    }

    /// As [`Filter::matches`], for one document and many filters.
    #[must_use]
    pub fn matches_scanned(&self, scanned: &Scanned<'_>) -> bool {
        let document = scanned.document;
        match self {
            Self::And(all) => all.iter().all(|filter| filter.matches_scanned(scanned)),
            Self::Or(any) => any.iter().any(|filter| filter.matches_scanned(scanned)),
            Self::Not(inner) => !inner.matches_scanned(scanned),
            Self::Object(tests) => document.native.objects.iter().any(|object| {
                let mut tests = tests.iter();
                tests.all(|(field, test)| holds_if_any(find_in(object, *field), test))
            }),
            Self::Text(query) => query.matches(scanned.text()),
            Self::Leaf(
                field @ (Field::Id | Field::RawData | Field::String(_)),
                Test::WordsIn(wanted),
            ) => scanned.has_words(field, wanted),
            Self::Leaf(Field::Object(field), test) => {
                let mut objects = document.native.objects.iter();
                let meets = |object: &Object| {
                    find_in(object, *field).is_some_and(|found| holds(found, test))
                };
                match test {
                    // Of no object the opposite.
                    Test::Ne(_) => objects.all(|object| {
                        find_in(object, *field).is_none_or(|found| holds(found, test))
                    }),
                    Test::Exists(false) => !objects.any(|object| find_in(object, *field).is_some()),
                    _ => objects.any(meets),
                }
            }
            Self::Leaf(Field::Frame, test) => {
                let frame = document.native.frame.map(|frame| frame.id.to_string());
                holds_if_any(frame.as_deref().map(Found::Text), test)
            }
            Self::Leaf(field, test) => holds_if_any(find(document, field), test),
        }
    }

    /// How many of its parts go through the words of a document: `words_in`, texts and their phrases.
    #[must_use]
    pub fn word_tests(&self) -> usize {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::word_tests).sum(),
            Self::Not(inner) => inner.word_tests(),
            Self::Leaf(_, Test::WordsIn(_)) => 1,
            Self::Text(query) => query.passes(),
            Self::Leaf(..) | Self::Object(_) => 0,
        }
    }
}

/// The value of a field.
#[derive(Clone, Copy)]
enum Found<'a> {
    Time(WallTime),
    Long(i64),
    Float(f64),
    Text(&'a str),
    Region(Region),
}

fn find<'a>(document: &'a Document, field: &Field) -> Option<Found<'a>> {
    match field {
        Field::Timestamp => Some(Found::Time(document.timestamp)),
        Field::Id => Some(Found::Text(&document.id)),
        Field::RawData => document.raw_data.as_deref().map(Found::Text),
        Field::Long(name) => document.long.get(name).copied().map(Found::Long),
        Field::Float(name) => document.float.get(name).copied().map(Found::Float),
        Field::String(name) => document.string.get(name).map(|text| Found::Text(text)),
        Field::ModelName => {
            let model = document.native.model.as_ref();
            model.map(|model| Found::Text(&model.name))
        }
        Field::ModelVersion => {
            let model = document.native.model.as_ref();
            model?.version.as_deref().map(Found::Text)
        }
        // Its text is made for the test; of objects there may be several.
        Field::Frame | Field::Object(_) => None,
    }
}

/// The value of a field of an object.
fn find_in(object: &Object, field: ObjectField) -> Option<Found<'_>> {
    match field {
        ObjectField::Label => object.label.as_deref().map(Found::Text),
        ObjectField::Score => object.score.map(Found::Float),
        ObjectField::Track => object.track.as_deref().map(Found::Text),
        ObjectField::Region => object.region().map(Found::Region),
    }
}

fn holds_if_any(found: Option<Found<'_>>, test: &Test) -> bool {
    match found {
        Some(found) => holds(found, test),
        None => matches!(test, Test::Ne(_) | Test::Exists(false)),
    }
}

fn holds(found: Found<'_>, test: &Test) -> bool {
    match test {
        Test::Eq(value) => compare(found, Comparison::Eq, value),
        Test::Ne(value) => !compare(found, Comparison::Eq, value),
        Test::Gt(value) => compare(found, Comparison::Gt, value),
        Test::Gte(value) => compare(found, Comparison::Gte, value),
        Test::Lt(value) => compare(found, Comparison::Lt, value),
        Test::Lte(value) => compare(found, Comparison::Lte, value),
        Test::In(values) => values
            .iter()
            .any(|value| compare(found, Comparison::Eq, value)),
        Test::WordsIn(texts) => has_words(found, texts),
        Test::Exists(wanted) => *wanted,
        Test::Intersects(region) => {
            matches!(found, Found::Region(found) if found.intersects(region))
        }
    }
}

fn has_words(found: Found<'_>, texts: &[String]) -> bool {
    let Found::Text(text) = found else {
        return false;
    };
    let has: BTreeSet<String> = words(text).collect();
    let mut wanted = texts.iter().flat_map(|text| words(text));
    wanted.all(|word| has.contains(&word))
}

fn compare(found: Found<'_>, comparison: Comparison, value: &Value) -> bool {
    match (found, value) {
        (Found::Time(found), Value::Time(value)) => comparison.holds(&found, value),
        (Found::Long(found), Value::Long(value)) => comparison.holds(&found, value),
        (Found::Float(found), Value::Float(value)) => comparison.holds(&found, value),
        // By bytes, as both databases compare texts.
        (Found::Text(found), Value::Text(value)) => comparison.holds(found, value.as_str()),
        (Found::Long(found), Value::Float(value)) => {
            !value.is_nan() && within(found, integer_bound(comparison, *value))
        }
        (Found::Float(found), Value::Long(value)) => {
            within(found, double_bound(comparison, *value))
        }
        _ => false,
    }
}

fn within<T: PartialOrd>(found: T, bound: Bound<T>) -> bool {
    match bound {
        Bound::Test(comparison, value) => comparison.holds(&found, &value),
        Bound::Always => true,
        Bound::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{Native, TextQuery};
    use framewell_model::ChannelId;
    use std::collections::BTreeMap;

    #[test]
    fn words_are_split_once_for_all_tests_of_all_filters() {
        let document = Document {
            id: "d".into(),
            channel: ChannelId::new(1).unwrap(),
            timestamp: WallTime::from_secs(1),
            long: BTreeMap::new(),
            float: BTreeMap::new(),
            string: BTreeMap::from([("a".into(), "red car".into())]),
            raw_data: Some("blue bus".into()),
            native: Native::default(),
        };
        let text = Field::String("a".into());
        let leaf = |field: &Field, word: &str| {
            Filter::Leaf(field.clone(), Test::WordsIn(vec![word.to_owned()]))
        };
        let query = TextQuery::parse("bus \"red car\"").unwrap();
        let filter = Filter::And(vec![
            leaf(&text, "RED"),
            leaf(&text, "car"),
            leaf(&Field::RawData, "bus"),
            Filter::Not(Box::new(leaf(&text, "bus"))),
            Filter::Not(Box::new(leaf(&Field::String("b".into()), "bus"))),
            Filter::Text(query.clone()),
            Filter::Text(query),
        ]);
        let scanned = Scanned::new(&document);
        assert!(scanned.text.get().is_none());
        for _ in 0..2 {
            assert!(filter.matches_scanned(&scanned));
        }
        assert_eq!(scanned.fields.borrow().len(), 2);
        assert!(scanned.text.get().is_some());
        assert_eq!(filter.word_tests(), 5 + 2 * 2);
    }
}
