//! Channels and their tags.

use crate::backend::{
    ALL, account, at, camera, channel, channel_of, conformance, missing_channel, new_channel,
    range, segment,
};
use framewell_catalog::{Catalog, ChannelFilter, Error, NewGap, Slice};
use framewell_model::{AccountId, ChannelPatch, GapReason, NewChannel, RecMode};
use std::collections::BTreeMap;

fn is_missing<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::NotFound { .. }))
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(tag, data)| ((*tag).to_owned(), (*data).to_owned()))
        .collect()
}

async fn names(catalog: &Catalog, account: AccountId, filter: ChannelFilter) -> Vec<String> {
    let page = catalog.list_channels(account, &filter, ALL).await.unwrap();
    assert_eq!(page.total, i64::try_from(page.items.len()).unwrap());
    page.items.into_iter().map(|channel| channel.name).collect()
}

conformance! {
    async fn a_channel_comes_back_as_it_was_created(catalog: &Catalog) {
        let account = account(catalog, "acme").await;
        let new = NewChannel {
            source: Some(camera()),
            rec_mode: RecMode::ByEvent,
            retention_s: Some(86_400),
            meta: tags(&[("site", "berlin"), ("Stra\u{df}e", "{\"a\":1}")]),
            ..new_channel("Gate \u{1f6aa}")
        };
        let created = catalog.create_channel(account, &new, at(5)).await.unwrap();
        assert_eq!(created.source, Some(camera()));
        assert_eq!(created.created, at(5));
        let loaded = catalog.load_channel(created.id).await.unwrap();
        assert_eq!(loaded, created);
        assert_eq!(catalog.all_channels().await.unwrap(), [created]);
    }

    async fn an_unknown_account_gets_no_channel(catalog: &Catalog) {
        let nobody = AccountId::new(77).unwrap();
        assert!(is_missing(catalog.create_channel(nobody, &new_channel("x"), at(0)).await));
        assert!(catalog.all_channels().await.unwrap().is_empty());
    }

    async fn a_patch_changes_what_it_names_and_nothing_else(catalog: &Catalog) {
        let account = account(catalog, "acme").await;
        let new = NewChannel {
            source: Some(camera()),
            meta: tags(&[("site", "berlin")]),
            ..new_channel("gate")
        };
        let created = catalog.create_channel(account, &new, at(0)).await.unwrap();
        let rename = ChannelPatch { name: Some("door".into()), ..ChannelPatch::default() };
        let renamed = catalog.update_channel(account, created.id, &rename).await.unwrap();
        assert_eq!(renamed.name, "door");
        assert_eq!((&renamed.source, &renamed.meta), (&created.source, &created.meta));

        let strip = ChannelPatch {
            source: Some(None),
            retention_s: Some(Some(60)),
            rec_mode: Some(RecMode::Off),
            timezone: Some("UTC".into()),
            meta: Some(tags(&[("floor", "2")])),
            ..ChannelPatch::default()
        };
        let stripped = catalog.update_channel(account, created.id, &strip).await.unwrap();
        assert_eq!(catalog.load_channel(created.id).await.unwrap(), stripped);
        assert_eq!(stripped.source, None);
        assert_eq!(stripped.meta, tags(&[("floor", "2")]));
        assert_eq!((stripped.retention_s, stripped.rec_mode), (Some(60), RecMode::Off));
    }

    async fn channels_of_another_account_cannot_be_changed_or_deleted(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let other = account(catalog, "other").await;
        let patch = ChannelPatch { name: Some("mine".into()), ..ChannelPatch::default() };
        assert!(is_missing(catalog.update_channel(other, channel.id, &patch).await));
        assert!(is_missing(catalog.delete_channel(other, channel.id, at(1)).await));
        assert_eq!(catalog.load_channel(channel.id).await.unwrap(), channel);
    }

    async fn a_deleted_channel_takes_everything_along_but_its_segments(catalog: &Catalog) {
        let channel = channel(catalog).await;
        catalog.create_channel_tag(channel.id, "site", "berlin").await.unwrap();
        let gap = NewGap {
            channel: channel.id,
            start: at(0),
            end: None,
            reason: GapReason::CameraOffline,
        };
        catalog.insert_gap(gap).await.unwrap();
        let staged = catalog.stage_segment(&segment(channel.id, range(0, 10)), at(1)).await.unwrap();
        let published = catalog.stage_segment(&segment(channel.id, range(10, 20)), at(1)).await.unwrap();
        catalog.publish_segment(published, at(2)).await.unwrap();

        catalog.delete_channel(channel.account, channel.id, at(3)).await.unwrap();

        assert!(is_missing(catalog.load_channel(channel.id).await));
        assert!(is_missing(catalog.load_channel_tags(channel.id).await));
        assert!(is_missing(catalog.delete_channel(channel.account, channel.id, at(4)).await));
        assert!(catalog.gaps_in(channel.id, range(0, 100)).await.unwrap().is_empty());
        assert!(is_missing(catalog.publish_segment(staged, at(4)).await));
        assert!(is_missing(catalog.load_segment(published).await));
        let doomed: Vec<_> = catalog.list_doomed_segments(10).await.unwrap()
            .into_iter().map(|segment| segment.record).collect();
        assert_eq!(doomed, [staged, published]);
    }

    async fn the_id_of_a_deleted_channel_never_comes_back(catalog: &Catalog) {
        let first = channel(catalog).await;
        catalog.delete_channel(first.account, first.id, at(1)).await.unwrap();
        let second = channel_of(catalog, first.account, "gate").await;
        assert!(second.id > first.id);
    }

    async fn lists_show_own_channels_by_id_and_count_all_pages(catalog: &Catalog) {
        let mine = account(catalog, "mine").await;
        let other = account(catalog, "other").await;
        for number in 0..5 {
            channel_of(catalog, mine, &format!("c{number}")).await;
            channel_of(catalog, other, "theirs").await;
        }
        let filter = ChannelFilter::default();
        assert_eq!(names(catalog, mine, filter.clone()).await, ["c0", "c1", "c2", "c3", "c4"]);
        assert_eq!(catalog.list_channel_ids(mine).await.unwrap().len(), 5);
        let slice = Slice { limit: 2, offset: 3 };
        let page = catalog.list_channels(mine, &filter, slice).await.unwrap();
        assert_eq!(page.total, 5);
        let ids: Vec<_> = page.items.iter().map(|channel| channel.name.as_str()).collect();
        assert_eq!(ids, ["c3", "c4"]);
        let beyond = Slice { limit: 2, offset: 30 };
        let page = catalog.list_channels(mine, &filter, beyond).await.unwrap();
        assert_eq!((page.total, page.items.len()), (5, 0));
    }

    async fn lists_are_filtered_by_name_tag_and_id(catalog: &Catalog) {
        let mine = account(catalog, "mine").await;
        let make = async |name: &str, meta: &[(&str, &str)]| {
            let new = NewChannel { meta: tags(meta), ..new_channel(name) };
            catalog.create_channel(mine, &new, at(0)).await.unwrap().id
        };
        let north = make("Gate NORTH", &[("site", "a")]).await;
        let south = make("gate s\u{fc}d", &[("site", "b"), ("off", "")]).await;
        let yard = make("100% yard_", &[]).await;

        let by_name = |part: &str| ChannelFilter {
            name_contains: Some(part.into()),
            ..ChannelFilter::default()
        };
        assert_eq!(names(catalog, mine, by_name("GATE")).await, ["Gate NORTH", "gate s\u{fc}d"]);
        assert_eq!(names(catalog, mine, by_name("S\u{dc}D")).await, ["gate s\u{fc}d"]);
        assert_eq!(names(catalog, mine, by_name("%")).await, ["100% yard_"]);
        assert_eq!(names(catalog, mine, by_name("_")).await, ["100% yard_"]);
        assert_eq!(names(catalog, mine, by_name("")).await.len(), 3);

        let with = ChannelFilter {
            with_tags: vec!["site".into(), "nothing".into()],
            without_tags: vec!["off".into()],
            ..ChannelFilter::default()
        };
        assert_eq!(names(catalog, mine, with).await, ["Gate NORTH"]);
        let by_id = |ids: Vec<_>| ChannelFilter { ids: Some(ids), ..ChannelFilter::default() };
        assert_eq!(names(catalog, mine, by_id(vec![yard, south, missing_channel()])).await.len(), 2);
        assert!(names(catalog, mine, by_id(vec![])).await.is_empty());
        let mut many = vec![missing_channel(); 1_000];
        many.push(north);
        assert_eq!(names(catalog, mine, by_id(many)).await, ["Gate NORTH"]);
    }

    async fn tags_are_created_once_replaced_and_deleted(catalog: &Catalog) {
        let id = channel(catalog).await.id;
        catalog.create_channel_tag(id, "site", "berlin").await.unwrap();
        let error = catalog.create_channel_tag(id, "site", "paris").await.unwrap_err();
        assert_eq!(error.to_string(), format!("tag \"site\" of channel {id} exists already"));
        catalog.put_channel_tag(id, "site", "paris").await.unwrap();
        catalog.put_channel_tag(id, "floor", "2").await.unwrap();
        let expected = tags(&[("floor", "2"), ("site", "paris")]);
        assert_eq!(catalog.load_channel_tags(id).await.unwrap(), expected);
        assert_eq!(catalog.load_channel(id).await.unwrap().meta, expected);
        catalog.delete_channel_tag(id, "site").await.unwrap();
        assert!(is_missing(catalog.delete_channel_tag(id, "site").await));
        assert!(is_missing(catalog.put_channel_tag(missing_channel(), "a", "b").await));
        assert!(is_missing(catalog.create_channel_tag(missing_channel(), "a", "b").await));
    }

    async fn every_change_of_a_channel_wakes_watchers_of_every_clone(catalog: &Catalog) {
        let account = account(catalog, "mine").await;
        let mut changes = catalog.clone().channel_changes();
        let mut moved = async || {
            let has_moved = changes.has_changed().unwrap();
            changes.mark_unchanged();
            has_moved
        };
        assert!(!moved().await);
        let id = channel_of(catalog, account, "gate").await.id;
        assert!(moved().await, "creation");
        catalog.update_channel(account, id, &ChannelPatch::default()).await.unwrap();
        assert!(moved().await, "change");
        catalog.put_channel_tag(id, "a", "b").await.unwrap();
        assert!(moved().await, "tag");
        catalog.load_channel(id).await.unwrap();
        assert!(!moved().await, "reading is no change");
        catalog.delete_channel(account, id, at(1)).await.unwrap();
        assert!(moved().await, "deletion");
        assert!(is_missing(catalog.delete_channel(account, id, at(1)).await));
        assert!(!moved().await, "a refused call is no change");
    }

    async fn a_password_stays_out_of_debug_texts(catalog: &Catalog) {
        let account = account(catalog, "mine").await;
        let new = NewChannel { source: Some(camera()), ..new_channel("gate") };
        let channel = catalog.create_channel(account, &new, at(0)).await.unwrap();
        assert!(!format!("{channel:?}{catalog:?}").contains("hunter2"));
    }
}
