//! What a real broker is told, as another client hears it.

use crate::broker::Broker;
use crate::rig::Rig;
use framewell_insight::feed::Feeds;
use framewell_live::{Registry, RingConfig, SourceState, SystemClock};
use framewell_model::{ChannelStatus, Secret};
use framewell_notify::mqtt::{MqttConfig, Publisher, Quality};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

fn config(broker: &Broker) -> MqttConfig {
    MqttConfig {
        url: broker.url(),
        user: String::new(),
        password: Secret::new(String::new()),
        ca_pem: None,
        prefix: "framewell".into(),
        client_id: "framewell".into(),
        quality: Quality::AtLeastOnce,
        discovery_prefix: None,
    }
}

/// A publisher as a server runs it.
struct Running {
    registry: Registry,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    fn start(rig: &Rig, config: MqttConfig) -> Self {
        let registry = Registry::new(RingConfig::default(), Arc::new(SystemClock));
        let feeds = Feeds::new(rig.catalog.clone());
        let publisher =
            Publisher::new(config, rig.catalog.clone(), feeds.clone(), registry.clone()).unwrap();
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(feeds.run(stop.clone()));
        tasks.spawn(publisher.run(stop.clone()));
        Self {
            registry,
            stop,
            tasks,
        }
    }

    /// Makes the camera look as ingest does.
    fn set(&self, rig: &Rig, status: ChannelStatus, is_recording: bool) {
        let track = self.registry.track(rig.channel.id);
        track.set_recording(is_recording);
        track.set_source_state(SourceState {
            status,
            since: rig.now(),
            detail: None,
            run: None,
        });
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// As `kill -9` would: the connection breaks without a goodbye.
    async fn crash(mut self) {
        self.tasks.shutdown().await;
    }
}

#[tokio::test]
async fn channels_have_a_retained_state_and_events_come_as_they_happen() {
    let (rig, broker) = (Rig::sqlite().await, Broker::start().await);
    let mut listener = broker.listen("framewell/#", &[]);
    let running = Running::start(&rig, config(&broker));
    let topic = |what: &str| format!("framewell/{}/{what}", rig.channel.id);
    listener.expect("framewell/status", "online").await;
    listener.expect(&topic("state"), "offline").await;
    running.set(&rig, ChannelStatus::Active, false);
    listener.expect(&topic("state"), "online").await;
    listener.expect(&topic("online"), "ON").await;
    running.set(&rig, ChannelStatus::Active, true);
    listener.expect(&topic("state"), "recording").await;
    listener.expect(&topic("recording"), "ON").await;
    rig.event("door/open #1").await;
    let event = listener.expect_on(&topic("event/door_open__1")).await;
    assert!(!event.is_retained);
    let told: Value = serde_json::from_str(&event.payload).unwrap();
    assert_eq!(told["name"], "door/open #1");
    assert_eq!(told["channel"], rig.channel.id.get());
    // Who comes later hears the state and the last event, and no event as if it happened now.
    let mut late = broker.listen("framewell/#", &[]);
    for (topic, payload) in [
        ("framewell/status".to_owned(), "online"),
        (topic("state"), "recording"),
        (topic("online"), "ON"),
        (topic("recording"), "ON"),
        (topic("last_event"), event.payload.as_str()),
    ] {
        late_expect(&mut late, &topic, payload).await;
    }
    running.stop().await;
    assert!(!late.expect("framewell/status", "offline").await.is_retained);
    let events = late
        .so_far()
        .iter()
        .filter(|heard| heard.topic.contains("/event/"));
    assert_eq!(events.count(), 0);
}

/// Retained messages come in any order.
async fn late_expect(late: &mut crate::broker::Listener, topic: &str, payload: &str) {
    let is_it = |heard: &crate::broker::Heard| {
        heard.topic == topic && heard.payload == payload && heard.is_retained
    };
    while !late.so_far().iter().any(is_it) {
        late.hear().await;
    }
}

#[tokio::test]
async fn a_server_that_dies_is_offline_by_its_last_will() {
    let (rig, broker) = (Rig::sqlite().await, Broker::start().await);
    let mut listener = broker.listen("framewell/status", &[]);
    let running = Running::start(&rig, config(&broker));
    listener.expect("framewell/status", "online").await;
    running.crash().await;
    listener.expect("framewell/status", "offline").await;
    let mut late = broker.listen("framewell/status", &[]);
    assert!(late.expect("framewell/status", "offline").await.is_retained);
}

#[tokio::test]
async fn what_happens_while_the_broker_or_the_server_is_away_is_told_afterwards() {
    let (rig, mut broker) = (Rig::sqlite().await, Broker::start().await);
    // A session that the broker keeps, so that this listener misses nothing itself.
    let session = ["-c", "-i", "judge"];
    let mut listener = broker.listen("framewell/+/event/#", &session);
    let mut status = broker.listen("framewell/status", &[]);
    let running = Running::start(&rig, config(&broker));
    status.expect("framewell/status", "online").await;
    let topic = |name: &str| format!("framewell/{}/event/{name}", rig.channel.id);
    rig.event("one").await;
    listener.expect_on(&topic("one")).await;
    drop(listener);
    broker.stop();
    rig.event("two").await;
    rig.event("three").await;
    broker.launch().await;
    let mut listener = broker.listen("framewell/+/event/#", &session);
    listener.expect_on(&topic("two")).await;
    listener.expect_on(&topic("three")).await;
    running.crash().await;
    rig.event("four").await;
    let running = Running::start(&rig, config(&broker));
    listener.expect_on(&topic("four")).await;
    running.stop().await;
}

/// Mosquitto closes the connection over a character that is none (MQTT 3.1.1, section 1.5.3).
#[tokio::test]
async fn no_name_of_an_event_keeps_others_from_being_told() {
    let (rig, broker) = (Rig::sqlite().await, Broker::start().await);
    let mut listener = broker.listen("framewell/#", &[]);
    let running = Running::start(&rig, config(&broker));
    listener.expect("framewell/status", "online").await;
    rig.event("bad\u{fdd0}\u{10ffff}$").await;
    rig.event("after").await;
    let topic = |name: &str| format!("framewell/{}/event/{name}", rig.channel.id);
    let bad = listener.expect_on(&topic("bad___")).await;
    assert!(bad.payload.contains("bad\u{fdd0}"), "{}", bad.payload);
    listener.expect_on(&topic("after")).await;
    running.stop().await;
    let told = listener.so_far().iter();
    let starts = told.filter(|heard| heard.topic == "framewell/status");
    assert_eq!(starts.count(), 1, "one connection");
}

#[tokio::test]
async fn an_event_over_which_connections_break_is_left_out() {
    let rig = Rig::sqlite().await;
    let broker = Broker::start_with("max_packet_size 2000").await;
    let mut listener = broker.listen("framewell/#", &[]);
    let running = Running::start(&rig, config(&broker));
    listener.expect("framewell/status", "online").await;
    let topic = |name: &str| format!("framewell/{}/event/{name}", rig.channel.id);
    rig.event("before").await;
    // Its JSON is larger than this broker takes.
    let large = BTreeMap::from([("text".to_owned(), "x".repeat(3_000))]);
    rig.event_with("large", large).await;
    rig.event("after").await;
    listener.expect_on(&topic("after")).await;
    running.stop().await;
    let told: Vec<&str> = listener
        .so_far()
        .iter()
        .filter(|heard| heard.topic.contains("/event/"))
        .map(|heard| heard.topic.as_str())
        .collect();
    assert_eq!(told.last(), Some(&topic("after").as_str()), "{told:?}");
    assert!(
        told.iter().all(|told| !told.contains("large")) && told.contains(&topic("before").as_str()),
        "{told:?}"
    );
}

#[tokio::test]
async fn home_assistant_finds_channels_and_forgets_deleted_ones() {
    let (rig, broker) = (Rig::sqlite().await, Broker::start().await);
    let mut listener = broker.listen("#", &[]);
    let config = MqttConfig {
        discovery_prefix: Some("homeassistant".into()),
        quality: Quality::AtMostOnce,
        ..config(&broker)
    };
    let running = Running::start(&rig, config);
    let node = format!("framewell_{}", rig.channel.id);
    let found = format!("homeassistant/binary_sensor/{node}/online/config");
    let entity = listener.expect_on(&found).await;
    let entity: Value = serde_json::from_str(&entity.payload).unwrap();
    assert_eq!(
        entity["state_topic"],
        format!("framewell/{}/online", rig.channel.id)
    );
    assert_eq!(entity["availability_topic"], "framewell/status");
    assert_eq!(entity["device"]["name"], "gate");
    let state = format!("framewell/{}/state", rig.channel.id);
    listener.expect(&state, "offline").await;
    rig.catalog
        .delete_channel(rig.channel.account, rig.channel.id, rig.now())
        .await
        .unwrap();
    listener.expect(&state, "").await;
    listener.expect(&found, "").await;
    running.stop().await;
    let mut late = broker.listen("#", &[]);
    late.expect("framewell/status", "offline").await;
    assert!(
        late.so_far()
            .iter()
            .all(|heard| !heard.topic.contains(&node)),
        "{:?}",
        late.so_far()
    );
}

#[tokio::test]
async fn a_channel_deleted_between_two_runs_is_forgotten_by_the_next() {
    let (rig, broker) = (Rig::sqlite().await, Broker::start().await);
    let config = MqttConfig {
        discovery_prefix: Some("homeassistant".into()),
        ..config(&broker)
    };
    let mut listener = broker.listen("#", &[]);
    let running = Running::start(&rig, config.clone());
    let found = format!(
        "homeassistant/binary_sensor/framewell_{}/online/config",
        rig.channel.id
    );
    let state = format!("framewell/{}/state", rig.channel.id);
    // Told after what is forgotten.
    let other = format!("framewell/{}/state", rig.another_channel().await.id);
    listener.expect_on(&found).await;
    listener.expect(&state, "offline").await;
    running.stop().await;
    rig.catalog
        .delete_channel(rig.channel.account, rig.channel.id, rig.now())
        .await
        .unwrap();
    let running = Running::start(&rig, config.clone());
    listener.expect(&state, "").await;
    listener.expect(&found, "").await;
    listener.expect(&other, "offline").await;
    running.stop().await;
    listener.expect("framewell/status", "offline").await;
    // Once: the next run has nothing to forget.
    let before = listener.so_far().len();
    let running = Running::start(&rig, config);
    listener.expect(&other, "offline").await;
    running.stop().await;
    listener.expect("framewell/status", "offline").await;
    let more = &listener.so_far()[before..];
    assert!(more.iter().all(|heard| heard.topic != state), "{more:?}");
}

fn openssl(dir: &Path, arguments: &str) {
    let words = arguments.split(' ');
    let run = Command::new("openssl")
        .current_dir(dir)
        .args(words)
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

/// A certificate for `localhost`, that of whom it is by, and that of somebody else.
fn certificates(path: &Path) {
    let names = "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n";
    std::fs::write(path.join("names"), names).unwrap();
    openssl(
        path,
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.pem",
    );
    openssl(
        path,
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout other.key -out other.pem",
    );
    openssl(
        path,
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out csr",
    );
    openssl(
        path,
        "x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out cert.pem",
    );
}

#[tokio::test]
async fn a_broker_behind_tls_with_a_password_is_reached_and_a_strange_one_is_not() {
    let rig = Rig::sqlite().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    certificates(path);
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(path.join("passwords"))
        .args(["framewell", "hunter2"])
        .status();
    assert!(made.unwrap().success());
    let ca_pem = std::fs::read(path.join("ca.pem")).unwrap();
    let other_pem = std::fs::read(path.join("other.pem")).unwrap();
    let ca = path.join("ca.pem").display().to_string();
    let more = "certfile DIR/cert.pem\nkeyfile DIR/key.pem\npassword_file DIR/passwords";
    let broker = Broker::start_in(dir, more).await;
    let mut listener = broker.listen(
        "framewell/#",
        &["--cafile", &ca, "-u", "framewell", "-P", "hunter2"],
    );
    let good = MqttConfig {
        url: format!("mqtts://localhost:{}", broker.port),
        user: "framewell".into(),
        password: Secret::new("hunter2".into()),
        ca_pem: Some(ca_pem),
        ..config(&broker)
    };
    // It trusts somebody else, so it says nothing to this broker.
    let strange = MqttConfig {
        ca_pem: Some(other_pem),
        prefix: "framewell/strange".into(),
        client_id: "strange".into(),
        ..good.clone()
    };
    let strange = Running::start(&rig, strange);
    let running = Running::start(&rig, good);
    listener.expect("framewell/status", "online").await;
    running.stop().await;
    listener.expect("framewell/status", "offline").await;
    strange.stop().await;
    assert!(
        listener
            .so_far()
            .iter()
            .all(|heard| !heard.topic.contains("strange"))
    );
}
