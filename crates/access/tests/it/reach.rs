//! Which channels a grant reaches, with which rights.

use crate::World;
use framewell_access::{Credential, Error};
use framewell_catalog::TokenTarget;
use framewell_model::{
    Access as Level, ChannelId, ErrorKind, Grant, GroupPatch, HasKind as _, Right, Secret,
};

async fn grant(world: &World, token: Secret<String>) -> Grant {
    world
        .access
        .authenticate(&Credential::Any(token))
        .await
        .unwrap()
}

async fn is_hidden(world: &World, grant: &Grant, channel: ChannelId) -> bool {
    match world
        .access
        .check_channel(grant, channel, Right::Watch)
        .await
    {
        Ok(()) => false,
        Err(Error::NotFound(text)) => {
            assert_eq!(text, format!("channel {channel}"));
            true
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_account_reaches_its_channels_and_no_others() {
    let world = World::new().await;
    let (mine, license) = world.account("mine").await;
    let (other, _) = world.account("other").await;
    let own = [world.channel(mine).await, world.channel(mine).await];
    let foreign = world.channel(other).await;
    let grant = grant(&world, license).await;
    assert_eq!(world.access.channels(&grant).await.unwrap(), own);
    for right in [
        Right::Watch,
        Right::Create,
        Right::Meta,
        Right::Configure,
        Right::Admin,
    ] {
        world
            .access
            .check_channel(&grant, own[0], right)
            .await
            .unwrap();
    }
    assert!(is_hidden(&world, &grant, foreign).await);
    assert!(is_hidden(&world, &grant, ChannelId::new(999).unwrap()).await);
}

#[tokio::test]
async fn a_channel_token_reaches_its_channel_only() {
    let world = World::new().await;
    let (account, _) = world.account("mine").await;
    let own = world.channel(account).await;
    let beside = world.channel(account).await;
    let grant = grant(&world, world.channel_token(account, own, Level::All).await).await;
    assert_eq!(world.access.channels(&grant).await.unwrap(), [own]);
    assert!(!is_hidden(&world, &grant, own).await);
    assert!(is_hidden(&world, &grant, beside).await);
}

#[tokio::test]
async fn a_group_token_reaches_the_members_of_this_moment() {
    let world = World::new().await;
    let (account, _) = world.account("mine").await;
    let first = world.channel(account).await;
    let second = world.channel(account).await;
    let group = world.group(account, Level::All, &[first]).await.id;
    let grant = grant(
        &world,
        world.access.group_token(account, group).await.unwrap(),
    )
    .await;
    assert!(!is_hidden(&world, &grant, first).await);
    assert!(is_hidden(&world, &grant, second).await);
    let patch = GroupPatch {
        channels: Some(vec![second]),
        ..GroupPatch::default()
    };
    world
        .catalog
        .update_group(account, group, &patch)
        .await
        .unwrap();
    assert!(is_hidden(&world, &grant, first).await);
    assert!(!is_hidden(&world, &grant, second).await);
    assert_eq!(world.access.channels(&grant).await.unwrap(), [second]);
}

#[tokio::test]
async fn a_token_of_level_watch_is_told_what_it_lacks() {
    let world = World::new().await;
    let (account, _) = world.account("mine").await;
    let channel = world.channel(account).await;
    let group = world.group(account, Level::Watch, &[channel]).await.id;
    let of_channel = world.channel_token(account, channel, Level::Watch).await;
    let of_group = world.access.group_token(account, group).await.unwrap();
    for token in [of_channel, of_group] {
        let grant = grant(&world, token).await;
        world
            .access
            .check_channel(&grant, channel, Right::Watch)
            .await
            .unwrap();
        for (right, words) in [
            (
                Right::Create,
                "create pictures, clips and events: it takes a token of level all",
            ),
            (
                Right::Meta,
                "read or write metadata: it takes a token of level all",
            ),
            (
                Right::Configure,
                "change settings: it takes a token of level all",
            ),
            (
                Right::Admin,
                "administer the account: it takes a license key",
            ),
        ] {
            let error = world
                .access
                .check_channel(&grant, channel, right)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert_eq!(
                error.to_string(),
                format!("this token does not allow to {words}")
            );
        }
    }
}

#[tokio::test]
async fn level_all_is_no_license() {
    let world = World::new().await;
    let (account, _) = world.account("mine").await;
    let channel = world.channel(account).await;
    let grant = grant(
        &world,
        world.channel_token(account, channel, Level::All).await,
    )
    .await;
    for right in [Right::Watch, Right::Create, Right::Meta, Right::Configure] {
        world
            .access
            .check_channel(&grant, channel, right)
            .await
            .unwrap();
    }
    let error = world.access.check_right(&grant, Right::Admin).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn nobody_gets_or_revokes_tokens_of_another_account() {
    let world = World::new().await;
    let (mine, _) = world.account("mine").await;
    let (other, _) = world.account("other").await;
    let channel = world.channel(mine).await;
    let group = world.group(mine, Level::All, &[]).await.id;
    let token = world.channel_token(mine, channel, Level::All).await;
    let errors = [
        world
            .access
            .channel_tokens(other, &[channel])
            .await
            .map(drop),
        world.access.group_token(other, group).await.map(drop),
        world
            .access
            .revoke(other, TokenTarget::Channel(channel, Level::All))
            .await,
        world.access.revoke(other, TokenTarget::Group(group)).await,
        world.access.revoke(other, TokenTarget::Account(mine)).await,
    ];
    for error in errors {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    }
    grant(&world, token).await;
}
