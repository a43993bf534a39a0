//! What authenticates, and what does not.

use crate::World;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framewell_access::{Access, Credential, Error};
use framewell_catalog::TokenTarget;
use framewell_model::{
    Access as Level, ErrorKind, GroupPatch, HasKind as _, Principal, Right, Secret, WallClock as _,
};
use framewell_token::{ChannelEnvelope, Endpoint, ShareToken, SigningKey, share_token};

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

async fn refusal(access: &Access, credential: Credential) -> String {
    let error = access.authenticate(&credential).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_license_key_opens_its_account_with_every_right() {
    let world = World::new().await;
    let (account, license) = world.account("acme").await;
    for credential in [
        Credential::License(license.clone()),
        Credential::Any(license),
    ] {
        let grant = world.access.authenticate(&credential).await.unwrap();
        assert_eq!(
            (grant.principal, grant.account),
            (Principal::Account(account), account)
        );
        assert!(grant.rights.has(Right::Admin) && grant.rights.has(Right::Meta));
        assert_eq!(grant.expire, None);
        // By its serial number a long answer finds out that the key was renewed.
        assert!(grant.serial.is_some());
    }
}

#[tokio::test]
async fn a_renewed_license_key_replaces_the_old_one() {
    let world = World::new().await;
    let (account, old) = world.account("acme").await;
    let new = world.access.renew_license_key(account).await.unwrap();
    assert_ne!(old, new);
    assert_eq!(
        refusal(&world.access, Credential::License(old)).await,
        "token has been revoked"
    );
    world
        .access
        .authenticate(&Credential::License(new))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_channel_token_opens_its_channel_at_its_level() {
    let world = World::new().await;
    let (account, _) = world.account("acme").await;
    let channel = world.channel(account).await;
    for level in [Level::All, Level::Watch] {
        let token = world.channel_token(account, channel, level).await;
        for credential in [
            Credential::Channel(token.clone()),
            Credential::Any(token.clone()),
        ] {
            let grant = world.access.authenticate(&credential).await.unwrap();
            assert_eq!(grant.principal, Principal::Channel(channel));
            assert_eq!((grant.account, grant.rights), (account, level.rights()));
            assert!(grant.expire.is_some() && grant.serial.is_some());
        }
        world.pass(100);
        assert_eq!(world.channel_token(account, channel, level).await, token);
    }
}

#[tokio::test]
async fn a_group_token_has_the_rights_of_its_group_as_they_are_now() {
    let world = World::new().await;
    let (account, _) = world.account("acme").await;
    let group = world.group(account, Level::All, &[]).await.id;
    let token = world.access.group_token(account, group).await.unwrap();
    assert_eq!(
        world.access.group_token(account, group).await.unwrap(),
        token
    );
    let rights = async || {
        let credential = Credential::Group(token.clone());
        let grant = world.access.authenticate(&credential).await.unwrap();
        assert_eq!(grant.principal, Principal::Group(group));
        grant.rights
    };
    assert_eq!(rights().await, Level::All.rights());
    let patch = GroupPatch {
        channels_access: Some(Level::Watch),
        ..GroupPatch::default()
    };
    world
        .catalog
        .update_group(account, group, &patch)
        .await
        .unwrap();
    assert_eq!(rights().await, Level::Watch.rights());
}

#[tokio::test]
async fn a_scheme_takes_its_own_kind_of_token_only() {
    let world = World::new().await;
    let (account, license) = world.account("acme").await;
    let channel = world.channel(account).await;
    let group = world.group(account, Level::All, &[channel]).await.id;
    let channel_token = world.channel_token(account, channel, Level::All).await;
    let group_token = world.access.group_token(account, group).await.unwrap();

    let text = refusal(&world.access, Credential::Channel(group_token.clone())).await;
    assert_eq!(text, "token is of another kind: Acc takes a channel token");
    let text = refusal(&world.access, Credential::Group(channel_token.clone())).await;
    assert_eq!(text, "token is of another kind: SI takes a group token");
    for credential in [
        Credential::License(channel_token),
        Credential::License(group_token),
        Credential::Channel(license.clone()),
        Credential::Group(license),
    ] {
        refusal(&world.access, credential).await;
    }
}

#[tokio::test]
async fn a_revoked_token_stops_at_once_and_the_next_one_is_another() {
    let world = World::new().await;
    let (account, _) = world.account("acme").await;
    let channel = world.channel(account).await;
    let group = world.group(account, Level::All, &[channel]).await.id;
    let old = world.channel_token(account, channel, Level::All).await;
    let watch = world.channel_token(account, channel, Level::Watch).await;
    let of_group = world.access.group_token(account, group).await.unwrap();
    world
        .access
        .revoke(account, TokenTarget::Channel(channel, Level::All))
        .await
        .unwrap();
    world
        .access
        .revoke(account, TokenTarget::Group(group))
        .await
        .unwrap();
    for credential in [
        Credential::Channel(old.clone()),
        Credential::Any(old.clone()),
        Credential::Group(of_group),
    ] {
        assert_eq!(
            refusal(&world.access, credential).await,
            "token has been revoked"
        );
    }
    world
        .access
        .authenticate(&Credential::Channel(watch))
        .await
        .unwrap();
    let new = world.channel_token(account, channel, Level::All).await;
    assert_ne!(new, old);
    world
        .access
        .authenticate(&Credential::Channel(new))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_token_ends_with_its_target() {
    let world = World::new().await;
    let (account, _) = world.account("acme").await;
    let channel = world.channel(account).await;
    let group = world.group(account, Level::All, &[channel]).await.id;
    let channel_token = world.channel_token(account, channel, Level::All).await;
    let group_token = world.access.group_token(account, group).await.unwrap();
    let now = world.clock.now();
    world
        .catalog
        .delete_channel(account, channel, now)
        .await
        .unwrap();
    world.catalog.delete_group(account, group).await.unwrap();
    for credential in [
        Credential::Channel(channel_token),
        Credential::Group(group_token),
    ] {
        assert_eq!(
            refusal(&world.access, credential).await,
            "token is not valid"
        );
    }
}

#[tokio::test]
async fn a_group_token_ends_with_its_group_s_time_and_comes_back_with_it() {
    let world = World::new().await;
    let (account, _) = world.account("acme").await;
    let group = world.group(account, Level::All, &[]).await.id;
    let token = world.access.group_token(account, group).await.unwrap();
    let credential = Credential::Group(token);
    let end = world.clock.now().plus_micros(60_000_000);
    let limit = GroupPatch {
        expire: Some(Some(end)),
        ..GroupPatch::default()
    };
    world
        .catalog
        .update_group(account, group, &limit)
        .await
        .unwrap();
    let grant = world.access.authenticate(&credential).await.unwrap();
    assert_eq!(grant.expire, Some(end));
    world.pass(60);
    assert_eq!(
        refusal(&world.access, credential.clone()).await,
        "token has expired"
    );
    let unlimited = GroupPatch {
        expire: Some(None),
        ..GroupPatch::default()
    };
    world
        .catalog
        .update_group(account, group, &unlimited)
        .await
        .unwrap();
    world.access.authenticate(&credential).await.unwrap();
}

#[tokio::test]
async fn tokens_end_after_their_lifetime() {
    const TEN_YEARS_S: i64 = 0x12cf_f780;
    let world = World::new().await;
    let (account, license) = world.account("acme").await;
    let channel = world.channel(account).await;
    let token = world.channel_token(account, channel, Level::All).await;
    world.pass(TEN_YEARS_S - 1);
    let credential = Credential::Channel(token.clone());
    world.access.authenticate(&credential).await.unwrap();
    world.pass(1);
    assert_eq!(
        refusal(&world.access, credential).await,
        "token has expired"
    );
    assert_ne!(
        world.channel_token(account, channel, Level::All).await,
        token
    );
    world
        .access
        .authenticate(&Credential::License(license.clone()))
        .await
        .unwrap();
    world.pass(10 * TEN_YEARS_S);
    assert_eq!(
        refusal(&world.access, Credential::License(license)).await,
        "token has expired"
    );
}

#[tokio::test]
async fn the_level_comes_from_the_row_whatever_the_envelope_claims() {
    let world = World::new().await;
    let (account, _) = world.account("acme").await;
    let channel = world.channel(account).await;
    let other = world.channel(account).await;
    let inner = world.channel_token(account, channel, Level::Watch).await;
    let issued = ChannelEnvelope {
        token: inner.expose().clone(),
        channel,
        access: Level::Watch,
        endpoint: Endpoint {
            host: "vms.local".into(),
            http_port: None,
            https_port: None,
        },
    }
    .encode();
    let forged = STANDARD.encode(format!(
        r#"{{"access": "all", "camid": {other}, "more": [1], "token": "{}"}}"#,
        inner.expose()
    ));
    for outer in [issued, forged] {
        let credential = Credential::Channel(secret(&outer));
        let grant = world.access.authenticate(&credential).await.unwrap();
        assert_eq!(grant.principal, Principal::Channel(channel));
        assert_eq!(grant.rights, Level::Watch.rights());
    }
}

#[tokio::test]
async fn a_signed_token_that_no_row_stands_for_is_refused() {
    let world = World::new().await;
    let (account, _) = world.account("acme").await;
    let channel = world.channel(account).await;
    let genuine = world.channel_token(account, channel, Level::All).await;
    let credential = Credential::Channel(genuine);
    let grant = world.access.authenticate(&credential).await.unwrap();
    // Signed with the real key, as a restored backup with older rows would have it.
    let key = SigningKey::new(vec![5; 32]).unwrap();
    let token = ShareToken {
        serial: grant.serial.unwrap(),
        created: world.clock.now().plus_micros(5_000_000),
        lifetime_s: 0x12cf_f780,
    };
    let credential = Credential::Channel(secret(&share_token(&key, token)));
    assert_eq!(
        refusal(&world.access, credential).await,
        "token is not valid"
    );
}

#[tokio::test]
async fn tampered_and_foreign_texts_are_refused_without_being_repeated() {
    let world = World::new().await;
    let (account, license) = world.account("acme").await;
    let channel = world.channel(account).await;
    let token = world.channel_token(account, channel, Level::All).await;
    let mut tampered = token.expose().clone();
    let last = tampered.pop().unwrap();
    tampered.push(if last == 'A' { 'E' } else { 'A' });
    let next_serial = license.expose().replace("v3.1.", "v3.2.");
    for text in [
        tampered.as_str(),
        &next_serial,
        "",
        "hunter2",
        "share.",
        "v3.",
        "media.a.b.c",
    ] {
        for credential in [
            Credential::License(secret(text)),
            Credential::Channel(secret(text)),
            Credential::Group(secret(text)),
            Credential::Any(secret(text)),
        ] {
            assert!(!format!("{credential:?}").contains("hunter2"));
            let refusal = refusal(&world.access, credential).await;
            assert!(text.is_empty() || !refusal.contains(text), "{refusal}");
        }
    }
}

#[tokio::test]
async fn a_database_that_fails_is_no_refusal() {
    let world = World::new().await;
    let (_, license) = world.account("acme").await;
    world.catalog.close().await;
    let error = world
        .access
        .authenticate(&Credential::License(license))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Catalog(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_name_can_be_taken_once() {
    let world = World::new().await;
    world.account("acme").await;
    let error = world.access.create_account("acme").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn a_long_answer_finds_out_that_its_license_key_was_renewed() {
    let world = World::new().await;
    let (account, license) = world.account("acme").await;
    let credential = Credential::License(license);
    let grant = world.access.authenticate(&credential).await.unwrap();
    world.access.recheck(&grant).await.unwrap();
    world.access.renew_license_key(account).await.unwrap();
    assert!(world.access.recheck(&grant).await.is_err());
}

#[tokio::test]
async fn a_long_answer_finds_out_that_its_group_lost_rights() {
    let world = World::new().await;
    let (account, _) = world.account("acme").await;
    let group = world.group(account, Level::All, &[]).await.id;
    let token = world.access.group_token(account, group).await.unwrap();
    let credential = Credential::Group(token);
    let all = world.access.authenticate(&credential).await.unwrap();
    let patch = GroupPatch {
        channels_access: Some(Level::Watch),
        ..GroupPatch::default()
    };
    let catalog = &world.catalog;
    catalog.update_group(account, group, &patch).await.unwrap();
    assert!(world.access.recheck(&all).await.is_err());
    let watch = world.access.authenticate(&credential).await.unwrap();
    world.access.recheck(&watch).await.unwrap();
}
