//! What is delivered, how often, in which order, and what happens when it cannot be.

use crate::receiver::Receiver;
use crate::rig::{Rig, SECRET};
use framewell_catalog::{NewJob, Order, Slice, WEBHOOK_REPLAY_JOB, WebhookChange, WebhookOwner};
use framewell_insight::feed::FeedKind;
use framewell_model::{Access as Level, GroupPatch, NewGroup, OutboundPolicy, Principal};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

const ALL: Slice = Slice {
    limit: 100,
    offset: 0,
};

/// The example of docs/guide/events.md: what a receiver does with a delivery.
const VERIFY: &str = include_str!("../../../../docs/guide/verify_webhook.py");

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("e{n:03}")).collect()
}

async fn events_and_documents_come_in_order(mut rig: Rig) {
    let receiver = Receiver::start().await;
    rig.event("before").await;
    let wanted = json!({
        "events": {"names": names(250)},
        "documents": {"filter": {"field": "long.Person", "gt": 1}},
    });
    rig.hook(&receiver.url(), wanted).await;
    rig.start();
    for name in names(250) {
        rig.event(&name).await;
        rig.event("unwanted").await;
    }
    rig.document("few", 1).await;
    rig.document("many", 2).await;
    let is_all = |receiver: &Receiver| receiver.taken().len() >= 251;
    receiver.wait("everything", is_all).await;
    let (events, documents): (Vec<String>, Vec<String>) = receiver
        .taken()
        .into_iter()
        .partition(|name| name != "many");
    assert_eq!(events, names(250));
    assert_eq!(documents, ["many"]);
    let largest = receiver
        .received()
        .iter()
        .map(|one| one.names().len())
        .max();
    assert!(largest <= Some(100), "{largest:?}");
    let first = &receiver.received()[0];
    let message = &first.json()["messages"][0];
    assert_eq!(
        (&message["type"], &message["cursor"]),
        (&json!("event"), &json!("2"))
    );
    assert_eq!(message["event"]["channel"], json!(rig.channel.id));
    assert!(message["event"]["links"]["image"].is_string());
}

#[tokio::test]
async fn what_is_wanted_is_posted_in_order_on_sqlite() {
    events_and_documents_come_in_order(Rig::sqlite().await).await;
}

#[tokio::test]
async fn what_is_wanted_is_posted_in_order_on_postgres() {
    events_and_documents_come_in_order(Rig::postgres().await).await;
}

#[tokio::test]
async fn documents_are_read_only_if_a_webhook_wants_some() {
    let mut rig = Rig::sqlite().await;
    let receiver = Receiver::start().await;
    rig.hook(&receiver.url(), json!({"events": true})).await;
    rig.start();
    rig.event("one").await;
    rig.document("unwanted", 1).await;
    receiver.wait("one", |all| all.taken() == ["one"]).await;
    let feeds = rig.feeds.clone().unwrap();
    let followers = || {
        (
            feeds.followers(FeedKind::Events),
            feeds.followers(FeedKind::Documents),
        )
    };
    assert_eq!(followers(), (1, 0));
    rig.hook(&receiver.url(), json!({"documents": true})).await;
    rig.document("wanted", 1).await;
    receiver
        .wait("the document", |all| all.taken() == ["one", "wanted"])
        .await;
    assert_eq!(followers(), (1, 1));
}

#[tokio::test]
async fn a_receiver_in_python_verifies_the_signature() {
    let mut rig = Rig::sqlite().await;
    let receiver = Receiver::start().await;
    rig.hook(&receiver.url(), json!({"events": true})).await;
    rig.start();
    rig.event("tür \u{1f6aa} \"quoted\"").await;
    receiver
        .wait("a delivery", |receiver| !receiver.received().is_empty())
        .await;
    let received = receiver.received().remove(0);
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("framewell-attempt"), "1");
    let sent: i64 = received.header("framewell-timestamp").parse().unwrap();
    assert!((rig.now().secs() - sent).abs() < 30);
    let verify = |body: &str, secret: &str| {
        let (timestamp, signature) = (
            received.header("framewell-timestamp"),
            received.header("framewell-signature"),
        );
        let arguments = ["-c", VERIFY, secret, timestamp, signature];
        let mut python = Command::new("python3")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut python.stdin.take().unwrap(), body.as_bytes()).unwrap();
        let output = python.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(verify(&received.body, SECRET), "good");
    assert_eq!(verify(&received.body.replace('t', "d"), SECRET), "forged");
    assert_eq!(verify(&received.body, "another secret.."), "forged");
}

/// A server that is killed again and again, and a receiver that loses some answers.
async fn nothing_is_lost_over_crashes(mut rig: Rig) {
    const COUNT: usize = 120;
    let receiver = Receiver::start().await;
    let hook = rig.hook(&receiver.url(), json!({"events": true})).await;
    let mut stored = names(COUNT).into_iter();
    while receiver.taken().last() != names(COUNT).last() {
        rig.start();
        for name in stored.by_ref().take(17) {
            rig.event(&name).await;
        }
        // Kills come in the middle of deliveries, and of what follows them.
        let seen = receiver.received().len();
        let more = |receiver: &Receiver| receiver.received().len() > seen;
        receiver.wait("a delivery in each life", more).await;
        rig.crash().await;
        if stored.len() == 0 {
            break;
        }
    }
    rig.start();
    rig.wait(hook.id, "the end", |hook| hook.cursors.event == 120)
        .await;
    // At least once: a delivery whose answer was lost comes again. Without those, it is the order of
    // storing.
    let mut taken = receiver.taken();
    let mut newest = String::new();
    taken.retain(|name| {
        let is_new = *name > newest;
        if is_new {
            newest.clone_from(name);
        }
        is_new
    });
    assert_eq!(taken, names(COUNT));
}

#[tokio::test]
async fn nothing_is_lost_when_the_server_is_killed_on_sqlite() {
    nothing_is_lost_over_crashes(Rig::sqlite().await).await;
}

#[tokio::test]
async fn nothing_is_lost_when_the_server_is_killed_on_postgres() {
    nothing_is_lost_over_crashes(Rig::postgres().await).await;
}

#[tokio::test]
async fn failures_are_tried_again_in_order_and_retry_after_is_honoured() {
    let mut rig = Rig::sqlite().await;
    let receiver = Receiver::start().await;
    receiver.script([
        (500, Vec::new()),
        (503, vec![("retry-after", "1".to_owned())]),
    ]);
    let hook = rig.hook(&receiver.url(), json!({"events": true})).await;
    rig.start();
    rig.event("one").await;
    let troubled = rig
        .wait(hook.id, "the second failure", |hook| hook.attempts == 2)
        .await;
    let trouble = troubled.trouble.unwrap();
    assert_eq!(trouble.status, Some(503));
    assert!(!trouble.error.contains("secret"), "{}", trouble.error);
    let left_us = troubled.next.unwrap().micros_since(rig.now());
    assert!((500_000..=1_000_000).contains(&left_us), "{left_us}");
    rig.event("two").await;
    receiver
        .wait("both", |receiver| receiver.taken().len() == 2)
        .await;
    assert_eq!(receiver.taken(), ["one", "two"]);
    let received = receiver.received();
    let attempts: Vec<&str> = received[..3]
        .iter()
        .map(|one| one.header("framewell-attempt"))
        .collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    let settled = rig
        .wait(hook.id, "success", |hook| hook.success.is_some())
        .await;
    assert_eq!((settled.attempts, settled.trouble), (0, None));
}

async fn failures_are_kept_and_replayed(mut rig: Rig) {
    let (broken, good) = (Receiver::start().await, Receiver::start().await);
    broken.answer(500);
    let bad = rig.hook(&broken.url(), json!({"events": true})).await;
    rig.hook(&good.url(), json!({"events": true})).await;
    rig.start();
    rig.event("one").await;
    rig.wait(bad.id, "giving up", |hook| hook.given_up == 1)
        .await;
    // The other one was not held up.
    good.wait("the good one", |receiver| receiver.taken() == ["one"])
        .await;
    let page = rig
        .catalog
        .list_webhook_failures(bad.id, Order::Ascending, ALL)
        .await
        .unwrap();
    let failure = &page.items[0];
    assert_eq!((page.total, failure.attempts, failure.entries), (1, 3, 1));
    assert_eq!(failure.trouble.status, Some(500));
    assert!(!failure.trouble.error.contains("secret"));
    let (_, body) = rig.catalog.load_webhook_failure(failure.id).await.unwrap();
    assert_eq!(body, broken.received()[0].body);
    broken.answer(200);
    rig.event("two").await;
    let well = rig
        .wait(bad.id, "success", |hook| hook.success.is_some())
        .await;
    assert_eq!(well.given_up, 0);
    let job = NewJob {
        kind: WEBHOOK_REPLAY_JOB,
        account: rig.channel.account,
        channel: None,
        parameters: json!({"webhook": bad.id, "failure": failure.id}),
        dedup: Some(failure.id.to_string()),
        due: rig.now(),
    };
    rig.catalog.create_job(&job, rig.now()).await.unwrap();
    broken
        .wait("the replay", |receiver| receiver.taken().len() == 2)
        .await;
    assert_eq!(broken.taken(), ["two", "one"]);
    let forgotten = async {
        while rig.catalog.load_webhook_failure(failure.id).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), forgotten)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_given_up_is_kept_and_can_be_sent_again_on_sqlite() {
    failures_are_kept_and_replayed(Rig::sqlite().await).await;
}

#[tokio::test]
async fn what_is_given_up_is_kept_and_can_be_sent_again_on_postgres() {
    failures_are_kept_and_replayed(Rig::postgres().await).await;
}

#[tokio::test]
async fn a_changed_url_is_used_at_once_and_a_narrower_wish_counts_from_there() {
    let mut rig = Rig::sqlite().await;
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    old.answer(503);
    let config = framewell_notify::webhook::WebhookConfig {
        first_pause: Duration::from_secs(3_600),
        longest_pause: Duration::from_secs(3_600),
        ..crate::rig::CONFIG
    };
    let policy = OutboundPolicy {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        deny: Vec::new(),
    };
    let hook = rig.hook(&old.url(), json!({"events": true})).await;
    rig.start_with(config, policy);
    rig.event("one").await;
    rig.wait(hook.id, "a failure", |hook| hook.attempts == 1)
        .await;
    let change = WebhookChange {
        url: Some(new.url()),
        ..WebhookChange::default()
    };
    rig.catalog.change_webhook(hook.id, &change).await.unwrap();
    let key = hook.id.to_string();
    rig.catalog
        .hasten_job(framewell_catalog::WEBHOOK_JOB, &key, rig.now())
        .await
        .unwrap();
    new.wait("the new place", |receiver| receiver.taken() == ["one"])
        .await;
    let change = WebhookChange {
        is_active: Some(false),
        ..WebhookChange::default()
    };
    rig.catalog.change_webhook(hook.id, &change).await.unwrap();
    rig.event("two").await;
    let change = WebhookChange {
        is_active: Some(true),
        ..WebhookChange::default()
    };
    rig.catalog.change_webhook(hook.id, &change).await.unwrap();
    // What came while it was off is told once it is on again.
    new.wait("the rest", |receiver| receiver.taken() == ["one", "two"])
        .await;
}

/// An attempt at the old URL fails after the change: that is no failure of the new one.
async fn a_change_during_an_attempt_counts_at_once(attempts: i64) {
    let mut rig = Rig::sqlite().await;
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    old.answer(503);
    let config = framewell_notify::webhook::WebhookConfig {
        attempts,
        first_pause: Duration::from_secs(3_600),
        longest_pause: Duration::from_secs(3_600),
        ..crate::rig::CONFIG
    };
    let policy = OutboundPolicy {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        deny: Vec::new(),
    };
    let hook = rig.hook(&old.url(), json!({"events": true})).await;
    let held = old.hold().await;
    rig.start_with(config, policy);
    rig.event("one").await;
    old.wait("the attempt", |old| old.received().len() == 1)
        .await;
    let change = WebhookChange {
        url: Some(new.url()),
        ..WebhookChange::default()
    };
    rig.catalog.change_webhook(hook.id, &change).await.unwrap();
    drop(held);
    new.wait("the new place", |new| new.taken() == ["one"])
        .await;
    let hook = rig
        .wait(hook.id, "success", |hook| hook.success.is_some())
        .await;
    assert_eq!((hook.attempts, hook.given_up, hook.trouble), (0, 0, None));
}

#[tokio::test]
async fn a_changed_webhook_does_not_wait_for_the_failure_before() {
    a_change_during_an_attempt_counts_at_once(3).await;
}

#[tokio::test]
async fn a_changed_webhook_is_not_given_up_untried() {
    a_change_during_an_attempt_counts_at_once(1).await;
}

#[tokio::test]
async fn a_webhook_ends_with_the_token_that_made_it() {
    let mut rig = Rig::sqlite().await;
    let receiver = Receiver::start().await;
    let group = NewGroup {
        name: "group".into(),
        channels: vec![rig.channel.id],
        channels_access: Level::All,
        include_all_channels: false,
        expire: None,
        max_channels_amount: None,
        ai_targeted: true,
        meta: BTreeMap::new(),
    };
    let group = rig
        .catalog
        .create_group(rig.channel.account, &group, rig.now())
        .await
        .unwrap();
    let token = rig
        .access
        .group_token(rig.channel.account, group.id)
        .await
        .unwrap();
    let grant = rig
        .access
        .authenticate(&framewell_access::Credential::Group(token))
        .await
        .unwrap();
    let owner = WebhookOwner {
        account: rig.channel.account,
        principal: Principal::Group(group.id),
        token: grant.serial,
        expire: grant.expire,
    };
    let hook = rig
        .hook_of(owner, &receiver.url(), json!({"events": true}))
        .await;
    rig.start();
    rig.event("one").await;
    receiver
        .wait("one", |receiver| receiver.taken() == ["one"])
        .await;
    // A channel that leaves the group is not told of any more.
    let patch = GroupPatch {
        channels: Some(Vec::new()),
        ..GroupPatch::default()
    };
    rig.catalog
        .update_group(rig.channel.account, group.id, &patch)
        .await
        .unwrap();
    rig.event("two").await;
    rig.wait(hook.id, "looking past it", |hook| hook.cursors.event == 2)
        .await;
    rig.catalog
        .revoke_token(grant.serial.unwrap(), rig.now())
        .await
        .unwrap();
    rig.event("three").await;
    let ended = rig.wait(hook.id, "its end", |hook| !hook.is_active).await;
    assert!(ended.trouble.unwrap().error.contains("token"), "says why");
    assert_eq!(receiver.taken(), ["one"]);
}
