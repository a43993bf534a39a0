//! Metadata documents: storing, and every kind of test.

use crate::backend::{ALL, account, at, channel, channel_of, conformance, missing_channel};
use framewell_catalog::meta::{Document, Field, Filter, Native, Sort, Test, Value};
use framewell_catalog::{Catalog, Error, Slice};
use framewell_model::ChannelId;
use std::collections::BTreeMap;

pub(crate) fn document(id: &str, channel: ChannelId, seconds: i64) -> Document {
    Document {
        id: id.into(),
        channel,
        timestamp: at(seconds),
        long: BTreeMap::new(),
        float: BTreeMap::new(),
        string: BTreeMap::new(),
        raw_data: None,
        native: Native::default(),
    }
}

fn with_long(document: Document, name: &str, value: i64) -> Document {
    let long = BTreeMap::from([(name.to_owned(), value)]);
    Document { long, ..document }
}

fn with_float(document: Document, name: &str, value: f64) -> Document {
    let float = BTreeMap::from([(name.to_owned(), value)]);
    Document { float, ..document }
}

fn with_string(document: Document, name: &str, value: &str) -> Document {
    let string = BTreeMap::from([(name.to_owned(), value.to_owned())]);
    Document { string, ..document }
}

fn long(test: Test) -> Filter {
    Filter::Leaf(Field::Long("n".into()), test)
}

fn float(test: Test) -> Filter {
    Filter::Leaf(Field::Float("x".into()), test)
}

fn string(test: Test) -> Filter {
    Filter::Leaf(Field::String("s".into()), test)
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn words(words: &[&str]) -> Test {
    Test::WordsIn(words.iter().map(|word| (*word).to_owned()).collect())
}

/// Ids of what matches, by id.
async fn found(catalog: &Catalog, channel: ChannelId, filter: Filter) -> Vec<String> {
    let page = catalog
        .find_documents(&[channel], &filter, &[], ALL)
        .await
        .unwrap();
    assert_eq!(page.total, i64::try_from(page.items.len()).unwrap());
    page.items.into_iter().map(|document| document.id).collect()
}

async fn sorted(
    catalog: &Catalog,
    channel: ChannelId,
    field: Field,
    is_descending: bool,
) -> Vec<String> {
    let sort = [Sort {
        field,
        is_descending,
    }];
    let everything = Filter::And(vec![]);
    let page = catalog
        .find_documents(&[channel], &everything, &sort, ALL)
        .await
        .unwrap();
    page.items.into_iter().map(|document| document.id).collect()
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

conformance! {
    async fn a_document_comes_back_bit_for_bit(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let stored = Document {
            timestamp: at(1).plus_micros(947_001),
            long: BTreeMap::from([("min".into(), i64::MIN), ("max".into(), i64::MAX), ("\u{e4}".into(), 0)]),
            float: BTreeMap::from([
                ("tenth".into(), 0.1),
                ("awkward".into(), 2.225_073_858_507_201e-308),
                ("big".into(), f64::MAX),
                ("sum".into(), 0.1 + 0.2),
                ("zero".into(), -0.0),
            ]),
            string: BTreeMap::from([("empty".into(), String::new()), ("s".into(), "a\"\\\n\u{1f4f7}".into())]),
            raw_data: Some("{\"free\": text}".into()),
            ..document("x_1", channel, 0)
        };
        catalog.put_documents(std::slice::from_ref(&stored)).await.unwrap();
        let loaded = catalog.load_documents(&[channel], &ids(&["x_1"])).await.unwrap();
        assert_eq!(loaded, [stored]);
        assert!(loaded[0].float["zero"].is_sign_negative());
    }

    async fn a_replacement_leaves_nothing_of_the_old_document(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let old = with_long(document("a", channel, 1), "n", 5);
        let old = Document { raw_data: Some("old words".into()), ..old };
        catalog.put_documents(&[old]).await.unwrap();
        let new = with_string(document("a", channel, 2), "s", "new");
        catalog.put_documents(std::slice::from_ref(&new)).await.unwrap();
        assert!(found(catalog, channel, long(Test::Exists(true))).await.is_empty());
        let raw = Filter::Leaf(Field::RawData, Test::Exists(true));
        assert!(found(catalog, channel, raw).await.is_empty());
        assert_eq!(found(catalog, channel, string(Test::Eq(text("new")))).await, ["a"]);
        assert_eq!(catalog.load_documents(&[channel], &ids(&["a"])).await.unwrap(), [new]);
    }

    async fn of_two_documents_with_one_id_the_last_counts(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let twice = [
            with_long(document("a", channel, 1), "n", 1),
            with_long(document("a", channel, 1), "n", 2),
        ];
        catalog.put_documents(&twice).await.unwrap();
        let loaded = catalog.load_documents(&[channel], &ids(&["a", "a", "b"])).await.unwrap();
        assert_eq!(loaded, twice[1..]);
    }

    async fn a_bad_document_keeps_the_whole_batch_out(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let good = document("good", channel, 0);
        let put = async |bad: Document| {
            catalog.put_documents(&[good.clone(), bad]).await.unwrap_err()
        };
        for bad in [
            document("", channel, 0),
            document(&"x".repeat(600), channel, 0),
            document("a\0b", channel, 0),
            with_long(document("b", channel, 0), "", 1),
            with_float(document("b", channel, 0), "x", f64::NAN),
            with_float(document("b", channel, 0), "x", f64::INFINITY),
            with_string(document("b", channel, 0), "s", "a\0b"),
        ] {
            let error = put(bad).await;
            assert!(matches!(error, Error::Invalid(_)), "{error}");
        }
        let error = put(document("b", missing_channel(), 0)).await;
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        assert!(found(catalog, channel, Filter::And(vec![])).await.is_empty());
    }

    async fn thousands_of_documents_go_in_at_once(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let many: Vec<Document> = (0..2_500)
            .map(|number| with_long(document(&format!("d{number:05}"), channel, number), "n", number))
            .collect();
        catalog.put_documents(&many).await.unwrap();
        catalog.put_documents(&many[..1_500]).await.unwrap();
        let slice = Slice { limit: 2, offset: 2_498 };
        let everything = Filter::And(vec![]);
        let page = catalog.find_documents(&[channel], &everything, &[], slice).await.unwrap();
        assert_eq!((page.total, page.items.as_slice()), (2_500, &many[2_498..]));
        let all: Vec<String> = many.iter().map(|document| document.id.clone()).collect();
        assert_eq!(catalog.load_documents(&[channel], &all).await.unwrap(), many);
        assert_eq!(catalog.delete_documents(&[channel], &all).await.unwrap(), all);
        catalog.put_documents(&[]).await.unwrap();
    }

    async fn documents_of_other_channels_are_neither_found_nor_deleted(catalog: &Catalog) {
        let first = channel(catalog).await;
        let second = channel_of(catalog, first.account, "second").await.id;
        let other = account(catalog, "other").await;
        let third = channel_of(catalog, other, "third").await.id;
        catalog.put_documents(&[
            document("a", first.id, 1),
            document("b", second, 2),
            document("c", third, 3),
        ]).await.unwrap();
        let all = ids(&["a", "b", "c", "d"]);
        let mine = [first.id, second];
        let everything = Filter::And(vec![]);
        let page = catalog.find_documents(&mine, &everything, &[], ALL).await.unwrap();
        assert_eq!(page.total, 2);
        assert_eq!(catalog.load_documents(&mine, &all).await.unwrap().len(), 2);
        assert!(catalog.load_documents(&[], &all).await.unwrap().is_empty());
        assert_eq!(catalog.find_documents(&[], &everything, &[], ALL).await.unwrap().total, 0);
        assert_eq!(catalog.delete_documents(&[second], &all).await.unwrap(), ["b"]);
        assert_eq!(catalog.delete_matching_documents(&mine, &everything).await.unwrap(), 1);
        assert_eq!(found(catalog, third, everything).await, ["c"]);
    }

    async fn matching_documents_are_deleted_with_their_fields(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let put = async || {
            let documents: Vec<_> = (0..4)
                .map(|n| with_long(document(&format!("d{n}"), channel, n), "n", n))
                .collect();
            catalog.put_documents(&documents).await.unwrap();
        };
        put().await;
        let small = long(Test::Lt(Value::Long(2)));
        assert_eq!(catalog.delete_matching_documents(&[channel], &small).await.unwrap(), 2);
        assert_eq!(found(catalog, channel, Filter::And(vec![])).await, ["d2", "d3"]);
        put().await;
        assert_eq!(found(catalog, channel, small).await, ["d0", "d1"]);
    }

    async fn a_document_without_the_field_matches_only_ne_and_absence(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let with = with_float(with_long(document("with", channel, 0), "n", 5), "x", 5.0);
        let with = with_string(with, "s", "five");
        let with = Document { raw_data: Some("five".into()), ..with };
        catalog.put_documents(&[with, document("without", channel, 0)]).await.unwrap();
        let raw = |test| Filter::Leaf(Field::RawData, test);
        type Leaf = fn(Test) -> Filter;
        let cases: [(Leaf, Value, Value); 4] = [
            (long, Value::Long(5), Value::Long(6)),
            (float, Value::Float(5.0), Value::Float(6.0)),
            (string, text("five"), text("six")),
            (raw, text("five"), text("six")),
        ];
        for (leaf, same, larger) in cases {
            let find = async |test| found(catalog, channel, leaf(test)).await;
            assert_eq!(find(Test::Eq(same.clone())).await, ["with"]);
            assert_eq!(find(Test::Ne(same.clone())).await, ["without"]);
            assert_eq!(find(Test::Ne(larger.clone())).await, ["with", "without"]);
            assert_eq!(find(Test::Lt(larger.clone())).await, ["with"]);
            assert_eq!(find(Test::Lte(same.clone())).await, ["with"]);
            assert_eq!(find(Test::Gte(same.clone())).await, ["with"]);
            assert!(find(Test::Gt(same.clone())).await.is_empty());
            assert_eq!(find(Test::In(vec![larger.clone(), same])).await, ["with"]);
            assert!(find(Test::In(vec![])).await.is_empty());
            assert_eq!(find(Test::Exists(true)).await, ["with"]);
            assert_eq!(find(Test::Exists(false)).await, ["without"]);
            let not = Filter::Not(Box::new(leaf(Test::Lt(larger))));
            assert_eq!(found(catalog, channel, not).await, ["without"]);
        }
    }

    async fn fields_of_one_name_and_different_type_are_different(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let mixed = Document {
            long: BTreeMap::from([("v".into(), 1)]),
            float: BTreeMap::from([("v".into(), 2.0)]),
            string: BTreeMap::from([("v".into(), "3".into())]),
            ..document("a", channel, 0)
        };
        catalog.put_documents(&[mixed]).await.unwrap();
        let hits = Filter::And(vec![
            Filter::Leaf(Field::Long("v".into()), Test::Eq(Value::Long(1))),
            Filter::Leaf(Field::Float("v".into()), Test::Eq(Value::Float(2.0))),
            Filter::Leaf(Field::String("v".into()), Test::Eq(text("3"))),
        ]);
        assert_eq!(found(catalog, channel, hits).await, ["a"]);
        let miss = Filter::Leaf(Field::Long("v".into()), Test::Eq(Value::Long(2)));
        assert!(found(catalog, channel, miss).await.is_empty());
    }

    async fn integers_and_fractions_are_compared_exactly(catalog: &Catalog) {
        const ODD: i64 = (1 << 53) + 1;
        let channel = channel(catalog).await.id;
        catalog.put_documents(&[
            with_long(document("one", channel, 0), "n", 1),
            with_long(document("two", channel, 0), "n", 2),
            with_long(document("odd", channel, 0), "n", ODD),
            with_long(document("max", channel, 0), "n", i64::MAX),
            with_float(document("even", channel, 0), "x", 9_007_199_254_740_992.0),
        ]).await.unwrap();
        let find = async |test| found(catalog, channel, long(test)).await;
        assert_eq!(find(Test::Gt(Value::Float(1.5))).await, ["max", "odd", "two"]);
        assert_eq!(find(Test::Lt(Value::Float(1.5))).await, ["one"]);
        assert_eq!(find(Test::Eq(Value::Float(2.0))).await, ["two"]);
        assert!(find(Test::Eq(Value::Float(1.5))).await.is_empty());
        assert_eq!(find(Test::Ne(Value::Float(1.5))).await.len(), 5);
        assert!(find(Test::Eq(Value::Float(9_007_199_254_740_992.0))).await.is_empty());
        assert_eq!(find(Test::Gt(Value::Float(9_007_199_254_740_992.0))).await, ["max", "odd"]);
        assert_eq!(find(Test::Lt(Value::Float(1e300))).await.len(), 4);
        assert_eq!(find(Test::In(vec![Value::Float(1.5), Value::Float(1.0)])).await, ["one"]);
        let find = async |test| found(catalog, channel, float(test)).await;
        assert!(find(Test::Eq(Value::Long(ODD))).await.is_empty());
        assert!(find(Test::Gte(Value::Long(ODD))).await.is_empty());
        assert_eq!(find(Test::Lt(Value::Long(ODD))).await, ["even"]);
        assert_eq!(find(Test::In(vec![Value::Long(ODD), Value::Long(ODD - 1)])).await, ["even"]);
    }

    async fn words_are_whole_in_any_case_and_all_needed(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        catalog.put_documents(&[
            with_string(document("a", channel, 0), "s", "People,CARS; no-entry 2nd"),
            with_string(document("b", channel, 0), "s", "people"),
            with_string(document("c", channel, 0), "s", "Stra\u{df}e \u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}"),
            with_string(document("d", channel, 0), "s", ""),
            Document { raw_data: Some("100%_people".into()), ..document("e", channel, 0) },
        ]).await.unwrap();
        let find = async |texts: &[&str]| found(catalog, channel, string(words(texts))).await;
        assert_eq!(find(&["people"]).await, ["a", "b"]);
        assert_eq!(find(&["cars", "PEOPLE"]).await, ["a"]);
        assert_eq!(find(&["entry no"]).await, ["a"]);
        assert!(find(&["peop"]).await.is_empty());
        assert!(find(&["eople"]).await.is_empty());
        assert!(find(&["%"]).await.len() == 4, "no word asks nothing but the field");
        assert_eq!(find(&["STRASSE", "\u{43f}\u{420}\u{418}\u{432}\u{435}\u{442}"]).await, ["c"]);
        let raw = |texts: &[&str]| Filter::Leaf(Field::RawData, words(texts));
        assert_eq!(found(catalog, channel, raw(&["people"])).await, ["e"]);
        assert_eq!(found(catalog, channel, raw(&[])).await, ["e"]);
        let id = Filter::Leaf(Field::Id, words(&["A"]));
        assert_eq!(found(catalog, channel, id).await, ["a"]);
    }

    async fn texts_compare_by_code_point(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        // A dictionary has a before B and \u{e4} before z.
        let texts = ["B", "Z", "a", "ab", "z", "\u{e4}", "\u{ffff}", "\u{10000}"];
        let documents: Vec<_> = (0..)
            .zip(texts)
            .map(|(number, value)| with_string(document(&format!("d{number}"), channel, 0), "s", value))
            .collect();
        catalog.put_documents(&documents).await.unwrap();
        let in_order: Vec<_> = documents.iter().map(|document| document.id.clone()).collect();
        let field = Field::String("s".into());
        assert_eq!(sorted(catalog, channel, field, false).await, in_order);
        for (number, value) in (0..).zip(texts) {
            let below = found(catalog, channel, string(Test::Lt(text(value)))).await;
            assert_eq!(below, in_order[..number], "{value}");
        }
    }

    async fn long_texts_are_compared_whole(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let value = |end: &str| format!("{}{end}", "\u{e4}".repeat(20_000));
        catalog.put_documents(&[
            with_string(document("a", channel, 0), "s", &value("1")),
            with_string(document("b", channel, 0), "s", &value("2")),
        ]).await.unwrap();
        let find = async |test| found(catalog, channel, string(test)).await;
        assert_eq!(find(Test::Eq(text(&value("2")))).await, ["b"]);
        assert_eq!(find(Test::In(vec![text(&value("1"))])).await, ["a"]);
        assert!(find(Test::Eq(text(&value("")))).await.is_empty());
    }

    async fn time_and_id_are_fields_too(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let documents: Vec<_> = (0..4).map(|n| document(&format!("d{n}"), channel, n)).collect();
        catalog.put_documents(&documents).await.unwrap();
        let time = |test| Filter::Leaf(Field::Timestamp, test);
        let between = Filter::And(vec![
            time(Test::Gte(Value::Time(at(1)))),
            time(Test::Lt(Value::Time(at(3)))),
        ]);
        assert_eq!(found(catalog, channel, between).await, ["d1", "d2"]);
        let id = |test| Filter::Leaf(Field::Id, test);
        let some = Filter::Or(vec![id(Test::Eq(text("d0"))), id(Test::In(vec![text("d3"), text("x")]))]);
        assert_eq!(found(catalog, channel, some).await, ["d0", "d3"]);
        assert_eq!(found(catalog, channel, time(Test::Exists(true))).await.len(), 4);
        assert!(found(catalog, channel, id(Test::Exists(false))).await.is_empty());
    }

    async fn empty_and_matches_everything_and_empty_or_nothing(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        catalog.put_documents(&[document("a", channel, 0)]).await.unwrap();
        assert_eq!(found(catalog, channel, Filter::And(vec![])).await, ["a"]);
        assert!(found(catalog, channel, Filter::Or(vec![])).await.is_empty());
        let not = |filter| Filter::Not(Box::new(filter));
        assert_eq!(found(catalog, channel, not(Filter::Or(vec![]))).await, ["a"]);
        assert!(found(catalog, channel, not(Filter::And(vec![]))).await.is_empty());
    }

    async fn sorting_puts_absent_values_last_and_breaks_ties_by_id(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        catalog.put_documents(&[
            with_long(document("b", channel, 1), "n", 1),
            with_long(document("a", channel, 2), "n", 1),
            with_long(document("c", channel, 3), "n", -7),
            document("e", channel, 4),
            document("d", channel, 4),
        ]).await.unwrap();
        let n = Field::Long("n".into());
        assert_eq!(sorted(catalog, channel, n.clone(), false).await, ["c", "a", "b", "d", "e"]);
        assert_eq!(sorted(catalog, channel, n.clone(), true).await, ["a", "b", "c", "d", "e"]);
        assert_eq!(sorted(catalog, channel, Field::Timestamp, true).await, ["d", "e", "c", "a", "b"]);
        assert_eq!(sorted(catalog, channel, Field::Id, true).await, ["e", "d", "c", "b", "a"]);
        assert_eq!(sorted(catalog, channel, Field::RawData, true).await, ["a", "b", "c", "d", "e"]);
        let sort = [
            Sort { field: n, is_descending: true },
            Sort { field: Field::Timestamp, is_descending: false },
        ];
        let slice = Slice { limit: 3, offset: 1 };
        let everything = Filter::And(vec![]);
        let page = catalog.find_documents(&[channel], &everything, &sort, slice).await.unwrap();
        let found: Vec<_> = page.items.iter().map(|document| document.id.as_str()).collect();
        assert_eq!((page.total, found), (5, vec!["a", "c", "d"]));
    }

    async fn values_of_the_wrong_type_are_refused(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let wrong = [
            long(Test::Eq(text("1"))),
            long(Test::In(vec![Value::Long(1), text("1")])),
            float(Test::Lt(Value::Float(f64::NAN))),
            float(Test::Lt(Value::Time(at(0)))),
            string(Test::Ne(Value::Long(1))),
            long(words(&["a"])),
            Filter::Leaf(Field::Timestamp, Test::Gt(Value::Long(5))),
            Filter::Leaf(Field::Timestamp, words(&["a"])),
            Filter::Leaf(Field::RawData, Test::Eq(text("a\0b"))),
        ];
        for filter in wrong {
            let error = catalog.find_documents(&[channel], &filter, &[], ALL).await.unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{filter:?}: {error}");
        }
    }

    async fn filters_of_absurd_size_are_refused_and_large_ones_work(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        catalog.put_documents(&[with_long(document("a", channel, 0), "n", 199)]).await.unwrap();
        let leaves = |count| (0..count).map(|n| long(Test::Eq(Value::Long(n)))).collect::<Vec<_>>();
        let nest = |depth: usize| {
            (0..depth).fold(Filter::And(vec![]), |inner, _| Filter::And(vec![inner]))
        };
        let values = |count| long(Test::In((0..count).map(Value::Long).collect()));
        for good in [Filter::Or(leaves(200)), nest(30), values(2_000)] {
            assert_eq!(found(catalog, channel, good).await, ["a"]);
        }
        for bad in [Filter::Or(leaves(300)), nest(40), values(2_001)] {
            let error = catalog.find_documents(&[channel], &bad, &[], ALL).await.unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{error}");
        }
    }

    async fn rare_and_common_values_are_found_among_many_documents(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let many: Vec<Document> = (0..1_200)
            .map(|number| {
                let kind = if number == 700 { "note" } else { "auto" };
                let common = with_long(document(&format!("d{number:05}"), channel, number), "n", 1);
                with_string(common, "s", kind)
            })
            .collect();
        catalog.put_documents(&many).await.unwrap();
        let is = |kind: &str| string(Test::Eq(text(kind)));
        let one = long(Test::Eq(Value::Long(1)));
        let count = async |filter| {
            let slice = Slice { limit: 1, offset: 0 };
            catalog.find_documents(&[channel], &filter, &[], slice).await.unwrap().total
        };
        assert_eq!(count(one.clone()).await, 1_200);
        assert_eq!(count(is("auto")).await, 1_199);
        let rare = Filter::And(vec![one.clone(), is("note")]);
        assert_eq!(found(catalog, channel, rare.clone()).await, ["d00700"]);
        assert!(found(catalog, channel, Filter::And(vec![one, is("none")])).await.is_empty());
        assert_eq!(catalog.delete_matching_documents(&[channel], &rare).await.unwrap(), 1);
        assert_eq!(count(is("auto")).await, 1_199);
    }

    async fn a_deleted_channel_takes_its_documents_along(catalog: &Catalog) {
        let channel = channel(catalog).await;
        catalog.put_documents(&[with_long(document("a", channel.id, 0), "n", 1)]).await.unwrap();
        catalog.delete_channel(channel.account, channel.id, at(1)).await.unwrap();
        assert!(found(catalog, channel.id, Filter::And(vec![])).await.is_empty());
        let again = channel_of(catalog, channel.account, "gate").await.id;
        catalog.put_documents(&[document("a", again, 0)]).await.unwrap();
    }

    async fn two_writers_of_the_same_ids_at_once_both_succeed(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let write = async |value: i64, is_reversed: bool| {
            let mut documents: Vec<_> = (0..50)
                .map(|n| with_long(document(&format!("d{n}"), channel, n), "n", value))
                .collect();
            if is_reversed {
                documents.reverse();
            }
            for _ in 0..3 {
                catalog.put_documents(&documents).await.unwrap();
            }
        };
        tokio::join!(write(1, false), write(2, true));
        let ones = found(catalog, channel, long(Test::Eq(Value::Long(1)))).await.len();
        let twos = found(catalog, channel, long(Test::Eq(Value::Long(2)))).await.len();
        assert_eq!(ones + twos, 50);
    }
}
