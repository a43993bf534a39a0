//! Pages that do not drift, and counts by intervals.

use crate::backend::{account, at, channel, channel_of, conformance};
use crate::meta::document;
use framewell_catalog::meta::{
    BucketQuery, Document, DocumentSearch, Filter, Measured, Moment, Native, Object, Scope, Spread,
    Value,
};
use framewell_catalog::{Catalog, Error, Order, Revisions};
use framewell_model::ChannelId;
use std::collections::BTreeMap;

fn everything() -> Filter {
    Filter::And(Vec::new())
}

fn of<'a>(channels: &'a [ChannelId], filter: &'a Filter) -> Scope<'a> {
    Scope {
        channels,
        filter,
        start: None,
        end: None,
    }
}

async fn page(
    catalog: &Catalog,
    channels: &[ChannelId],
    order: Order,
    after: Option<Moment>,
) -> (Vec<String>, Option<Moment>) {
    let filter = everything();
    let query = DocumentSearch {
        scope: of(channels, &filter),
        order,
        after,
        limit: 3,
    };
    let found = catalog.search_documents(&query).await.unwrap();
    let documents = found.documents.into_iter();
    (
        documents.map(|(_, document)| document.id).collect(),
        found.next,
    )
}

fn with_objects(document: Document, objects: &[(&str, f64)]) -> Document {
    let objects = objects.iter().map(|(label, score)| Object {
        label: Some((*label).into()),
        score: Some(*score),
        ..Object::default()
    });
    let native = Native {
        objects: objects.collect(),
        ..Native::default()
    };
    Document { native, ..document }
}

fn with_long(document: Document, value: i64) -> Document {
    let long = BTreeMap::from([("n".to_owned(), value)]);
    Document { long, ..document }
}

conformance! {
    async fn pages_go_on_where_they_ended_while_documents_are_written(catalog: &Catalog) {
        let account = account(catalog, "owner").await;
        let mut channels = Vec::new();
        for n in 0..6 {
            channels.push(channel_of(catalog, account, &format!("c{n}")).await.id);
        }
        // Two at each instant.
        let documents: Vec<Document> = (0..8).map(|n| document(&format!("d{n}"), channels[n % 6], n as i64 / 2)).collect();
        catalog.put_documents(&documents).await.unwrap();
        for some in [&channels[..], &channels[..4]] {
            for order in [Order::Ascending, Order::Descending] {
                let mut expected: Vec<String> = documents.iter().filter(|d| some.contains(&d.channel)).map(|d| d.id.clone()).collect();
                let (mut ids, mut last) = page(catalog, some, order, None).await;
                // What comes before the place shifts nothing.
                let (id, seconds) = match order {
                    Order::Ascending => ("early", -5),
                    Order::Descending => ("late", 50),
                };
                catalog.put_documents(&[document(id, some[0], seconds)]).await.unwrap();
                while let Some(place) = last {
                    let (more, next) = page(catalog, some, order, Some(place)).await;
                    ids.extend(more);
                    last = next;
                }
                ids.sort_unstable();
                expected.sort_unstable();
                assert_eq!(ids, expected, "{order:?}");
                catalog.delete_documents(some, &[id.to_owned()]).await.unwrap();
            }
        }
    }

    async fn a_page_of_long_documents_is_shorter_and_goes_on(catalog: &Catalog) {
        let channels = [channel(catalog).await.id];
        let long = |n: i64| Document { raw_data: Some("x".repeat(10_000)), ..document(&format!("d{n}"), channels[0], n) };
        let documents: Vec<Document> = (0..5).map(long).collect();
        catalog.put_documents(&documents).await.unwrap();
        // Two of three fit; of a bound that none fits, one comes nevertheless.
        for (bytes, pages) in [(25_000, 3), (1, 5), (1 << 20, 2)] {
            let small = catalog.clone().with_most_document_bytes(bytes);
            for order in [Order::Ascending, Order::Descending] {
                let (mut ids, mut last) = page(&small, &channels, order, None).await;
                let mut read = 1;
                while let Some(place) = last {
                    let (more, next) = page(&small, &channels, order, Some(place)).await;
                    ids.extend(more);
                    last = next;
                    read += 1;
                }
                ids.sort_unstable();
                assert_eq!((ids, read), ((0..5).map(|n| format!("d{n}")).collect(), pages), "{bytes}");
            }
            let (mut revisions, mut after) = (Vec::new(), 0);
            loop {
                let behind = Revisions { after, until: i64::MAX };
                let found = small.documents_after(&channels, &everything(), behind, 3).await.unwrap();
                revisions.extend(found.documents.iter().map(|(revision, _)| *revision));
                let Some(next) = found.next else { break };
                after = next;
            }
            assert_eq!(revisions.len(), 5);
            assert!(revisions.is_sorted());
        }
        let filter = everything();
        let query = DocumentSearch { scope: of(&channels, &filter), order: Order::Descending, after: None, limit: 5 };
        let all = catalog.search_documents(&query).await.unwrap().documents;
        let numbers: Vec<i64> = [3, 0, 4].map(|n: usize| all[n].0.number).into();
        let small = catalog.clone().with_most_document_bytes(25_000);
        let found = small.documents_by_number(query.scope, &numbers).await.unwrap();
        assert_eq!(found.next, Some(numbers[1]));
        assert_eq!(found.documents.iter().map(|(number, _)| *number).collect::<Vec<_>>(), numbers[..2]);
    }

    async fn a_search_is_bounded_by_time(catalog: &Catalog) {
        let channels = [channel(catalog).await.id];
        let documents: Vec<Document> = (0..5).map(|n| document(&format!("d{n}"), channels[0], n)).collect();
        catalog.put_documents(&documents).await.unwrap();
        let filter = everything();
        let scope = Scope { start: Some(at(1)), end: Some(at(3)), ..of(&channels, &filter) };
        let query = DocumentSearch { scope, order: Order::Descending, after: None, limit: 10 };
        let found = catalog.search_documents(&query).await.unwrap();
        assert_eq!(found.next, None);
        let ids: Vec<&str> = found.documents.iter().map(|(_, d)| d.id.as_str()).collect();
        assert_eq!(ids, ["d2", "d1"]);
        assert_eq!(catalog.count_documents(scope).await.unwrap(), 2);
    }

    async fn documents_are_counted_by_time(catalog: &Catalog) {
        let channels = [channel(catalog).await.id];
        let documents = [
            with_long(document("a", channels[0], -61), 5),
            with_long(document("b", channels[0], 0), i64::MAX),
            with_long(document("c", channels[0], 59), 1),
            document("d", channels[0], 60),
        ];
        catalog.put_documents(&documents).await.unwrap();
        let filter = everything();
        let query = BucketQuery {
            scope: of(&channels, &filter),
            interval_us: 60_000_000,
            is_by_label: false,
            measured: Some(Measured::Long("n".into())),
        };
        let buckets = catalog.count_by_time(&query).await.unwrap();
        // The base moment is a multiple of a minute.
        let told: Vec<_> = buckets.iter().map(|b| (b.start.secs() - at(0).secs(), b.documents, b.spread.clone())).collect();
        let spread = |count, min, max, avg| Some(Spread { count, min: Value::Long(min), max: Value::Long(max), avg });
        assert_eq!(told, [
            (-120, 1, spread(1, 5, 5, 5.0)),
            (0, 2, spread(2, 1, i64::MAX, i64::MAX as f64 / 2.0)),
            (60, 1, None),
        ]);
        let plain = BucketQuery { measured: None, ..query.clone() };
        let counts: Vec<i64> = catalog.count_by_time(&plain).await.unwrap().iter().map(|b| b.documents).collect();
        assert_eq!(counts, [1, 2, 1]);
        let absurd = BucketQuery { interval_us: 0, ..plain };
        assert!(matches!(catalog.count_by_time(&absurd).await, Err(Error::Invalid(_))));
    }

    async fn labels_are_counted_by_time(catalog: &Catalog) {
        let channels = [channel(catalog).await.id];
        let documents = [
            with_objects(with_long(document("a", channels[0], 0), 10), &[("car", 0.5), ("car", 0.75), ("person", 1.0)]),
            with_objects(with_long(document("b", channels[0], 1), 20), &[("car", 0.25)]),
            with_objects(document("c", channels[0], 70), &[("person", 0.5)]),
            document("d", channels[0], 71),
        ];
        catalog.put_documents(&documents).await.unwrap();
        let filter = everything();
        let mut query = BucketQuery {
            scope: of(&channels, &filter),
            interval_us: 60_000_000,
            is_by_label: true,
            measured: Some(Measured::Score),
        };
        let told = async |query: &BucketQuery<'_>| {
            let buckets = catalog.count_by_time(query).await.unwrap();
            buckets.into_iter().map(|b| {
                let avg = b.spread.map(|s| s.avg);
                (b.start.secs() - at(0).secs(), b.label.unwrap_or_default(), b.documents, b.objects.unwrap_or(-1), avg)
            }).collect::<Vec<_>>()
        };
        assert_eq!(told(&query).await, [
            (0, "car".to_owned(), 2, 3, Some(0.5)),
            (0, "person".to_owned(), 1, 1, Some(1.0)),
            (60, "person".to_owned(), 1, 1, Some(0.5)),
        ]);
        query.measured = Some(Measured::Long("n".into()));
        assert_eq!(told(&query).await, [
            (0, "car".to_owned(), 2, 3, Some(15.0)),
            (0, "person".to_owned(), 1, 1, Some(10.0)),
            (60, "person".to_owned(), 1, 1, None),
        ]);
        query.is_by_label = false;
        query.measured = Some(Measured::Score);
        assert_eq!(told(&query).await, [
            (0, String::new(), 2, 4, Some(0.625)),
            (60, String::new(), 1, 1, Some(0.5)),
        ]);
    }
}
