//! A filter over a document in memory. It answers as [`crate::meta_filter`] does in SQL, so that what was
//! read once can be told to many subscribers; a property test compares the two.

use crate::meta::{Document, Field, Filter, Test, Value};
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
            Self::Leaf(field, test) => match find(document, field) {
                Some(found) => holds(found, test),
                None => matches!(test, Test::Ne(_) | Test::Exists(false)),
            },
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
}

fn find<'a>(document: &'a Document, field: &Field) -> Option<Found<'a>> {
    match field {
        Field::Timestamp => Some(Found::Time(document.timestamp)),
        Field::Id => Some(Found::Text(&document.id)),
        Field::RawData => document.raw_data.as_deref().map(Found::Text),
        Field::Long(name) => document.long.get(name).copied().map(Found::Long),
        Field::Float(name) => document.float.get(name).copied().map(Found::Float),
        Field::String(name) => document.string.get(name).map(|text| Found::Text(text)),
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
