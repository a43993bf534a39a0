//! Where webhooks may lead: judged by whether anybody connected.

use crate::receiver::Receiver;
use crate::rig::{CONFIG, Rig};
use framewell_live::SystemClock;
use framewell_model::{OutboundPolicy, Secret, WallClock as _};
use framewell_notify::webhook::{Lookup, OutboundClient, Post};
use futures::future::BoxFuture;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::test]
async fn nobody_connects_to_an_address_of_this_machine_unless_it_is_allowed() {
    let mut rig = Rig::sqlite().await;
    let receiver = Receiver::start().await;
    let port = receiver.address.port();
    let hooks = [
        rig.hook(&receiver.url(), json!({"events": true})).await,
        rig.hook(
            &format!("http://localhost:{port}/"),
            json!({"events": true}),
        )
        .await,
        rig.hook(
            &format!("http://[::ffff:127.0.0.1]:{port}/"),
            json!({"events": true}),
        )
        .await,
    ];
    rig.start_with(CONFIG, OutboundPolicy::default());
    rig.event("one").await;
    for hook in hooks {
        let troubled = rig
            .wait(hook.id, "the refusal", |hook| hook.given_up == 1)
            .await;
        let error = troubled.trouble.unwrap().error;
        assert!(error.contains("outbound policy"), "{error}");
        assert!(!error.contains("127.0.0.1"), "{error}");
    }
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut rig = Rig::sqlite().await;
    let (receiver, inside) = (Receiver::start().await, Receiver::start().await);
    receiver.script((0..3).map(|_| (307, vec![("location", inside.url())])));
    let hook = rig.hook(&receiver.url(), json!({"events": true})).await;
    rig.start();
    rig.event("one").await;
    let troubled = rig
        .wait(hook.id, "giving up", |hook| hook.given_up == 1)
        .await;
    let trouble = troubled.trouble.unwrap();
    assert_eq!(trouble.status, Some(307));
    assert!(trouble.error.contains("redirects"), "{}", trouble.error);
    assert!(inside.received().is_empty());
}

/// A name server that gives another address each time it is asked.
#[derive(Debug, Default)]
struct Rebinding {
    asked: AtomicUsize,
}

impl Lookup for Rebinding {
    fn lookup(&self, _name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        // The policy below allows the first one, where nobody listens.
        let addresses: Vec<IpAddr> = match asked % 2 {
            0 => vec!["127.0.0.2".parse().unwrap()],
            _ => vec!["127.0.0.1".parse().unwrap()],
        };
        Box::pin(async move { Ok(addresses) })
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_between_look_and_connect_leads_nowhere() {
    let receiver = Receiver::start().await;
    let policy = OutboundPolicy {
        allow: vec!["127.0.0.2".parse().unwrap()],
        deny: Vec::new(),
    };
    let lookup = Arc::new(Rebinding::default());
    let dynamic: Arc<dyn Lookup> = Arc::<Rebinding>::clone(&lookup);
    let client =
        OutboundClient::with_lookup(Arc::new(policy), Duration::from_millis(300), dynamic).unwrap();
    let url = format!("http://rebind.example:{}/", receiver.address.port());
    let secret = Secret::new("0123456789abcdef".to_owned());
    let mut errors = Vec::new();
    for _ in 0..6 {
        let post = Post {
            url: &url,
            secret: &secret,
            webhook: 1,
            attempt: 1,
            body: "{}",
            now: SystemClock.now(),
        };
        errors.push(client.post(&post).await.unwrap_err().trouble.error);
    }
    // Each attempt asked once, and was either sent to the first address or refused.
    assert_eq!(lookup.asked.load(Ordering::SeqCst), 6);
    for pair in errors.chunks(2) {
        assert!(!pair[0].contains("outbound policy"), "{pair:?}");
        assert!(pair[1].contains("outbound policy"), "{pair:?}");
    }
    assert!(receiver.received().is_empty());
}
