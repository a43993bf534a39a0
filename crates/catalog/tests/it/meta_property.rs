//! Both databases give what a plain evaluation in memory gives, for random documents and filters.

use crate::backend::{ALL, Backend, account, at, channel_of};
use crate::meta::document;
use framewell_catalog::Slice;
use framewell_catalog::meta::{Document, Field, Filter, Sort, Test, Value};
use framewell_model::{AccountId, ChannelId};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use std::cmp::Ordering;

const ODD: i64 = (1 << 53) + 1;
const LONGS: [i64; 8] = [0, 1, 2, -1, -2, ODD, i64::MAX, i64::MIN];
const FLOATS: [f64; 10] = [
    0.0,
    -0.0,
    0.5,
    1.0,
    1.5,
    -1.5,
    2.0,
    9_007_199_254_740_992.0,
    9_223_372_036_854_775_808.0,
    -1e300,
];
const TEXTS: [&str; 15] = [
    "",
    "car",
    "Car",
    "red car, 2 doors",
    "CAR RED",
    "stra\u{df}e",
    "STRASSE",
    "%_'\"\\",
    "\u{10000}\u{e4}",
    "' OR 1=1 --",
    "'); DROP TABLE meta_document; --",
    "$1",
    "{\"a\": [1]}",
    "? ?1 :a @a",
    "x' || (SELECT 1) || '",
];
/// Names are values too, however much they look like SQL or JSON paths.
const NAMES: [&str; 6] = ["a", "b", "' OR '1'='1", "a\"b", "$.a", "%?1_\\"];

fn name() -> impl Strategy<Value = String> {
    select(&NAMES).prop_map(str::to_owned)
}

fn documents() -> impl Strategy<Value = Vec<Document>> {
    let one = (
        0i64..4,
        btree_map(name(), select(&LONGS), 0..3),
        btree_map(name(), select(&FLOATS), 0..3),
        btree_map(name(), select(&TEXTS).prop_map(str::to_owned), 0..3),
        option::of(select(&TEXTS).prop_map(str::to_owned)),
    );
    vec(one, 0..12).prop_map(|documents| {
        let nowhere = ChannelId::new(1).unwrap();
        (0..)
            .zip(documents)
            .map(
                |(number, (seconds, long, float, string, raw_data))| Document {
                    long,
                    float,
                    string,
                    raw_data,
                    // Neither in the order of the times nor of the insertion.
                    ..document(&format!("d{:02}", (number * 7) % 12), nowhere, seconds)
                },
            )
            .collect()
    })
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        Just(Field::Timestamp),
        Just(Field::Id),
        Just(Field::RawData),
        name().prop_map(Field::Long),
        name().prop_map(Field::Float),
        name().prop_map(Field::String),
    ]
}

/// A value of a type that the field takes.
fn value(field: &Field) -> BoxedStrategy<Value> {
    match field {
        Field::Timestamp => (0i64..4)
            .prop_map(|seconds| Value::Time(at(seconds)))
            .boxed(),
        Field::Id => (0..12)
            .prop_map(|number| Value::Text(format!("d{number:02}")))
            .boxed(),
        Field::RawData | Field::String(_) => select(&TEXTS)
            .prop_map(|text| Value::Text(text.into()))
            .boxed(),
        Field::Long(_) | Field::Float(_) => prop_oneof![
            select(&LONGS).prop_map(Value::Long),
            select(&FLOATS).prop_map(Value::Float),
        ]
        .boxed(),
    }
}

fn test(field: &Field) -> BoxedStrategy<Test> {
    let one = || value(field);
    let common = prop_oneof![
        one().prop_map(Test::Eq),
        one().prop_map(Test::Ne),
        one().prop_map(Test::Gt),
        one().prop_map(Test::Gte),
        one().prop_map(Test::Lt),
        one().prop_map(Test::Lte),
        vec(one(), 0..4).prop_map(Test::In),
        any::<bool>().prop_map(Test::Exists),
    ];
    match field {
        Field::RawData | Field::String(_) | Field::Id => {
            let words = ["car", "RED", "2 red", "Strasse", "%", "d03"];
            let words = vec(select(words.to_vec()).prop_map(str::to_owned), 0..3);
            prop_oneof![3 => common, 1 => words.prop_map(Test::WordsIn)].boxed()
        }
        _ => common.boxed(),
    }
}

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = field().prop_flat_map(|field| {
        test(&field).prop_map(move |test| Filter::Leaf(field.clone(), test))
    });
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Filter::And),
            vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

fn sort() -> impl Strategy<Value = Vec<Sort>> {
    let key = (field(), any::<bool>()).prop_map(|(field, is_descending)| Sort {
        field,
        is_descending,
    });
    vec(key, 0..3)
}

/// The plain evaluation.
mod plain {
    use super::*;

    pub(super) fn get(document: &Document, field: &Field) -> Option<Value> {
        match field {
            Field::Timestamp => Some(Value::Time(document.timestamp)),
            Field::Id => Some(Value::Text(document.id.clone())),
            Field::RawData => document.raw_data.clone().map(Value::Text),
            Field::Long(name) => document.long.get(name).copied().map(Value::Long),
            Field::Float(name) => document.float.get(name).copied().map(Value::Float),
            Field::String(name) => document.string.get(name).cloned().map(Value::Text),
        }
    }

    pub(super) fn compare(one: &Value, other: &Value) -> Ordering {
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
        }
    }

    pub(super) fn matches(document: &Document, filter: &Filter) -> bool {
        match filter {
            Filter::And(all) => all.iter().all(|filter| matches(document, filter)),
            Filter::Or(any) => any.iter().any(|filter| matches(document, filter)),
            Filter::Not(inner) => !matches(document, inner),
            Filter::Leaf(field, test) => match get(document, field) {
                Some(found) => holds(&found, test),
                None => matches!(test, Test::Ne(_) | Test::Exists(false)),
            },
        }
    }

    pub(super) fn order(one: &Document, other: &Document, sort: &[Sort]) -> Ordering {
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
}

type Question = (Filter, Vec<Sort>);

async fn check(
    backend: &Backend,
    account: AccountId,
    documents: &[Document],
    questions: &[Question],
) -> Result<(), TestCaseError> {
    let catalog = &backend.catalog;
    let channel = channel_of(catalog, account, "gate").await.id;
    let documents: Vec<Document> = documents
        .iter()
        .map(|document| Document {
            channel,
            ..document.clone()
        })
        .collect();
    catalog.put_documents(&documents).await.unwrap();
    for (filter, sort) in questions {
        let mut expected: Vec<Document> = documents
            .iter()
            .filter(|document| plain::matches(document, filter))
            .cloned()
            .collect();
        for document in &documents {
            let is_match = plain::matches(document, filter);
            prop_assert_eq!(filter.matches(document), is_match, "{:?}", filter);
        }
        expected.sort_by(|one, other| plain::order(one, other, sort));
        let page = catalog
            .find_documents(&[channel], filter, sort, ALL)
            .await
            .unwrap();
        prop_assert_eq!(&page.items, &expected, "{}: {:?}", &backend.url, filter);
        let slice = Slice {
            limit: 2,
            offset: 1,
        };
        let page = catalog
            .find_documents(&[channel], filter, sort, slice)
            .await
            .unwrap();
        prop_assert_eq!(page.total, i64::try_from(expected.len()).unwrap());
        let part: Vec<_> = expected.into_iter().skip(1).take(2).collect();
        prop_assert_eq!(page.items, part);
    }
    catalog
        .delete_channel(account, channel, at(0))
        .await
        .unwrap();
    Ok(())
}

/// Filters that are tried, on each database.
const FILTERS: usize = 2_000;
/// For the thorough run.
const MANY_FILTERS: usize = 100_000;
/// Filters that are tried on one set of documents.
const FILTERS_AT_ONCE: usize = 20;

fn compare(filters: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let backends = runtime.block_on(async {
        let mut backends = Vec::new();
        for backend in [Backend::sqlite().await, Backend::postgres().await] {
            let account = account(&backend.catalog, "owner").await;
            backends.push((backend, account));
        }
        backends
    });
    let questions = vec((filter(), sort()), FILTERS_AT_ONCE);
    let config = Config {
        cases: u32::try_from(filters / FILTERS_AT_ONCE).unwrap(),
        failure_persistence: None,
        ..Config::default()
    };
    let outcome =
        TestRunner::new(config).run(&(documents(), questions), |(documents, questions)| {
            runtime.block_on(async {
                let asked = backends
                    .iter()
                    .map(|(backend, account)| check(backend, *account, &documents, &questions));
                futures::future::try_join_all(asked).await.map(drop)
            })
        });
    // Connections must go before the runtime that drives them.
    runtime.block_on(async {
        for (backend, _) in &backends {
            backend.catalog.close().await;
        }
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn both_databases_answer_like_a_plain_evaluation() {
    compare(FILTERS);
}

#[test]
#[ignore = "takes many minutes; run it by name after a change to the filters"]
fn both_databases_answer_a_hundred_thousand_filters_like_a_plain_evaluation() {
    compare(MANY_FILTERS);
}
