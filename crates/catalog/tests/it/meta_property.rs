//! Both databases give what a plain evaluation in memory gives, for random documents and filters.

use crate::backend::{ALL, Backend, account, at, channel_of};
use crate::meta::document;
use crate::meta_plain as plain;
use framewell_catalog::Slice;
use framewell_catalog::meta::{
    Bounds, Document, Field, Filter, Frame, Model, Native, Object, ObjectField, Region, Sort, Test,
    TextQuery, Value,
};
use framewell_model::{AccountId, ChannelId, FrameId, RunId};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

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

/// Edges and corners of regions; exact as doubles and as JSON.
const PLACES: [f64; 4] = [0.0, 0.25, 0.5, 0.75];
/// Full text searches, and words of them that no text has.
const SEARCHES: [&str; 10] = [
    "car",
    "CAR red",
    "ca*",
    "\"red car\"",
    "\"car red\"",
    "str* 2",
    "stra\u{df}e",
    "' OR 1=1 --",
    "a NOT meta_text: car*",
    "\"DROP TABLE\" docu*",
];

fn name() -> impl Strategy<Value = String> {
    select(&NAMES).prop_map(str::to_owned)
}

fn key_text() -> impl Strategy<Value = String> {
    select(&TEXTS[1..]).prop_map(str::to_owned)
}

fn frame(number: i64) -> FrameId {
    let run: RunId = "01900000-0000-7000-8000-000000000001".parse().unwrap();
    FrameId { run, ticks: number }
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let edge = || select(&PLACES);
    (edge(), edge()).prop_map(|(x, y)| Bounds {
        x,
        y,
        width: 0.25,
        height: 0.25,
    })
}

fn native() -> impl Strategy<Value = Native> {
    let object = (
        option::of(key_text()),
        option::of(select(&[0.0, 0.5, 1.0])),
        option::of(key_text()),
        option::of(bounds()),
    )
        .prop_map(|(label, score, track, bounds)| Object {
            label,
            score,
            track,
            bounds,
            ..Object::default()
        });
    let model = (key_text(), option::of(key_text()));
    let model = model.prop_map(|(name, version)| Model { name, version });
    (option::of(0i64..3), vec(object, 0..3), option::of(model)).prop_map(
        |(number, objects, model)| Native {
            frame: number.map(|number| Frame {
                id: frame(number),
                captured: None,
            }),
            objects,
            model,
            ..Native::default()
        },
    )
}

fn documents() -> impl Strategy<Value = Vec<Document>> {
    let one = (
        0i64..4,
        btree_map(name(), select(&LONGS), 0..3),
        btree_map(name(), select(&FLOATS), 0..3),
        btree_map(name(), select(&TEXTS).prop_map(str::to_owned), 0..3),
        option::of(select(&TEXTS).prop_map(str::to_owned)),
        native(),
    );
    vec(one, 0..12).prop_map(|documents| {
        let nowhere = ChannelId::new(1).unwrap();
        (0..)
            .zip(documents)
            .map(
                |(number, (seconds, long, float, string, raw_data, native))| Document {
                    native,
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

fn object_field() -> impl Strategy<Value = ObjectField> {
    select(&[
        ObjectField::Label,
        ObjectField::Score,
        ObjectField::Track,
        ObjectField::Region,
    ])
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        2 => sortable_field(),
        1 => object_field().prop_map(Field::Object),
    ]
}

fn sortable_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        Just(Field::Frame),
        Just(Field::ModelName),
        Just(Field::ModelVersion),
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
        Field::Frame => (0i64..4)
            .prop_map(|number| Value::Text(frame(number).to_string()))
            .boxed(),
        Field::RawData
        | Field::String(_)
        | Field::ModelName
        | Field::ModelVersion
        | Field::Object(_)
            if *field != Field::Object(ObjectField::Score) =>
        {
            select(&TEXTS)
                .prop_map(|text| Value::Text(text.into()))
                .boxed()
        }
        _ => prop_oneof![
            select(&LONGS).prop_map(Value::Long),
            select(&FLOATS).prop_map(Value::Float),
        ]
        .boxed(),
    }
}

fn test(field: &Field) -> BoxedStrategy<Test> {
    if *field == Field::Object(ObjectField::Region) {
        let intersects = bounds().prop_map(|bounds| Test::Intersects(Region::from(bounds)));
        return prop_oneof![intersects, any::<bool>().prop_map(Test::Exists)].boxed();
    }
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
    let one_object = object_field()
        .prop_flat_map(|field| test(&Field::Object(field)).prop_map(move |test| (field, test)));
    let text = select(&SEARCHES).prop_map(|text| Filter::Text(TextQuery::parse(text).unwrap()));
    let leaf = prop_oneof![
        6 => leaf,
        1 => vec(one_object, 0..3).prop_map(Filter::Object),
        1 => text,
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Filter::And),
            vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

fn sort() -> impl Strategy<Value = Vec<Sort>> {
    let key = (sortable_field(), any::<bool>()).prop_map(|(field, is_descending)| Sort {
        field,
        is_descending,
    });
    vec(key, 0..3)
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
        prop_assert_eq!(page.items, part, "{}: {:?}", &backend.url, filter);
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
