//! Channel groups.

use crate::backend::{ALL, account, at, channel_of, conformance, missing_channel};
use framewell_catalog::{Catalog, ChannelFilter, Error, Slice};
use framewell_model::{Access, AccountId, Channel, ChannelId, GroupId, GroupPatch, NewGroup};
use std::collections::BTreeMap;

fn new_group(channels: &[ChannelId]) -> NewGroup {
    NewGroup {
        name: "engine".into(),
        channels: channels.to_vec(),
        channels_access: Access::All,
        include_all_channels: false,
        expire: None,
        max_channels_amount: None,
        ai_targeted: false,
        meta: BTreeMap::new(),
    }
}

async fn channels(catalog: &Catalog, account: AccountId, count: usize) -> Vec<ChannelId> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(channel_of(catalog, account, &format!("c{number}")).await.id);
    }
    ids
}

async fn listed(catalog: &Catalog, group: GroupId) -> Vec<ChannelId> {
    let filter = ChannelFilter::default();
    let page = catalog
        .list_group_channels(group, &filter, ALL)
        .await
        .unwrap();
    let items: &[Channel] = &page.items;
    items.iter().map(|channel| channel.id).collect()
}

conformance! {
    async fn a_group_comes_back_as_it_was_created(catalog: &Catalog) {
        let account = account(catalog, "mine").await;
        let ids = channels(catalog, account, 3).await;
        let new = NewGroup {
            channels_access: Access::Watch,
            expire: Some(at(100)),
            max_channels_amount: Some(2),
            ai_targeted: true,
            meta: BTreeMap::from([
                ("text".to_owned(), "\"quoted\"".to_owned()),
                ("object".to_owned(), "{\"b\": 1,  \"a\":null}".to_owned()),
            ]),
            ..new_group(&[ids[2], ids[0], ids[2]])
        };
        let group = catalog.create_group(account, &new, at(7)).await.unwrap();
        assert_eq!(group.channels, [ids[0], ids[2]]);
        assert_eq!(group.meta, new.meta, "JSON text stays as it was sent");
        assert_eq!((group.account, group.created, group.expire), (account, at(7), Some(at(100))));
        assert_eq!((group.channels_access, group.ai_targeted), (Access::Watch, true));
        assert_eq!(catalog.load_group(group.id).await.unwrap(), group);
        assert_eq!(catalog.list_groups(account, None, ALL).await.unwrap().items, [group]);
    }

    async fn a_group_takes_channels_of_its_account_only(catalog: &Catalog) {
        let mine = account(catalog, "mine").await;
        let other = account(catalog, "other").await;
        let own = channels(catalog, mine, 1).await[0];
        let foreign = channels(catalog, other, 1).await[0];
        for bad in [foreign, missing_channel()] {
            let error = catalog.create_group(mine, &new_group(&[own, bad]), at(0)).await.unwrap_err();
            assert_eq!(error.to_string(), format!("channel {bad} does not exist"));
        }
        assert_eq!(catalog.list_groups(mine, None, ALL).await.unwrap().total, 0);
        let group = catalog.create_group(mine, &new_group(&[own]), at(0)).await.unwrap();
        let patch = GroupPatch { channels: Some(vec![foreign]), ..GroupPatch::default() };
        assert!(catalog.update_group(mine, group.id, &patch).await.is_err());
        assert_eq!(catalog.load_group(group.id).await.unwrap(), group);
        let nobody = AccountId::new(77).unwrap();
        assert!(matches!(
            catalog.create_group(nobody, &new_group(&[]), at(0)).await,
            Err(Error::NotFound { .. })
        ));
    }

    async fn the_list_of_a_group_is_bound_by_its_limit(catalog: &Catalog) {
        let account = account(catalog, "mine").await;
        let ids = channels(catalog, account, 3).await;
        let new = NewGroup { max_channels_amount: Some(2), ..new_group(&ids) };
        assert!(matches!(catalog.create_group(account, &new, at(0)).await, Err(Error::Invalid(_))));
        let group = catalog.create_group(account, &new_group(&ids), at(0)).await.unwrap();
        let shrink = GroupPatch { max_channels_amount: Some(Some(2)), ..GroupPatch::default() };
        assert!(matches!(
            catalog.update_group(account, group.id, &shrink).await,
            Err(Error::Invalid(_))
        ));
        let both = GroupPatch { channels: Some(ids[..2].to_vec()), ..shrink };
        catalog.update_group(account, group.id, &both).await.unwrap();
    }

    async fn a_patch_changes_what_it_names_and_nothing_else(catalog: &Catalog) {
        let account = account(catalog, "mine").await;
        let ids = channels(catalog, account, 2).await;
        let group = catalog.create_group(account, &new_group(&ids), at(0)).await.unwrap();
        let rename = GroupPatch { name: Some("other".into()), ..GroupPatch::default() };
        let renamed = catalog.update_group(account, group.id, &rename).await.unwrap();
        assert_eq!(renamed.channels, ids);
        let patch = GroupPatch {
            channels: Some(vec![ids[1]]),
            channels_access: Some(Access::Watch),
            expire: Some(Some(at(9))),
            ai_targeted: Some(true),
            meta: Some(BTreeMap::from([("a".into(), "1".into())])),
            ..GroupPatch::default()
        };
        let changed = catalog.update_group(account, group.id, &patch).await.unwrap();
        assert_eq!(catalog.load_group(group.id).await.unwrap(), changed);
        assert_eq!((changed.name.as_str(), changed.channels.as_slice()), ("other", &ids[1..]));
        let clear = GroupPatch { expire: Some(None), ..GroupPatch::default() };
        let cleared = catalog.update_group(account, group.id, &clear).await.unwrap();
        assert_eq!((cleared.expire, cleared.meta), (None, changed.meta));
    }

    async fn a_group_of_all_channels_follows_the_account(catalog: &Catalog) {
        let mine = account(catalog, "mine").await;
        let other = account(catalog, "other").await;
        let foreign = channels(catalog, other, 1).await[0];
        let mut ids = channels(catalog, mine, 2).await;
        let new = NewGroup { include_all_channels: true, ..new_group(&ids[..1]) };
        let group = catalog.create_group(mine, &new, at(0)).await.unwrap();
        assert_eq!(group.channels, ids);
        ids.extend(channels(catalog, mine, 1).await);
        assert_eq!(catalog.load_group(group.id).await.unwrap().channels, ids);
        assert_eq!(listed(catalog, group.id).await, ids);
        assert!(catalog.group_has_channel(group.id, ids[2]).await.unwrap());
        assert!(!catalog.group_has_channel(group.id, foreign).await.unwrap());

        let narrow = GroupPatch {
            include_all_channels: Some(false),
            max_channels_amount: Some(Some(1)),
            ..GroupPatch::default()
        };
        let group = catalog.update_group(mine, group.id, &narrow).await.unwrap();
        assert_eq!(group.channels, ids[..1], "the list was kept");
    }

    async fn membership_is_that_of_this_moment(catalog: &Catalog) {
        let account = account(catalog, "mine").await;
        let ids = channels(catalog, account, 2).await;
        let group = catalog.create_group(account, &new_group(&ids), at(0)).await.unwrap().id;
        assert!(catalog.group_has_channel(group, ids[0]).await.unwrap());
        catalog.delete_channel(account, ids[0], at(1)).await.unwrap();
        assert!(!catalog.group_has_channel(group, ids[0]).await.unwrap());
        assert_eq!(listed(catalog, group).await, ids[1..]);
        assert!(!catalog.group_has_channel(GroupId::new(77).unwrap(), ids[1]).await.unwrap());
        catalog.delete_group(account, group).await.unwrap();
        assert!(!catalog.group_has_channel(group, ids[1]).await.unwrap());
        assert!(listed(catalog, group).await.is_empty());
    }

    async fn groups_of_another_account_cannot_be_seen_changed_or_deleted(catalog: &Catalog) {
        let mine = account(catalog, "mine").await;
        let other = account(catalog, "other").await;
        let group = catalog.create_group(mine, &new_group(&[]), at(0)).await.unwrap();
        let patch = GroupPatch::default();
        let missing = |error: Error| matches!(error, Error::NotFound { .. });
        assert!(missing(catalog.update_group(other, group.id, &patch).await.unwrap_err()));
        assert!(missing(catalog.delete_group(other, group.id).await.unwrap_err()));
        assert_eq!(catalog.list_groups(other, None, ALL).await.unwrap().total, 0);
        catalog.delete_group(mine, group.id).await.unwrap();
        assert!(missing(catalog.delete_group(mine, group.id).await.unwrap_err()));
        assert!(missing(catalog.load_group(group.id).await.unwrap_err()));
    }

    async fn lists_are_paged_and_filtered(catalog: &Catalog) {
        let account = account(catalog, "mine").await;
        let mut ids = Vec::new();
        for number in 0..5 {
            let new = NewGroup { ai_targeted: number % 2 == 0, ..new_group(&[]) };
            ids.push(catalog.create_group(account, &new, at(0)).await.unwrap().id);
        }
        let list = async |ai_targeted, slice| {
            let page = catalog.list_groups(account, ai_targeted, slice).await.unwrap();
            let found: Vec<_> = page.items.iter().map(|group| group.id).collect();
            (page.total, found)
        };
        assert_eq!(list(None, Slice { limit: 2, offset: 1 }).await, (5, ids[1..3].to_vec()));
        assert_eq!(list(Some(true), ALL).await, (3, vec![ids[0], ids[2], ids[4]]));
        assert_eq!(list(Some(false), ALL).await, (2, vec![ids[1], ids[3]]));
    }
}
