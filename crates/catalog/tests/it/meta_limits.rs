//! Documents: whose ids they have, how long they live, and how long a search may take.

use crate::backend::{ALL, at, channel, channel_of, conformance, missing_channel};
use crate::meta::document;
use framewell_catalog::meta::{Field, Filter, Sort, Test, Value};
use framewell_catalog::{Catalog, Error, META_MAX_AGE, Revisions};
use framewell_model::{ChannelId, ErrorKind, HasKind};
use std::collections::BTreeMap;
use std::time::Duration;

fn everything() -> Filter {
    Filter::And(vec![])
}

async fn total(catalog: &Catalog, channel: ChannelId) -> i64 {
    let everything = everything();
    let channels = [channel];
    let found = catalog.find_documents(&channels, &everything, &[], ALL);
    found.await.unwrap().total
}

conformance! {
    async fn two_channels_may_use_the_same_id(catalog: &Catalog) {
        let first = channel(catalog).await;
        let second = channel_of(catalog, first.account, "second").await.id;
        let both = [document("a", second, 2), document("a", first.id, 1)];
        catalog.put_documents(&both).await.unwrap();
        let page = catalog.find_documents(&[first.id, second], &everything(), &[], ALL).await.unwrap();
        let channels: Vec<ChannelId> = page.items.iter().map(|document| document.channel).collect();
        assert_eq!(channels, [first.id, second]);
        // Each channel sees and deletes its own only.
        let ids = ["a".to_owned()];
        assert_eq!(catalog.delete_documents(&[second], &ids).await.unwrap(), ids);
        let left = catalog.load_documents(&[first.id, second], &ids).await.unwrap();
        assert_eq!(left, [document("a", first.id, 1)]);
    }

    async fn old_documents_go_oldest_first(catalog: &Catalog) {
        let first = channel(catalog).await;
        let second = channel_of(catalog, first.account, "second").await.id;
        let mut documents: Vec<_> = (0..10).map(|n| document(&format!("d{n}"), first.id, n)).collect();
        documents.push(document("other", second, 0));
        catalog.put_documents(&documents).await.unwrap();
        assert_eq!(catalog.delete_documents_before(first.id, at(5), 3).await.unwrap(), 3);
        let page = catalog.find_documents(&[first.id], &everything(), &[], ALL).await.unwrap();
        assert_eq!(page.items[0].id, "d3");
        assert_eq!(catalog.delete_documents_before(first.id, at(5), 100).await.unwrap(), 2);
        assert_eq!(catalog.delete_documents_before(first.id, at(5), 100).await.unwrap(), 0);
        // What is exactly as old as allowed stays.
        assert_eq!(total(catalog, first.id).await, 5);
        assert_eq!(total(catalog, second).await, 1);
    }

    async fn limits_are_set_replaced_and_removed(catalog: &Catalog) {
        let first = channel(catalog).await;
        let second = channel_of(catalog, first.account, "second").await.id;
        let set = async |channel, name: &str, value| {
            catalog.put_channel_limits(channel, &BTreeMap::from([(name.to_owned(), value)])).await
        };
        set(first.id, META_MAX_AGE, Some(0.1)).await.unwrap();
        set(first.id, META_MAX_AGE, Some(24.5)).await.unwrap();
        set(second, META_MAX_AGE, Some(1.0)).await.unwrap();
        set(second, "storage_size", Some(f64::MAX)).await.unwrap();
        assert_eq!(
            catalog.load_channel_limits(second).await.unwrap(),
            BTreeMap::from([(META_MAX_AGE.to_owned(), 1.0), ("storage_size".to_owned(), f64::MAX)])
        );
        let mut limited = catalog.channels_with_limit(META_MAX_AGE).await.unwrap();
        limited.sort_by_key(|(channel, _)| *channel);
        assert_eq!(limited, [(first.id, 24.5), (second, 1.0)]);
        set(second, META_MAX_AGE, None).await.unwrap();
        assert_eq!(catalog.channels_with_limit(META_MAX_AGE).await.unwrap(), [(first.id, 24.5)]);
        assert!(matches!(set(missing_channel(), "x", Some(1.0)).await, Err(Error::NotFound { .. })));
    }

    async fn a_follower_gets_documents_in_the_order_of_storing_and_changed_ones_again(catalog: &Catalog) {
        let first = channel(catalog).await;
        let second = channel_of(catalog, first.account, "second").await.id;
        let first = first.id;
        let mut moved = catalog.document_changes();
        let put = async |id: &str, channel, seconds| {
            catalog.put_documents(&[document(id, channel, seconds)]).await.unwrap();
        };
        put("z", first, 5).await;
        put("a", second, 3).await;
        put("m", first, 1).await;
        put("gone", first, 1).await;
        let follow = async |channels: &[ChannelId], filter: &Filter, after, most| {
            let behind = Revisions { after, until: i64::MAX };
            let found = catalog.documents_after(channels, filter, behind, most).await.unwrap();
            found.documents.into_iter().map(|(revision, document)| (document.id, revision)).collect::<Vec<_>>()
        };
        let ids = |found: &[(String, i64)]| found.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        let both = [first, second];
        let page = follow(&both, &everything(), 0, 3).await;
        assert_eq!(ids(&page), ["z", "a", "m"]);
        assert_eq!(ids(&follow(&[first], &everything(), 0, 10).await), ["z", "m", "gone"]);
        let late = Filter::Leaf(Field::Timestamp, Test::Gte(Value::Time(at(3))));
        assert_eq!(ids(&follow(&both, &late, 0, 10).await), ["z", "a"]);
        put("z", first, 9).await;
        catalog.delete_documents(&[first], &["gone".to_owned()]).await.unwrap();
        let rest = follow(&both, &everything(), page[2].1, 10).await;
        assert_eq!(ids(&rest), ["z"], "changed, and what is deleted is not told");
        let newest = catalog.newest_document_revision().await.unwrap();
        assert_eq!((*moved.borrow_and_update(), rest[0].1), (newest, newest));
        assert_eq!(ids(&follow(&both, &everything(), 0, 10).await), ["a", "m", "z"]);
    }

    async fn a_search_that_takes_too_long_is_stopped_and_the_next_one_works(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        for batch in 0..4 {
            let documents: Vec<_> = (0..5_000)
                .map(|n| document(&format!("{batch}-{n}"), channel, n))
                .collect();
            catalog.put_documents(&documents).await.unwrap();
        }
        let hasty = catalog.clone().with_search_limit(Duration::from_millis(2));
        let absent = |number: i32| {
            Filter::Leaf(Field::String(format!("s{number}")), Test::Exists(false))
        };
        let filter = Filter::And((0..50).map(absent).collect());
        let sort = [Sort { field: Field::String("s".into()), is_descending: true }];
        // More often than there are connections.
        for _ in 0..10 {
            let error = hasty.find_documents(&[channel], &filter, &sort, ALL).await.unwrap_err();
            assert!(matches!(error, Error::TooSlow { .. }), "{error:?}");
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            let error = hasty.delete_matching_documents(&[channel], &filter).await.unwrap_err();
            assert!(matches!(error, Error::TooSlow { .. }), "{error:?}");
        }
        assert_eq!(total(catalog, channel).await, 20_000);
    }
}
