//! Events: storing, finding, following; and what channels do on them.

use crate::backend::{ALL, account, at, channel, channel_of, conformance, missing_channel};
use framewell_catalog::{Catalog, Error, EventFilter, JobFilter, NewJob, Order, Revisions, Slice};
use framewell_model::{ChannelId, Event, EventId, EventProcessing, EventSource, NewEvent};
use std::collections::{BTreeMap, BTreeSet};

fn new(channel: ChannelId, name: &str, seconds: i64, tags: &[(&str, &str)]) -> NewEvent {
    let tags = tags
        .iter()
        .map(|(tag, data)| ((*tag).to_owned(), (*data).to_owned()));
    NewEvent {
        channel,
        name: name.into(),
        time: at(seconds),
        source: EventSource::Api,
        tags: tags.collect(),
    }
}

async fn insert(
    catalog: &Catalog,
    channel: ChannelId,
    name: &str,
    seconds: i64,
    tags: &[(&str, &str)],
) -> Event {
    let new = new(channel, name, seconds, tags);
    catalog
        .insert_event(&new, |_| Vec::new(), at(100))
        .await
        .unwrap()
}

async fn ids(catalog: &Catalog, channels: &[ChannelId], filter: &EventFilter) -> Vec<i64> {
    let page = catalog
        .list_events(channels, filter, Order::Ascending, ALL)
        .await
        .unwrap();
    assert_eq!(page.total, i64::try_from(page.items.len()).unwrap());
    page.items.iter().map(|event| event.id.get()).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn behind(after: i64) -> Revisions {
    Revisions {
        after,
        until: i64::MAX,
    }
}

fn missing() -> EventId {
    EventId::new(9_999).unwrap()
}

conformance! {
    async fn an_event_comes_back_as_it_was_stored(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let stored = insert(catalog, channel, "it's \"motion\" \u{e4}", 5, &[("Person", "2"), ("'; --", "")]).await;
        assert_eq!(catalog.load_event(stored.id).await.unwrap(), stored);
        assert_eq!((stored.time, stored.created), (at(5), at(100)));
        assert!(matches!(catalog.load_event(missing()).await, Err(Error::NotFound { .. })));
        for bad in [new(channel, "", 0, &[]), new(channel, "x", 0, &[("", "y")]), new(channel, "a\0b", 0, &[])] {
            let error = catalog.insert_event(&bad, |_| Vec::new(), at(0)).await.unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{error:?}");
        }
        let error = catalog.insert_event(&new(missing_channel(), "x", 0, &[]), |_| Vec::new(), at(0)).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        assert_eq!(ids(catalog, &[channel], &EventFilter::default()).await, [stored.id.get()]);
    }

    async fn an_event_and_its_jobs_are_stored_together(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let job = |id: EventId| NewJob {
            kind: "picture",
            account: channel.account,
            channel: Some(channel.id),
            parameters: serde_json::json!({ "event": id }),
            dedup: Some(id.to_string()),
            due: at(200),
        };
        let new = new(channel.id, "motion", 1, &[]);
        let event = catalog.insert_event(&new, |id| vec![job(id)], at(100)).await.unwrap();
        let filter = JobFilter { kind: "picture", channel: channel.id };
        let jobs = catalog.list_jobs(filter, Order::Ascending, ALL).await.unwrap();
        assert_eq!(jobs.items[0].parameters, serde_json::json!({ "event": event.id }));
        assert_eq!(jobs.total, 1);
    }

    async fn filters_are_joined_and_the_total_respects_them(catalog: &Catalog) {
        let first = channel(catalog).await;
        let second = channel_of(catalog, first.account, "second").await.id;
        let first = first.id;
        let mut stored = Vec::new();
        for (channel, name, seconds, tags) in [
            (first, "motion", 3, [("a", ""), ("b", "")].as_slice()),
            (first, "motion", 1, &[("b", "")]),
            (second, "sound", 2, &[]),
            (first, "face", 2, &[("c", "")]),
        ] {
            stored.push(insert(catalog, channel, name, seconds, tags).await.id.get());
        }
        let [late, early, sound, face] = stored.try_into().unwrap();
        let both = [first, second];
        let all = EventFilter::default();
        assert_eq!(ids(catalog, &both, &all).await, [early, sound, face, late]);
        assert_eq!(ids(catalog, &[second], &all).await, [sound]);
        assert_eq!(ids(catalog, &[], &all).await, [0; 0]);
        let names = EventFilter { names: Some(words(&["motion", "sound"])), ..all.clone() };
        assert_eq!(ids(catalog, &both, &names).await, [early, sound, late]);
        let none = EventFilter { names: Some(vec![]), ..all.clone() };
        assert_eq!(ids(catalog, &both, &none).await, [0; 0]);
        let tagged = EventFilter { with_any_tag: words(&["a", "c", "x"]), ..all.clone() };
        assert_eq!(ids(catalog, &both, &tagged).await, [face, late]);
        let untagged = EventFilter { without_tags: words(&["a", "c"]), ..all.clone() };
        assert_eq!(ids(catalog, &both, &untagged).await, [early, sound]);
        let range = EventFilter { start: Some(at(2)), end: Some(at(3)), ..all.clone() };
        assert_eq!(ids(catalog, &both, &range).await, [sound, face, late]);
        let joined = EventFilter { with_any_tag: words(&["b"]), without_tags: words(&["a"]), ..names };
        assert_eq!(ids(catalog, &both, &joined).await, [early]);
        let slice = Slice { limit: 2, offset: 1 };
        let page = catalog.list_events(&both, &all, Order::Descending, slice).await.unwrap();
        let shown: Vec<i64> = page.items.iter().map(|event| event.id.get()).collect();
        assert_eq!((page.total, shown), (4, vec![face, sound]));
        assert_eq!(page.items[0].tags, BTreeMap::from([("c".to_owned(), String::new())]));
        let absurd = EventFilter { without_tags: vec!["x".to_owned(); 501], ..all };
        let error = catalog.list_events(&both, &absurd, Order::Ascending, ALL).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    }

    async fn an_event_takes_so_many_tags(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let id = insert(catalog, channel, "motion", 1, &[("t0", "")]).await.id;
        for number in 1..256 {
            catalog.put_event_tag(id, &format!("t{number}"), "").await.unwrap();
        }
        let refused = catalog.put_event_tag(id, "one more", "").await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        catalog.put_event_tag(id, "t7", "replaced").await.unwrap();
        catalog.delete_event_tag(id, "t0").await.unwrap();
        catalog.put_event_tag(id, "one more", "").await.unwrap();
        let names: Vec<String> = (0..257).map(|number| format!("t{number}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        let refused = catalog.insert_event(&new(channel, "x", 0, &many), |_| Vec::new(), at(0)).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }

    async fn the_tags_of_an_event_have_so_many_bytes(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        // Two bytes each: bytes are counted, not characters.
        let half = "\u{e4}".repeat((16 << 10) - 1);
        let id = insert(catalog, channel, "motion", 1, &[("a", &half)]).await.id;
        catalog.put_event_tag(id, "b", &half).await.unwrap();
        catalog.put_event_tag(id, "b", &format!("{half}x")).await.unwrap();
        let refused = catalog.put_event_tag(id, "b", &format!("{half}xyz")).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        let refused = catalog.put_event_tag(id, "c", "xy").await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        let large = "x".repeat(64 << 10);
        let refused = catalog.insert_event(&new(channel, "x", 0, &[("a", &large)]), |_| Vec::new(), at(0)).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        let page = catalog.list_events_without_tags(&[channel], &EventFilter::default(), Order::Ascending, ALL).await.unwrap();
        assert_eq!((page.total, page.items[0].id, page.items[0].tags.len()), (1, id, 0));
    }

    async fn tags_are_set_replaced_and_removed(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let id = insert(catalog, channel, "motion", 1, &[("a", "1")]).await.id;
        catalog.put_event_tag(id, "a", "2").await.unwrap();
        catalog.put_event_tag(id, "b", "").await.unwrap();
        let tags = catalog.load_event(id).await.unwrap().tags;
        let expected = [("a", "2"), ("b", "")].map(|(tag, data)| (tag.to_owned(), data.to_owned()));
        assert_eq!(tags, BTreeMap::from(expected));
        catalog.delete_event_tag(id, "a").await.unwrap();
        for refused in [
            catalog.delete_event_tag(id, "a").await,
            catalog.put_event_tag(missing(), "a", "").await,
            catalog.delete_event_tag(missing(), "a").await,
        ] {
            assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
        }
        assert_eq!(catalog.load_event(id).await.unwrap().tags.len(), 1);
    }

    async fn an_event_has_one_file_at_most(catalog: &Catalog) {
        let channel = channel(catalog).await.id;
        let id = insert(catalog, channel, "motion", 1, &[]).await.id;
        assert!(matches!(catalog.load_event_file(id).await, Err(Error::NotFound { .. })));
        catalog.put_event_file(id, "{\"a\": 1}").await.unwrap();
        catalog.put_event_file(id, "[]").await.unwrap();
        assert_eq!(catalog.load_event_file(id).await.unwrap(), "[]");
        assert!(catalog.load_event(id).await.unwrap().has_file);
        assert!(matches!(catalog.put_event_file(missing(), "").await, Err(Error::NotFound { .. })));
        catalog.delete_event(id).await.unwrap();
        assert!(matches!(catalog.load_event_file(id).await, Err(Error::NotFound { .. })));
        assert!(matches!(catalog.delete_event(id).await, Err(Error::NotFound { .. })));
    }

    async fn old_events_go_oldest_first_and_a_channel_takes_its_events_along(catalog: &Catalog) {
        let owner = account(catalog, "owner").await;
        let first = channel_of(catalog, owner, "first").await.id;
        let second = channel_of(catalog, owner, "second").await.id;
        for seconds in [4, 1, 3, 2] {
            insert(catalog, first, "motion", seconds, &[("a", "")]).await;
        }
        insert(catalog, second, "motion", 1, &[]).await;
        assert_eq!(catalog.delete_events_before(first, at(3), 1).await.unwrap(), 1);
        assert_eq!(catalog.delete_events_before(first, at(3), 9).await.unwrap(), 1);
        let all = EventFilter::default();
        assert_eq!(ids(catalog, &[first, second], &all).await.len(), 3);
        catalog.delete_channel(owner, first, at(0)).await.unwrap();
        assert_eq!(ids(catalog, &[first, second], &all).await.len(), 1);
    }

    async fn a_follower_gets_each_event_once_in_the_order_of_storing(catalog: &Catalog) {
        let first = channel(catalog).await;
        let second = channel_of(catalog, first.account, "second").await.id;
        let channels = [first.id, second];
        let mut moved = catalog.event_changes();
        assert_eq!(catalog.newest_event_revision().await.unwrap(), 0);
        // Not in the order of their times.
        for (channel, seconds) in [(first.id, 9), (second, 1), (first.id, 5)] {
            insert(catalog, channel, "motion", seconds, &[("n", "1")]).await;
        }
        let newest = catalog.newest_event_revision().await.unwrap();
        assert_eq!(*moved.borrow_and_update(), newest);
        let all = EventFilter::default();
        let found = catalog.events_after(&channels, &all, behind(0), 2).await.unwrap();
        assert!(found.is_cut);
        let page = found.events;
        assert_eq!([page[0].time, page[1].time], [at(9), at(1)]);
        assert_eq!(page[1].tags.len(), 1);
        let found = catalog.events_after(&channels, &all, behind(page[1].revision), 10).await.unwrap();
        assert!(!found.is_cut);
        let rest = found.events;
        assert_eq!(rest.iter().map(|event| event.time).collect::<Vec<_>>(), [at(5)]);
        assert_eq!(rest[0].revision, newest);
        let own = catalog.events_after(&[second], &all, behind(0), 10).await.unwrap();
        assert_eq!(own.events.len(), 1);
        let all_channels = catalog.all_events_after(behind(0), 10).await.unwrap();
        assert_eq!(all_channels, catalog.events_after(&channels, &all, behind(0), 10).await.unwrap());
        let until = Revisions { after: 0, until: newest - 1 };
        assert_eq!(catalog.events_after(&channels, &all, until, 10).await.unwrap().events.len(), 2);
    }

    /// Tags of 10,000 bytes each, and pages that hold 25,000.
    async fn pages_of_events_with_long_tags_are_shorter_and_lose_nothing(catalog: &Catalog) {
        let catalog = catalog.clone().with_most_tag_bytes(25_000);
        let channel = channel(&catalog).await.id;
        let long = "x".repeat(9_999);
        let mut stored = Vec::new();
        for seconds in 0..5 {
            stored.push(insert(&catalog, channel, "motion", seconds, &[("n", &long)]).await);
        }
        let all = EventFilter::default();
        let list = async |offset| {
            let slice = Slice { limit: 4, offset };
            let page = catalog.list_events(&[channel], &all, Order::Ascending, slice).await.unwrap();
            assert_eq!(page.total, 5);
            page.items
        };
        assert_eq!(list(0).await, stored[..2]);
        assert_eq!(list(2).await, stored[2..4]);
        assert_eq!(list(4).await, stored[4..]);
        let mut followed = Vec::new();
        loop {
            let last = followed.last().map_or(0, |event: &Event| event.revision);
            let found = catalog.events_after(&[channel], &all, behind(last), 10).await.unwrap();
            assert!((1..=2).contains(&found.events.len()));
            followed.extend(found.events);
            if !found.is_cut {
                break;
            }
        }
        assert_eq!(followed, stored);
        // One that is too long alone comes all the same.
        let tiny = catalog.with_most_tag_bytes(1);
        let found = tiny.events_after(&[channel], &all, behind(0), 10).await.unwrap();
        assert_eq!((found.events, found.is_cut), (stored[..1].to_vec(), true));
    }

    /// Many writers at once, and a reader that always asks for what comes after the last it saw.
    async fn a_follower_misses_nothing_of_many_writers(catalog: &Catalog) {
        const WRITERS: i64 = 8;
        const EACH: i64 = 25;
        let channel = channel(catalog).await.id;
        let writers = futures::future::join_all((0..WRITERS).map(|writer| async move {
            for n in 0..EACH {
                insert(catalog, channel, "motion", writer * EACH + n, &[]).await;
            }
        }));
        let follow = async {
            let all = EventFilter::default();
            let (mut seen, mut last) = (Vec::new(), 0);
            while seen.len() < usize::try_from(WRITERS * EACH).unwrap() {
                for event in catalog.events_after(&[channel], &all, behind(last), 7).await.unwrap().events {
                    assert!(event.revision > last);
                    last = event.revision;
                    seen.push(event.time);
                }
                tokio::task::yield_now().await;
            }
            seen
        };
        let limit = std::time::Duration::from_secs(60);
        let (_, seen) = tokio::time::timeout(limit, futures::future::join(writers, follow)).await.unwrap();
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    }

    async fn processing_is_kept_for_each_channel_and_name(catalog: &Catalog) {
        let first = channel(catalog).await;
        let second = channel_of(catalog, first.account, "second").await.id;
        let first = first.id;
        let motion = EventProcessing { snapshot: true, period_s: Some(30), ..EventProcessing::new("motion", false) };
        let custom = EventProcessing { record: true, ..EventProcessing::new("a custom 'name'", true) };
        for processing in [&motion, &custom] {
            catalog.put_event_processing(first, processing).await.unwrap();
        }
        assert_eq!(catalog.list_event_processing(first).await.unwrap(), [custom.clone(), motion.clone()]);
        assert!(catalog.list_event_processing(second).await.unwrap().is_empty());
        let changed = EventProcessing { snapshot: false, notify: false, generate_images: true, ..motion };
        catalog.put_event_processing(first, &changed).await.unwrap();
        assert_eq!(catalog.load_event_processing(first, "motion").await.unwrap(), Some(changed));
        assert_eq!(catalog.load_event_processing(second, "motion").await.unwrap(), None);
        catalog.delete_event_processing(first, &custom.name).await.unwrap();
        let again = catalog.delete_event_processing(first, &custom.name).await;
        assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
        let missing = catalog.put_event_processing(missing_channel(), &custom).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    }
}
