//! Native members of documents: kept, replaced, and gone with their document.

use crate::backend::{ALL, account, at, channel, channel_of, conformance};
use crate::meta::document;
use framewell_catalog::meta::SketchRow;
use framewell_catalog::meta::{
    Bounds, Document, Field, Filter, Frame, KeyPoint, Model, Native, Object, ObjectField, Scope,
    Test, TextQuery, Value, Vector,
};
use framewell_catalog::{Catalog, Error, Revisions};
use framewell_model::{ChannelId, FrameId};
use serde_json::json;
use std::collections::BTreeMap;

fn person(track: &str) -> Object {
    Object {
        label: Some("person".into()),
        score: Some(0.75),
        track: Some(track.into()),
        bounds: Some(Bounds {
            x: 0.25,
            y: 0.5,
            width: 0.125,
            height: 0.25,
        }),
        polygon: vec![[0.25, 0.5], [0.375, 0.5], [0.25, 0.75]],
        points: vec![KeyPoint {
            name: Some("nose".into()),
            x: 0.3125,
            y: 0.5,
            score: None,
        }],
    }
}

fn vector(values: &[f32]) -> Vector {
    Vector::New {
        values: values.to_vec(),
        sketch: vec![7; 64],
    }
}

fn full(id: &str, channel: ChannelId) -> Document {
    Document {
        string: BTreeMap::from([("s".into(), "a Red car".into())]),
        native: Native {
            frame: Some(Frame {
                id: FrameId {
                    run: "01900000-0000-7000-8000-000000000007".parse().unwrap(),
                    ticks: -3_600,
                },
                captured: Some(at(1).plus_micros(7)),
            }),
            objects: vec![
                person("t1"),
                Object {
                    label: Some("car".into()),
                    ..Object::default()
                },
            ],
            data: Some(json!({"a": [1, 2.5, null, "\u{0}"], "b": {"c": true}})),
            model: Some(Model {
                name: "yolo".into(),
                version: Some("11".into()),
            }),
            vector: vector(&[0.5, -1.0, 0.25]),
        },
        ..document(id, channel, 1)
    }
}

fn everything() -> Filter {
    Filter::And(Vec::new())
}

fn scope<'a>(channels: &'a [ChannelId], filter: &'a Filter) -> Scope<'a> {
    Scope {
        channels,
        filter,
        start: None,
        end: None,
    }
}

async fn vectors(catalog: &Catalog, channel: ChannelId) -> Vec<Vec<f32>> {
    let filter = everything();
    let channels = [channel];
    let scope = scope(&channels, &filter);
    let numbers = catalog.numbers_with_vectors(scope, 3, 100).await.unwrap();
    let vectors = catalog.vectors(scope, &numbers).await.unwrap();
    assert_eq!(vectors.len(), numbers.len());
    vectors.into_iter().map(|(_, values)| values).collect()
}

async fn sketches(catalog: &Catalog) -> Vec<(i64, usize)> {
    let all = Revisions {
        after: 0,
        until: i64::MAX,
    };
    let rows = catalog.sketches_after(all, 100).await.unwrap();
    let mut told: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    let seconds = |row: &SketchRow| row.timestamp.secs() - at(0).secs();
    let seen = told.iter().map(|row| (seconds(row), row.dimensions));
    let seen = seen.collect();
    // By number, one after the other, the same ones come.
    let (mut after, mut by_number) = (0, Vec::new());
    while let Some(row) = catalog.sketches_from(after, 1).await.unwrap().pop() {
        after = row.number;
        by_number.push(row);
    }
    told.sort_unstable_by_key(|row| row.number);
    assert_eq!(by_number, told);
    seen
}

async fn found(catalog: &Catalog, channel: ChannelId, filter: Filter) -> usize {
    let page = catalog
        .find_documents(&[channel], &filter, &[], ALL)
        .await
        .unwrap();
    page.items.len()
}

fn text(text: &str) -> Filter {
    Filter::Text(TextQuery::parse(text).unwrap())
}

fn label(label: &str) -> Filter {
    Filter::Leaf(
        Field::Object(ObjectField::Label),
        Test::Eq(Value::Text(label.into())),
    )
}

conformance! {
    async fn few_vectors_among_many_documents_are_found_by_filter_and_time(catalog: &Catalog) {
        let account = account(catalog, "owner").await;
        let [here, there] = [channel_of(catalog, account, "a").await.id, channel_of(catalog, account, "b").await.id];
        let with = |id: &str, second: i64, channel| {
            let mut document = full(id, channel);
            document.timestamp = at(second);
            document
        };
        let mut documents: Vec<_> = (0..50).map(|n| document(&format!("plain {n}"), here, n)).collect();
        documents.extend([with("a", 1, here), with("b", 20, here), with("c", 30, there)]);
        let mut other = with("d", 5, here);
        other.native.vector = vector(&[1.0, 2.0]);
        documents.push(other);
        catalog.put_documents(&documents).await.unwrap();
        let all = everything();
        let [by_id, none] = ["b", "plain 3"]
            .map(|id| Filter::Leaf(Field::Id, Test::Eq(Value::Text(id.into()))));
        let count = async |channels: &[ChannelId], filter: &Filter, end: Option<i64>| {
            let scope = Scope { end: end.map(at), ..scope(channels, filter) };
            catalog.numbers_with_vectors(scope, 3, 100).await.unwrap().len()
        };
        assert_eq!(count(&[here], &all, None).await, 2);
        assert_eq!(count(&[here, there], &all, None).await, 3);
        assert_eq!(count(&[here, there], &all, Some(20)).await, 1);
        assert_eq!(count(&[here], &by_id, None).await, 1);
        assert_eq!(count(&[there], &by_id, None).await, 0);
        assert_eq!(count(&[here], &none, None).await, 0);
    }

    async fn native_members_come_back_as_they_were(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let stored = full("a", channel);
        catalog.put_documents(std::slice::from_ref(&stored)).await.unwrap();
        let loaded = catalog.load_documents(&[channel], &["a".into()]).await.unwrap();
        let native = Native { vector: Vector::Stored { dimensions: 3 }, ..stored.native.clone() };
        assert_eq!(loaded, [Document { native, ..stored }]);
        assert_eq!(vectors(catalog, channel).await, [[0.5, -1.0, 0.25]]);
    }

    async fn a_document_that_was_loaded_and_stored_again_keeps_everything(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        catalog.put_documents(&[full("a", channel)]).await.unwrap();
        let mut loaded = catalog.load_documents(&[channel], &["a".into()]).await.unwrap();
        loaded[0].timestamp = at(9);
        catalog.put_documents(&loaded).await.unwrap();
        assert_eq!(catalog.load_documents(&[channel], &["a".into()]).await.unwrap(), loaded);
        assert_eq!(vectors(catalog, channel).await, [[0.5, -1.0, 0.25]]);
        assert_eq!(sketches(catalog).await, [(9, 3)], "the sketch moves with its document");
        assert_eq!(found(catalog, channel, label("car")).await, 1);
        assert_eq!(found(catalog, channel, text("red")).await, 1);
    }

    async fn a_replacement_leaves_nothing_native_behind(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        catalog.put_documents(&[full("a", channel), full("b", channel)]).await.unwrap();
        catalog.put_documents(&[document("a", channel, 2)]).await.unwrap();
        assert_eq!(found(catalog, channel, label("person")).await, 1);
        assert_eq!(found(catalog, channel, text("car")).await, 1);
        assert_eq!(vectors(catalog, channel).await.len(), 1);
        catalog.delete_documents(&[channel], &["b".into()]).await.unwrap();
        assert_eq!(found(catalog, channel, label("person")).await, 0);
        assert_eq!(found(catalog, channel, text("car")).await, 0);
        assert!(vectors(catalog, channel).await.is_empty());
        assert!(sketches(catalog).await.is_empty());
    }

    async fn another_vector_takes_the_place_of_the_first(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        catalog.put_documents(&[full("a", channel)]).await.unwrap();
        let mut changed = full("a", channel);
        changed.native.vector = vector(&[1.0, 2.0]);
        catalog.put_documents(&[changed]).await.unwrap();
        assert!(vectors(catalog, channel).await.is_empty(), "none of three numbers");
        assert_eq!(sketches(catalog).await, [(1, 2)]);
    }

    async fn full_text_goes_with_a_deleted_channel(catalog: &Catalog) {
        let account = account(catalog, "owner").await;
        let channels = [channel_of(catalog, account, "a").await.id, channel_of(catalog, account, "b").await.id];
        let documents = channels.map(|channel| full("a", channel));
        catalog.put_documents(&documents).await.unwrap();
        catalog.delete_channel(account, channels[0], at(5)).await.unwrap();
        let page = catalog.find_documents(&channels, &text("red car"), &[], ALL).await.unwrap();
        assert_eq!(page.total, 1);
    }

    async fn numbers_that_are_none_are_refused(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let with = |change: fn(&mut Native)| {
            let mut document = full("a", channel);
            change(&mut document.native);
            document
        };
        for bad in [
            with(|native| native.vector = vector(&[])),
            with(|native| native.vector = vector(&[f32::NAN])),
            with(|native| native.objects[0].score = Some(f64::INFINITY)),
            with(|native| native.objects[0].label = Some(String::new())),
            with(|native| native.objects[0].bounds = Some(Bounds { x: f64::NAN, y: 0.0, width: 0.0, height: 0.0 })),
        ] {
            let refused = catalog.put_documents(&[bad]).await.unwrap_err();
            assert!(matches!(refused, Error::Invalid(_)), "{refused}");
        }
    }

    async fn both_databases_find_the_same_words(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let corpus = [
            "The quick brown fox; jumps over 2 lazy dogs",
            "STRASSE and straße, naïve café",
            "don't e-mail me@example.org http://x.test/a_b?c=d",
            "日本語 テスト 東京",
            "Ünïcödé ÄÖÜ ſharp K kelvin",
            "combining e\u{301}te\u{301} mark",
            "under_score CamelCase snake-case 1,000.50",
            "near AND or NOT * : ^ \" ' ( ) { } \\",
            "İstanbul ıstanbul I i",
        ];
        let documents: Vec<Document> = corpus.iter().enumerate().map(|(n, text)| Document {
            raw_data: Some((*text).into()),
            string: BTreeMap::from([("n".into(), format!("number {n}"))]),
            ..document(&format!("d{n}"), channel, 0)
        }).collect();
        catalog.put_documents(&documents).await.unwrap();
        for (query, expected) in [
            ("FOX", &["d0"][..]), ("lazy dogs 2", &["d0"]), ("\"lazy 2\"", &[]), ("\"2 lazy\"", &["d0"]),
            ("strasse", &["d1"]), ("Straße", &["d1"]), ("naïve", &["d1"]), ("naive", &[]), ("caf*", &["d1"]),
            ("don t", &["d2"]), ("mail", &["d2"]), ("example.org", &["d2"]), ("日本語", &["d3"]), ("東京", &["d3"]),
            ("日本*", &["d3"]), ("ünïcödé", &["d4"]), ("äöü", &["d4"]), ("kelvin", &["d4"]), ("te", &["d5"]),
            ("score", &["d6"]), ("camelcase", &["d6"]), ("case", &["d6"]), ("50", &["d6"]), ("1", &["d1", "d6"]),
            ("near", &["d7"]), ("number", &["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8"]),
            ("\"number fox\"", &[]), ("\"mark number\"", &[]), ("absent", &[]), ("qu* br*", &["d0"]),
            ("number absent*", &[]), ("ıstanbul", &["d8"]),
        ] {
            let page = catalog.find_documents(&[channel], &text(query), &[], ALL).await.unwrap();
            let ids: Vec<&str> = page.items.iter().map(|document| document.id.as_str()).collect();
            assert_eq!(ids, expected, "{query}");
        }
    }
}
