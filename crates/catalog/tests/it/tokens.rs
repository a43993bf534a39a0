//! Rows behind tokens.

use crate::backend::{account, at, channel, channel_of, conformance, missing_channel};
use framewell_catalog::{CHANNEL_TOKEN_LIFETIME_S, Catalog, Error, TokenTarget};
use framewell_model::{Access, AccountId, ChannelId, GroupId, NewGroup, TokenSerial};
use std::collections::BTreeMap;

fn is_missing<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::NotFound { .. }))
}

async fn group(catalog: &Catalog, account: AccountId) -> GroupId {
    let new = NewGroup {
        name: "engine".into(),
        channels: vec![],
        channels_access: Access::All,
        include_all_channels: true,
        expire: None,
        max_channels_amount: None,
        ai_targeted: false,
        meta: BTreeMap::new(),
    };
    catalog.create_group(account, &new, at(0)).await.unwrap().id
}

async fn serials(
    catalog: &Catalog,
    account: AccountId,
    channels: &[ChannelId],
) -> Vec<TokenSerial> {
    let rows = catalog
        .ensure_channel_tokens(account, channels, at(5))
        .await
        .unwrap();
    rows.iter().map(|row| row.serial).collect()
}

conformance! {
    async fn a_target_has_one_standing_token_until_it_is_revoked(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let group = group(catalog, channel.account).await;
        for target in [
            TokenTarget::Account(channel.account),
            TokenTarget::Channel(channel.id, Access::All),
            TokenTarget::Channel(channel.id, Access::Watch),
            TokenTarget::Group(group),
        ] {
            let ensure = async |seconds| {
                catalog.ensure_token(channel.account, target, at(seconds)).await.unwrap()
            };
            let first = ensure(10).await;
            assert_eq!((first.target, first.account), (target, channel.account));
            assert_eq!((first.created, first.revoked), (at(10), None));
            assert_eq!(ensure(20).await, first);
            catalog.revoke_token(first.serial, at(30)).await.unwrap();
            catalog.revoke_token(first.serial, at(31)).await.unwrap();
            assert_eq!(catalog.load_token(first.serial).await.unwrap().revoked, Some(at(30)));
            let second = ensure(40).await;
            assert!(second.serial > first.serial);
            assert_eq!(catalog.load_token(second.serial).await.unwrap(), second);
        }
    }

    async fn the_standing_token_of_a_target_can_be_revoked_by_its_owner(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let other = account(catalog, "other").await;
        let target = TokenTarget::Channel(channel.id, Access::All);
        let revoke = async |account| catalog.revoke_standing_token(account, target, at(9)).await;
        revoke(channel.account).await.unwrap();
        let row = catalog.ensure_token(channel.account, target, at(0)).await.unwrap();
        let watch = TokenTarget::Channel(channel.id, Access::Watch);
        let beside = catalog.ensure_token(channel.account, watch, at(0)).await.unwrap();
        assert!(is_missing(revoke(other).await));
        assert_eq!(catalog.load_token(row.serial).await.unwrap().revoked, None);
        revoke(channel.account).await.unwrap();
        assert_eq!(catalog.load_token(row.serial).await.unwrap().revoked, Some(at(9)));
        assert_eq!(catalog.load_token(beside.serial).await.unwrap().revoked, None);
    }

    async fn a_token_is_issued_at_a_whole_second(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let target = TokenTarget::Channel(channel.id, Access::All);
        let row = catalog.ensure_token(channel.account, target, at(10).plus_micros(999_999)).await.unwrap();
        assert_eq!((row.created, row.lifetime_s), (at(10), CHANNEL_TOKEN_LIFETIME_S));
    }

    async fn a_token_at_the_end_of_its_life_is_replaced(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let target = TokenTarget::Channel(channel.id, Access::All);
        let ensure = async |seconds| catalog.ensure_token(channel.account, target, at(seconds)).await.unwrap();
        let first = ensure(0).await;
        assert_eq!(ensure(CHANNEL_TOKEN_LIFETIME_S - 1).await.serial, first.serial);
        let second = ensure(CHANNEL_TOKEN_LIFETIME_S).await;
        assert_ne!(second.serial, first.serial);
        assert_eq!(second.created, at(CHANNEL_TOKEN_LIFETIME_S));
    }

    async fn targets_of_another_account_get_no_token(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let group = group(catalog, channel.account).await;
        let other = account(catalog, "other").await;
        for target in [
            TokenTarget::Account(channel.account),
            TokenTarget::Channel(channel.id, Access::All),
            TokenTarget::Channel(missing_channel(), Access::All),
            TokenTarget::Group(group),
        ] {
            assert!(is_missing(catalog.ensure_token(other, target, at(0)).await), "{target:?}");
            catalog.ensure_token(channel.account, target, at(0)).await.ok();
            assert!(is_missing(catalog.ensure_token(other, target, at(0)).await), "{target:?}");
        }
        let error = catalog.ensure_channel_tokens(other, &[channel.id], at(0)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("channel {} does not exist", channel.id));
        assert!(is_missing(catalog.load_token(TokenSerial::new(999).unwrap()).await));
        assert!(is_missing(catalog.revoke_token(TokenSerial::new(999).unwrap(), at(0)).await));
    }

    async fn lists_of_channels_get_both_levels_of_each(catalog: &Catalog) {
        let first = channel(catalog).await;
        let second = channel_of(catalog, first.account, "second").await;
        let account = first.account;
        let watch = TokenTarget::Channel(first.id, Access::Watch);
        let before = catalog.ensure_token(account, watch, at(0)).await.unwrap();
        let rows = catalog
            .ensure_channel_tokens(account, &[second.id, first.id, second.id], at(5))
            .await
            .unwrap();
        let targets: Vec<_> = rows.iter().map(|row| row.target).collect();
        assert_eq!(targets, [
            TokenTarget::Channel(first.id, Access::All),
            TokenTarget::Channel(first.id, Access::Watch),
            TokenTarget::Channel(second.id, Access::All),
            TokenTarget::Channel(second.id, Access::Watch),
        ]);
        assert_eq!(rows[1], before);
        let again = catalog.ensure_channel_tokens(account, &[first.id, second.id], at(9)).await.unwrap();
        assert_eq!(again, rows);
        assert!(serials(catalog, account, &[]).await.is_empty());
    }

    async fn many_callers_at_once_get_the_same_token(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let ids = [channel.id];
        let call = async || serials(catalog, channel.account, &ids).await;
        let answers = tokio::join!(call(), call(), call(), call());
        assert_eq!(answers.0, answers.1);
        assert_eq!(answers.0, answers.2);
        assert_eq!(answers.0, answers.3);
    }

    async fn tokens_go_with_their_target_and_their_numbers_never_come_back(catalog: &Catalog) {
        let channel = channel(catalog).await;
        let group = group(catalog, channel.account).await;
        let target = TokenTarget::Group(group);
        let of_group = catalog.ensure_token(channel.account, target, at(0)).await.unwrap().serial;
        let of_channel = serials(catalog, channel.account, &[channel.id]).await;
        catalog.delete_group(channel.account, group).await.unwrap();
        catalog.delete_channel(channel.account, channel.id, at(1)).await.unwrap();
        for serial in of_channel.iter().chain([&of_group]) {
            assert!(is_missing(catalog.load_token(*serial).await));
        }
        let target = TokenTarget::Account(channel.account);
        let next = catalog.ensure_token(channel.account, target, at(2)).await.unwrap().serial;
        assert!(of_channel.iter().all(|serial| *serial < next));
    }
}
