//! Tests of the filter language.

use super::*;
use framewell_model::WallTime;
use proptest::prelude::*;
use serde_json::json;

fn read_time(text: &str) -> Option<WallTime> {
    text.parse().ok()
}

fn parse(filter: Json) -> Result<Filter, Error> {
    parse_filter(Some(&filter), read_time)
}

fn native(filter: Json) -> Result<Filter, Error> {
    parse_native_filter(Some(&filter), read_time)
}

fn refusal(filter: Json) -> String {
    parse(filter).unwrap_err().to_string()
}

fn long(name: &str, test: Test) -> Filter {
    Filter::Leaf(Field::Long(name.into()), test)
}

#[test]
fn the_filter_of_the_html_sample_is_understood() {
    let parsed = parse(json!({"and": [
        {"or": [{"field": "long.Person", "gt": 1}, {"field": "long.Vehicle", "eq": 0}]},
        {"field": "timestamp", "gte": "2024-05-01T00:00:00Z", "lte": "2024-05-02T00:00:00Z"},
        {"field": "string.type", "words_in": "note, car"},
    ]}));
    let day = |text: &str| Value::Time(text.parse().unwrap());
    let expected = Filter::And(vec![
        Filter::Or(vec![
            long("Person", Test::Gt(Value::Long(1))),
            long("Vehicle", Test::Eq(Value::Long(0))),
        ]),
        Filter::And(vec![
            Filter::Leaf(Field::Timestamp, Test::Gte(day("2024-05-01T00:00:00Z"))),
            Filter::Leaf(Field::Timestamp, Test::Lte(day("2024-05-02T00:00:00Z"))),
        ]),
        Filter::Leaf(
            Field::String("type".into()),
            Test::WordsIn(vec!["note".into(), "car".into()]),
        ),
    ]);
    assert_eq!(parsed.unwrap(), expected);
}

#[test]
fn nothing_means_everything() {
    assert!(matches_everything(&parse_filter(None, read_time).unwrap()));
    assert!(matches_everything(&parse(json!(null)).unwrap()));
    assert!(matches_everything(&parse(json!({})).unwrap()));
    assert!(matches_everything(&parse(json!({"and": [{}]})).unwrap()));
    assert!(!matches_everything(&parse(json!({"or": []})).unwrap()));
    assert!(!matches_everything(
        &parse(json!({"field": "long.n", "eq": 1})).unwrap()
    ));
}

#[test]
fn not_of_an_array_is_none_of_them() {
    let one = long("n", Test::Ne(Value::Long(1)));
    let two = long("m", Test::In(vec![Value::Long(2), Value::Float(2.5)]));
    assert_eq!(
        parse(
            json!({"not": [{"field": "long.n", "neq": "1"}, {"field": "long.m", "in": [2, 2.5]}]})
        )
        .unwrap(),
        Filter::Not(Box::new(Filter::Or(vec![one, two])))
    );
    assert_eq!(
        parse(json!({"not": {"field": "raw_data", "exists": true}})).unwrap(),
        Filter::Not(Box::new(Filter::Leaf(Field::RawData, Test::Exists(true))))
    );
}

#[test]
fn refusals_say_what_is_wrong() {
    assert!(refusal(json!([])).contains("JSON object"));
    assert!(refusal(json!({"field": "long.n", "like": 1})).contains("\"like\""));
    assert!(refusal(json!({"field": "bool.n", "eq": 1})).contains("\"bool.n\""));
    assert!(refusal(json!({"field": "long.", "eq": 1})).contains("unknown field"));
    assert!(refusal(json!({"eq": 1})).contains("without a field"));
    assert!(refusal(json!({"field": "long.n"})).contains("not compared"));
    assert!(refusal(json!({"field": "timestamp", "gt": ""})).contains("timestamp"));
    assert!(refusal(json!({"field": "timestamp", "gt": 5})).contains("timestamp"));
    assert!(refusal(json!({"field": "long.n", "eq": "many"})).contains("many"));
    assert!(refusal(json!({"field": "string.n", "gt": "a"})).contains("text"));
    assert!(refusal(json!({"field": "long.n", "words_in": "a"})).contains("words_in"));
    assert!(refusal(json!({"field": "string.n", "words_in": " ,"})).contains("no word"));
    assert!(refusal(json!({"and": {}})).contains("array"));
}

#[test]
fn depth_and_size_are_bounded() {
    let mut deep = json!({"field": "long.n", "eq": 1});
    for _ in 0..=MAX_DEPTH {
        deep = json!({"and": [deep]});
    }
    assert!(refusal(deep).contains("nested deeper"));
    let many: Vec<i64> = (0..2_000).collect();
    assert!(refusal(json!({"field": "long.n", "in": many})).contains("1000 tests"));
    let empty: Vec<Json> = (0..2_000).map(|_| json!({})).collect();
    assert!(refusal(json!({ "and": empty })).contains("1000 tests"));
}

#[test]
fn sort_keys_are_fields_with_a_sign() {
    let parsed = parse_sort(Some(&json!(["-timestamp", "long.n"]))).unwrap();
    assert!(parsed[0].is_descending && parsed[0].field == Field::Timestamp);
    assert!(!parsed[1].is_descending && parsed[1].field == Field::Long("n".into()));
    assert_eq!(parse_sort(Some(&json!("-id"))).unwrap().len(), 1);
    assert_eq!(parse_sort(None).unwrap()[0].field, Field::Timestamp);
    assert!(parse_sort(Some(&json!([5]))).is_err());
    assert!(parse_sort(Some(&json!(["-"]))).is_err());
}

fn any_json() -> impl Strategy<Value = Json> {
    let words = [
        "and",
        "or",
        "not",
        "field",
        "eq",
        "in",
        "long.n",
        "timestamp",
        "object",
        "text",
        "objects.region",
        "intersects",
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|n| json!(n)),
        proptest::sample::select(words.to_vec()).prop_map(|word| json!(word)),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        let key = proptest::sample::select(words.to_vec());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::vec((key, inner), 0..4).prop_map(|members| {
                let members = members.into_iter().map(|(k, v)| (k.to_owned(), v));
                Json::Object(members.collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_filter_panics(filter in any_json()) {
        let _outcome = parse(filter.clone());
        let _outcome = native(filter);
    }
}

#[test]
fn objects_text_and_frames_are_known_natively_only() {
    let label = |label: &str| Test::Eq(Value::Text(label.into()));
    let region = json!({"x": 0.5, "y": 0, "width": 0.5, "height": 1});
    let edges = Region {
        min_x: 0.5,
        min_y: 0.0,
        max_x: 1.0,
        max_y: 1.0,
    };
    for (filter, expected) in [
        (
            json!({"field": "objects.label", "eq": "car"}),
            Filter::Leaf(Field::Object(ObjectField::Label), label("car")),
        ),
        (
            json!({"object": [{"field": "label", "eq": "car"}, {"field": "region", "intersects": region}]}),
            Filter::Object(vec![
                (ObjectField::Label, label("car")),
                (ObjectField::Region, Test::Intersects(edges)),
            ]),
        ),
        (
            json!({"object": {"field": "score", "gte": 0.5}}),
            Filter::Object(vec![(ObjectField::Score, Test::Gte(Value::Float(0.5)))]),
        ),
        (
            json!({"text": "red car*"}),
            Filter::Text(TextQuery::parse("red car*").unwrap()),
        ),
        (
            json!({"field": "model.name", "ne": "yolo"}),
            Filter::Leaf(Field::ModelName, Test::Ne(Value::Text("yolo".into()))),
        ),
    ] {
        assert_eq!(native(filter.clone()).unwrap(), expected);
        assert!(
            parse(filter).is_err(),
            "the compatible face has its own grammar"
        );
    }
    assert!(parse_sort(Some(&json!(["objects.score"]))).is_err());
}

#[test]
fn native_refusals_say_what_is_wrong() {
    let refusal = |filter: Json| native(filter).unwrap_err().to_string();
    assert!(refusal(json!({"object": {"label": "car"}})).contains("a field"));
    assert!(refusal(json!({"object": {"field": "colour", "eq": 1}})).contains("label, score"));
    assert!(refusal(json!({"object": {"field": "label"}})).contains("not compared"));
    assert!(refusal(json!({"field": "objects.region", "eq": 1})).contains("intersects"));
    let outside =
        json!({"field": "objects.region", "intersects": {"x": 2, "y": 0, "width": 1, "height": 1}});
    assert!(refusal(outside).contains("intersects.x 2 is not between 0 and 1"));
    assert!(refusal(json!({"field": "objects.label", "gt": "a"})).contains("text"));
    assert!(refusal(json!({"field": "objects.label", "words_in": "a"})).contains("words_in"));
    assert!(refusal(json!({"field": "objects.score", "gt": "much"})).contains("much"));
    assert!(refusal(json!({"text": "  "})).contains("no word"));
    assert!(refusal(json!({"text": ["a"]})).contains("not a text"));
    assert!(refusal(json!({"text": "a ".repeat(600)})).contains("1000 bytes"));
}
