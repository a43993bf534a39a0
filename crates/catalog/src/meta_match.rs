//! A filter over a document in memory. It answers as [`crate::meta_filter`] does in SQL, so that what was
//! read once can be told to many subscribers; a property test compares the two.

use crate::meta::{Document, Field, Filter, Object, ObjectField, Region, Test, Value};
use crate::meta_number::{Bound, Comparison, double_bound, integer_bound};
use crate::text::words;
use framewell_model::WallTime;
use std::collections::BTreeSet;

impl Filter {
    /// Whether a document matches, for filters that [`crate::Catalog::check_filter`] accepts. A value of
    /// another type than its field's matches nothing.
    #[must_use]
    pub fn matches(&self, document: &Document) -> bool {
        match self {
            Self::And(all) => all.iter().all(|filter| filter.matches(document)),
            Self::Or(any) => any.iter().any(|filter| filter.matches(document)),
            Self::Not(inner) => !inner.matches(document),
            Self::Object(tests) => document.native.objects.iter().any(|object| {
                let mut tests = tests.iter();
                tests.all(|(field, test)| holds_if_any(find_in(object, *field), test))
            }),
            Self::Text(query) => query.matches(document),
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
