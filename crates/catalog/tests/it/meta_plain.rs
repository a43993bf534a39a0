//! The plain evaluation of filters in memory, with which both databases are compared.

use framewell_catalog::meta::{
    Document, Field, Filter, Object, ObjectField, Sort, Test, TextQuery, Value,
};
use std::cmp::Ordering;

pub(crate) fn get(document: &Document, field: &Field) -> Option<Value> {
    match field {
        Field::Timestamp => Some(Value::Time(document.timestamp)),
        Field::Id => Some(Value::Text(document.id.clone())),
        Field::RawData => document.raw_data.clone().map(Value::Text),
        Field::Long(name) => document.long.get(name).copied().map(Value::Long),
        Field::Float(name) => document.float.get(name).copied().map(Value::Float),
        Field::String(name) => document.string.get(name).cloned().map(Value::Text),
        Field::Frame => {
            let frame = document.native.frame.map(|frame| frame.id.to_string());
            frame.map(Value::Text)
        }
        Field::ModelName => {
            let model = document.native.model.as_ref();
            model.map(|model| Value::Text(model.name.clone()))
        }
        Field::ModelVersion => {
            let model = document.native.model.as_ref();
            model
                .and_then(|model| model.version.clone())
                .map(Value::Text)
        }
        Field::Object(_) => panic!("several values"),
    }
}

/// Whether an object has the field, and a test that is not negative holds of it.
fn holds_of_object(object: &Object, field: ObjectField, test: &Test) -> bool {
    let value = match field {
        ObjectField::Label => object.label.clone().map(Value::Text),
        ObjectField::Track => object.track.clone().map(Value::Text),
        ObjectField::Score => object.score.map(Value::Float),
        ObjectField::Region => {
            return object.bounds.is_some_and(|bounds| match test {
                Test::Exists(wanted) => *wanted,
                Test::Intersects(other) => {
                    let (left, top) = (bounds.x, bounds.y);
                    let (right, bottom) = (left + bounds.width, top + bounds.height);
                    !(right < other.min_x
                        || other.max_x < left
                        || bottom < other.min_y
                        || other.max_y < top)
                }
                _ => panic!("no test of regions"),
            });
        }
    };
    value.is_some_and(|value| holds(&value, test))
}

/// The test that a negative one denies; any other one itself.
fn affirmed(test: &Test) -> (Test, bool) {
    match test {
        Test::Ne(value) => (Test::Eq(value.clone()), true),
        Test::Exists(false) => (Test::Exists(true), true),
        test => (test.clone(), false),
    }
}

fn has_text(document: &Document, query: &TextQuery) -> bool {
    let texts: Vec<Vec<String>> = document
        .string
        .values()
        .chain(&document.raw_data)
        .map(|text| words(text))
        .collect();
    let any = |is_it: &dyn Fn(&String) -> bool| texts.iter().flatten().any(is_it);
    let parts: Vec<&str> = query.source().split('"').collect();
    parts.iter().enumerate().all(|(n, part)| {
        if n % 2 == 1 {
            let phrase = words(part);
            return texts
                .iter()
                .any(|text| text.windows(phrase.len()).any(|some| some == phrase));
        }
        part.split_whitespace().all(|token| {
            let found = words(token);
            let is_prefix = token.ends_with('*');
            found.iter().enumerate().all(|(n, wanted)| {
                if is_prefix && n + 1 == found.len() {
                    any(&|word| word.starts_with(wanted.as_str()))
                } else {
                    any(&|word| word == wanted)
                }
            })
        })
    })
}

pub(crate) fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Long(one), Value::Long(other)) => one.cmp(other),
        (Value::Float(one), Value::Float(other)) => one.partial_cmp(other).unwrap(),
        (Value::Long(one), Value::Float(other)) => integer_with_double(*one, *other),
        (Value::Float(one), Value::Long(other)) => integer_with_double(*other, *one).reverse(),
        (Value::Text(one), Value::Text(other)) => one.chars().cmp(other.chars()),
        (Value::Time(one), Value::Time(other)) => one.cmp(other),
        _ => panic!("values of different types"),
    }
}

fn integer_with_double(integer: i64, double: f64) -> Ordering {
    if double.abs() > 1e30 {
        return 0.0_f64.partial_cmp(&double).unwrap();
    }
    let whole = double.trunc();
    i128::from(integer)
        .cmp(&(whole as i128))
        .then(0.0_f64.partial_cmp(&(double - whole)).unwrap())
}

fn words(text: &str) -> Vec<String> {
    text.replace('\u{df}', "ss")
        .to_lowercase()
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn holds(found: &Value, test: &Test) -> bool {
    let ordering = |value| compare(found, value);
    match test {
        Test::Eq(value) => ordering(value).is_eq(),
        Test::Ne(value) => ordering(value).is_ne(),
        Test::Gt(value) => ordering(value).is_gt(),
        Test::Gte(value) => ordering(value).is_ge(),
        Test::Lt(value) => ordering(value).is_lt(),
        Test::Lte(value) => ordering(value).is_le(),
        Test::In(values) => values.iter().any(|value| ordering(value).is_eq()),
        Test::WordsIn(wanted) => {
            let Value::Text(text) = found else {
                panic!("words of no text")
            };
            let has = words(text);
            wanted
                .iter()
                .flat_map(|text| words(text))
                .all(|word| has.contains(&word))
        }
        Test::Exists(wanted) => *wanted,
        Test::Intersects(_) => panic!("a region of no object"),
    }
}

pub(crate) fn matches(document: &Document, filter: &Filter) -> bool {
    match filter {
        Filter::And(all) => all.iter().all(|filter| matches(document, filter)),
        Filter::Or(any) => any.iter().any(|filter| matches(document, filter)),
        Filter::Not(inner) => !matches(document, inner),
        Filter::Leaf(Field::Object(field), test) => {
            let (test, is_denied) = affirmed(test);
            let mut objects = document.native.objects.iter();
            objects.any(|object| holds_of_object(object, *field, &test)) != is_denied
        }
        Filter::Object(tests) => document.native.objects.iter().any(|object| {
            tests.iter().all(|(field, test)| {
                let (test, is_denied) = affirmed(test);
                holds_of_object(object, *field, &test) != is_denied
            })
        }),
        Filter::Text(query) => has_text(document, query),
        Filter::Leaf(field, test) => match get(document, field) {
            Some(found) => holds(&found, test),
            None => matches!(test, Test::Ne(_) | Test::Exists(false)),
        },
    }
}

pub(crate) fn order(one: &Document, other: &Document, sort: &[Sort]) -> Ordering {
    for key in sort {
        let ordering = match (get(one, &key.field), get(other, &key.field)) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) if key.is_descending => compare(&other, &one),
            (Some(one), Some(other)) => compare(&one, &other),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    one.id.cmp(&other.id)
}
