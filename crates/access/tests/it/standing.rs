//! Sessions end with what they were opened with.

use crate::World;
use framewell_access::Credential;
use framewell_access::MediaScope;
use framewell_access::places::{Occupation, Places};
use framewell_access::sessions::{
    Activity, EndReason, NewSession, Protocol, Session, Sessions, SessionsConfig,
};
use framewell_catalog::TokenTarget;
use framewell_model::{
    Access as Level, ChannelId, ErrorKind, GroupPatch, HasKind as _, Holder, Secret, WallClock,
};
use std::sync::Arc;

fn sessions(world: &World) -> Sessions {
    let clock: Arc<dyn WallClock> = Arc::<crate::Clock>::clone(&world.clock);
    let config = SessionsConfig {
        places: Places::new(Occupation::Session, 9, 100),
        max_bits_per_s: None,
        token_max_bits_per_s: None,
    };
    Sessions::new(config, clock)
}

fn open(sessions: &Sessions, channel: ChannelId, holder: Holder) -> Session {
    let new = NewSession {
        protocol: Protocol::Rtsp,
        activity: Activity::Live,
        channel,
        holder,
        peer: None,
        expire: None,
        expected_bits_per_s: 0,
    };
    sessions.open(new).unwrap()
}

/// Whoever asks with this group token, by way of the ticket that it is given.
async fn holder(world: &World, token: &str, channel: ChannelId) -> Holder {
    let credential = Credential::Any(Secret::new(token.to_owned()));
    let grant = world.access.authenticate(&credential).await.unwrap();
    let (scope, end) = (
        MediaScope::Live(channel),
        world.clock.now().plus_micros(9_000_000),
    );
    let ticket = world.access.ticket((&grant).into(), &scope, end);
    world.access.check_ticket(&ticket, &scope).unwrap().holder
}

#[tokio::test]
async fn a_session_ends_when_its_token_is_revoked() {
    let world = World::new().await;
    let (account, _) = world.account("site").await;
    let channel = world.channel(account).await;
    let group = world.group(account, Level::Watch, &[channel]).await;
    let token = world.access.group_token(account, group.id).await.unwrap();
    let of_group = holder(&world, token.expose(), channel).await;
    let tokens = world
        .access
        .channel_tokens(account, &[channel])
        .await
        .unwrap();
    let own = tokens[&(channel, Level::Watch)].expose();
    let of_channel = holder(&world, own, channel).await;
    let all = sessions(&world);
    let (a, b) = (
        open(&all, channel, of_group),
        open(&all, channel, of_channel),
    );
    all.recheck(&world.access).await;
    assert_eq!((a.end_reason(), b.end_reason()), (None, None));
    let target = TokenTarget::Group(group.id);
    world.access.revoke(account, target).await.unwrap();
    all.recheck(&world.access).await;
    let revoked = Some(EndReason::Revoked);
    assert_eq!((a.end_reason(), b.end_reason()), (revoked, None));
    assert!(a.end_token().is_cancelled());
}

#[tokio::test]
async fn a_ticket_is_admitted_until_seconds_after_its_token_is_revoked() {
    let world = World::new().await;
    let (account, _) = world.account("site").await;
    let channel = world.channel(account).await;
    let token = world.channel_token(account, channel, Level::Watch).await;
    let holder = holder(&world, token.expose(), channel).await;
    let scope = MediaScope::Footage(channel);
    let end = world.clock.now().plus_micros(3_600_000_000);
    let ticket = world.access.ticket(holder, &scope, end);
    let admit = async || {
        let admitted = world.access.admit_ticket(&ticket, &scope).await;
        admitted
            .map(|ticket| ticket.holder)
            .map_err(|error| error.kind())
    };
    assert_eq!(admit().await, Ok(holder));
    let target = TokenTarget::Channel(channel, Level::Watch);
    world.access.revoke(account, target).await.unwrap();
    // The answer is not asked for again with every file.
    world.pass(4);
    assert_eq!(admit().await, Ok(holder));
    world.pass(2);
    assert_eq!(admit().await, Err(ErrorKind::Unauthenticated));
    // The signature alone still opens single files.
    assert!(world.access.check_ticket(&ticket, &scope).is_ok());
    // A token that may only watch publishes nothing, whatever its tickets say.
    let other = world.channel(account).await;
    let token = world.channel_token(account, other, Level::Watch).await;
    let scope = MediaScope::Publish(other);
    let watcher = self::holder(&world, token.expose(), other).await;
    let ticket = world.access.ticket(watcher, &scope, end);
    let refused = world.access.admit_ticket(&ticket, &scope).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_session_ends_when_its_group_loses_the_channel() {
    let world = World::new().await;
    let (account, _) = world.account("site").await;
    let (kept, lost) = (world.channel(account).await, world.channel(account).await);
    let group = world.group(account, Level::Watch, &[kept, lost]).await;
    let token = world.access.group_token(account, group.id).await.unwrap();
    let all = sessions(&world);
    let (a, b) = (
        open(&all, kept, holder(&world, token.expose(), kept).await),
        open(&all, lost, holder(&world, token.expose(), lost).await),
    );
    let patch = GroupPatch {
        channels: Some(vec![kept]),
        ..GroupPatch::default()
    };
    world
        .catalog
        .update_group(account, group.id, &patch)
        .await
        .unwrap();
    all.recheck(&world.access).await;
    let revoked = Some(EndReason::Revoked);
    assert_eq!((a.end_reason(), b.end_reason()), (None, revoked));
}
