//! Who may open a stream.

use crate::World;
use framewell_access::{Credential, MediaScope, StreamUse};
use framewell_catalog::TokenTarget;
use framewell_model::{
    Access as Level, ChannelId, ErrorKind, HasKind as _, Holder, Secret, WallClock as _,
};

#[tokio::test]
async fn tokens_of_level_all_publish_and_tokens_of_level_watch_do_not() {
    let world = World::new().await;
    let (account, license) = world.account("mine").await;
    let channel = world.channel(account).await;
    let all = world.channel_token(account, channel, Level::All).await;
    let watch = world.channel_token(account, channel, Level::Watch).await;
    let admit = async |token: &Secret<String>, stream| {
        let admitted = world.access.admit(token, channel, stream).await;
        admitted.map_err(|error| error.kind())
    };
    for token in [&all, &license] {
        for stream in [StreamUse::Watch, StreamUse::Publish] {
            assert_eq!(admit(token, stream).await.unwrap().holder.account, account);
        }
    }
    admit(&watch, StreamUse::Watch).await.unwrap();
    let refused = admit(&watch, StreamUse::Publish).await.unwrap_err();
    assert_eq!(refused, ErrorKind::PermissionDenied);
    let stranger = Secret::new("nothing".to_owned());
    let refused = admit(&stranger, StreamUse::Watch).await.unwrap_err();
    assert_eq!(refused, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_ticket_opens_its_channel_for_its_use() {
    let world = World::new().await;
    let (account, license) = world.account("mine").await;
    let (channel, beside) = (world.channel(account).await, world.channel(account).await);
    let end = world.clock.now().plus_micros(60_000_000);
    let grant = world
        .access
        .authenticate(&Credential::License(license))
        .await;
    let holder: Holder = (&grant.unwrap()).into();
    let ticket = |scope: &MediaScope| Secret::new(world.access.ticket(holder, scope, end));
    let publish = ticket(&MediaScope::Publish(channel));
    let admitted = world
        .access
        .admit(&publish, channel, StreamUse::Publish)
        .await;
    assert_eq!(admitted.unwrap().holder.account, account);
    for (channel, stream) in [(channel, StreamUse::Watch), (beside, StreamUse::Publish)] {
        let refused = world.access.admit(&publish, channel, stream).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
    let gone = ChannelId::new(999).unwrap();
    let refused = world
        .access
        .admit(
            &ticket(&MediaScope::Publish(gone)),
            gone,
            StreamUse::Publish,
        )
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_revoked_token_ends_its_stream() {
    let world = World::new().await;
    let (account, _) = world.account("mine").await;
    let channel = world.channel(account).await;
    let token = world.channel_token(account, channel, Level::All).await;
    let stream = StreamUse::Publish;
    let admission = world.access.admit(&token, channel, stream).await.unwrap();
    let readmit = async || world.access.readmit(&admission, channel, stream).await;
    readmit().await.unwrap();
    let target = TokenTarget::Channel(channel, Level::All);
    world.access.revoke(account, target).await.unwrap();
    assert_eq!(
        readmit().await.unwrap_err().kind(),
        ErrorKind::Unauthenticated
    );
}
