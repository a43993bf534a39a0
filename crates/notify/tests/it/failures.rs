//! What becomes of deliveries that were given up.

use crate::receiver::Receiver;
use crate::rig::Rig;
use framewell_catalog::{NewJob, Order, Slice, WEBHOOK_REPLAY_JOB, WebhookChange};
use framewell_model::{JobState, WebhookId};
use serde_json::json;

const ALL: Slice = Slice {
    limit: 100,
    offset: 0,
};

#[tokio::test]
async fn what_the_owner_may_no_longer_see_is_not_replayed() {
    let mut rig = Rig::sqlite().await;
    let receiver = Receiver::start().await;
    receiver.answer(500);
    let hidden = rig.channel.id;
    let hook = rig.hook(&receiver.url(), json!({"events": true})).await;
    rig.start();
    rig.event("one").await;
    rig.wait(hook.id, "giving up", |hook| hook.given_up == 1)
        .await;
    receiver.answer(200);
    let before = receiver.received().len();
    let switch = |is_active| WebhookChange {
        is_active: Some(is_active),
        // As if the channel had gone: the owner may see others only.
        subscription: is_active.then(|| json!({"events": true, "channels": [hidden.get() + 1]})),
        ..WebhookChange::default()
    };
    let page = rig
        .catalog
        .list_webhook_failures(hook.id, Order::Ascending, ALL)
        .await
        .unwrap();
    let failure = page.items[0].id;
    let replay = async || {
        let job = NewJob {
            kind: WEBHOOK_REPLAY_JOB,
            account: rig.channel.account,
            channel: None,
            parameters: json!({"webhook": hook.id, "failure": failure}),
            dedup: Some(failure.to_string()),
            due: rig.now(),
        };
        let job = rig.catalog.create_job(&job, rig.now()).await.unwrap();
        let mut changes = rig.catalog.job_changes();
        loop {
            let state = rig.catalog.load_job(job.id).await.unwrap().state;
            if !matches!(state, JobState::Pending | JobState::Running) {
                return state;
            }
            changes.changed().await.unwrap();
        }
    };
    // Switched off: it waits for better times.
    let off = rig.catalog.change_webhook(hook.id, &switch(false)).await;
    off.unwrap();
    assert_eq!(replay().await, JobState::Error);
    assert!(rig.catalog.load_webhook_failure(failure).await.is_ok());
    let on = rig.catalog.change_webhook(hook.id, &switch(true)).await;
    on.unwrap();
    assert_eq!(replay().await, JobState::Done);
    assert!(rig.catalog.load_webhook_failure(failure).await.is_err());
    assert_eq!(receiver.received().len(), before, "nothing was sent");
}

#[tokio::test]
async fn failures_have_a_bound_and_the_oldest_go() {
    let rig = Rig::sqlite().await;
    let hook = rig
        .hook("http://127.0.0.1:1/", json!({"events": true}))
        .await;
    let failure = framewell_catalog::NewFailure {
        body: "{}".into(),
        entries: 1,
        attempts: 3,
        trouble: framewell_catalog::Trouble {
            error: "broken".into(),
            status: None,
        },
    };
    for _ in 0..1_003 {
        let given_up = rig
            .catalog
            .give_up_delivery(&hook, hook.cursors, &failure, rig.now());
        assert!(given_up.await.unwrap());
    }
    let page = rig
        .catalog
        .list_webhook_failures(hook.id, Order::Ascending, ALL)
        .await
        .unwrap();
    assert_eq!((page.total, page.items[0].id.get()), (1_000, 4));
    let missing = WebhookId::new(999).unwrap();
    assert!(rig.catalog.load_webhook(missing).await.is_err());
}

async fn failures_have_a_bound_of_bytes(rig: Rig) {
    let hook = rig
        .hook("http://127.0.0.1:1/", json!({"events": true}))
        .await;
    let failure = framewell_catalog::NewFailure {
        body: "x".repeat(10 << 20),
        entries: 1,
        attempts: 3,
        trouble: framewell_catalog::Trouble {
            error: "broken".into(),
            status: None,
        },
    };
    for _ in 0..8 {
        let given_up = rig
            .catalog
            .give_up_delivery(&hook, hook.cursors, &failure, rig.now());
        assert!(given_up.await.unwrap());
    }
    let page = rig
        .catalog
        .list_webhook_failures(hook.id, Order::Ascending, ALL)
        .await
        .unwrap();
    // Six of ten MiB are less than 64.
    assert_eq!((page.total, page.items[0].id.get()), (6, 3));
}

#[tokio::test]
async fn the_bytes_of_failures_have_a_bound_on_sqlite() {
    failures_have_a_bound_of_bytes(Rig::sqlite().await).await;
}

#[tokio::test]
async fn the_bytes_of_failures_have_a_bound_on_postgres() {
    failures_have_a_bound_of_bytes(Rig::postgres().await).await;
}
