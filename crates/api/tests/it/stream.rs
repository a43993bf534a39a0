//! Subscriptions to events and documents: history, then live, nothing twice and nothing missed.

use crate::site::{Answer, Site, TestChannel, inner, text};
use axum::body::BodyDataStream;
use framewell_api::ApiConfig;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const EVENTS: &str = "/v1/events/stream";
const DOCUMENTS: &str = "/v1/metadata/stream";
const LIMIT: Duration = Duration::from_secs(30);

/// A subscriber by server-sent events.
struct Listener {
    body: BodyDataStream,
    text: String,
    /// `id` of the last message, as a browser keeps it.
    last: String,
}

impl Listener {
    async fn open(site: &Site, authorization: &str, uri: &str, last: Option<&str>) -> Self {
        let headers: Vec<(&str, &str)> = last.map(|id| ("last-event-id", id)).into_iter().collect();
        let response = site.open(authorization, uri, &headers).await;
        assert_eq!(response.status().as_u16(), 200, "{response:?}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
            last: String::new(),
        }
    }

    /// The object of the next message; `None` at the end.
    async fn hear(&mut self) -> Option<Value> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let (message, rest) = (message.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(self.read(&message));
            }
            let chunk = tokio::time::timeout(LIMIT, self.body.next()).await.unwrap();
            let chunk = chunk?.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    fn read(&mut self, message: &str) -> Value {
        let field = |name: &str| {
            let lines = message.lines();
            lines
                .filter_map(|line| line.strip_prefix(name))
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let object: Value = serde_json::from_str(&field("data: ")).unwrap();
        assert_eq!(object["type"], field("event: "));
        if object["type"] != "end" {
            assert_eq!(object["cursor"], field("id: "));
            self.last = field("id: ");
        }
        object
    }

    /// The next message that is no heartbeat, which has to be of this type.
    async fn expect(&mut self, word: &str) -> Value {
        loop {
            let message = self.hear().await.unwrap();
            if message["type"] != "heartbeat" {
                assert_eq!(message["type"], word, "{message}");
                return message;
            }
        }
    }
}

async fn event(site: &Site, channel: &TestChannel, name: &str, meta: Value) -> i64 {
    let body = json!({"name": name, "time": "2024-05-01T10:00:00", "meta": meta});
    let created = site
        .post(&channel.all, "/api/v2/storage/events/", &body)
        .await
        .expect(201);
    created["id"].as_i64().unwrap()
}

async fn document(site: &Site, channel: &TestChannel, id: &str, persons: i64) {
    let body = json!([{"id": id, "timestamp": "2024-05-01T10:00:00", "long": {"Person": persons}}]);
    site.post(&channel.all, "/api/v4/meta/", &body)
        .await
        .expect(200);
}

#[tokio::test]
async fn history_and_live_come_in_one_form() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let old = event(&site, &channel, "motion", json!({"Person": "2"})).await;
    let mut listener =
        Listener::open(&site, &channel.watch, &format!("{EVENTS}?after=0"), None).await;
    let ready = listener.expect("ready").await;
    assert_eq!(ready, json!({"type": "ready", "cursor": "0", "behind": 1}));
    let first = listener.expect("event").await;
    assert_eq!(
        first,
        json!({"type": "event", "cursor": "1", "behind": 0, "event": {
        "id": old, "channel": channel.id, "name": "motion", "source": "api", "notify": true, "tags": {"Person": "2"},
        "time": "2024-05-01T10:00:00.000000Z", "created": "2024-05-01T12:00:00.000000Z",
        "links": {
            "image": format!("/v1/channels/{}/image?at=2024-05-01T10:00:00.000000Z", channel.id),
            "clip": format!("/v1/events/{old}/clip.mp4?wait=true"),
            "live": format!("/v1/channels/{}/live", channel.id),
        }}})
    );
    let new = event(&site, &channel, "motion", json!({"Person": "2"})).await;
    let mut second = listener.expect("event").await;
    assert_eq!(
        (&second["event"]["id"], &second["cursor"]),
        (&json!(new), &json!("2"))
    );
    second["event"]["id"] = first["event"]["id"].clone();
    let links = &mut second["event"]["links"];
    assert_eq!(
        links["clip"],
        format!("/v1/events/{new}/clip.mp4?wait=true")
    );
    links["clip"] = first["event"]["links"]["clip"].clone();
    assert_eq!(second["event"], first["event"]);
    // Without a cursor, only what comes from now on.
    let mut late = Listener::open(&site, &channel.watch, EVENTS, None).await;
    assert_eq!(late.expect("ready").await["cursor"], "2");
    let third = event(&site, &channel, "motion", json!({})).await;
    assert_eq!(late.expect("event").await["event"]["id"], third);
}

#[tokio::test]
async fn filters_and_tokens_say_what_comes() {
    let site = Site::new().await;
    let (a, b, c) = (
        site.channel("a").await,
        site.channel("b").await,
        site.channel("c").await,
    );
    let (_, group) = site.group(&[&a, &b], "all").await;
    for (channel, name, tag) in [
        (&a, "motion", "x"),
        (&b, "sound", "x"),
        (&c, "motion", "x"),
        (&b, "motion", "y"),
    ] {
        event(&site, channel, name, json!({tag: ""})).await;
    }
    let heard = async |authorization: &str, query: &str, count: usize| {
        let uri = format!("{EVENTS}?after=0&{query}");
        let mut listener = Listener::open(&site, authorization, &uri, None).await;
        listener.expect("ready").await;
        let mut cursors = Vec::new();
        for _ in 0..count {
            cursors.push(text(&listener.expect("event").await["cursor"]).to_owned());
        }
        cursors
    };
    // The last one that comes lets the cursor go to the end of what was looked at.
    assert_eq!(heard(&group, "", 3).await, ["1", "2", "4"]);
    assert_eq!(heard(&group, "names=motion,other", 2).await, ["1", "4"]);
    assert_eq!(heard(&group, "tags=y", 1).await, ["4"]);
    assert_eq!(heard(&group, "without_tags=y", 2).await, ["1", "4"]);
    assert_eq!(
        heard(&group, &format!("channels={}", b.id), 2).await,
        ["2", "4"]
    );
    assert_eq!(
        heard("", &format!("token={}", inner(&c.watch)), 1).await,
        ["4"]
    );
    for (channel, id, persons) in [(&a, "one", 0), (&b, "two", 2), (&c, "three", 2)] {
        document(&site, channel, id, persons).await;
    }
    let uri = format!("{DOCUMENTS}?after=0&filter=%7B%22field%22:%22long.Person%22,%22gt%22:1%7D");
    let mut listener = Listener::open(&site, &group, &uri, None).await;
    listener.expect("ready").await;
    let found = listener.expect("document").await;
    assert_eq!(
        (&found["document"]["id"], &found["document"]["timestamp"]),
        (&json!("two"), &json!("2024-05-01T10:00:00.000000Z"))
    );
    // A document that changes is told again.
    document(&site, &a, "one", 5).await;
    assert_eq!(
        listener.expect("document").await["document"]["long"],
        json!({"Person": 5})
    );
}

#[tokio::test]
async fn events_with_long_tags_come_a_few_at_a_time_and_all() {
    let mut site = Site::new().await;
    let channel = site.channel("a").await;
    let mut stored = Vec::new();
    for size in [10, 9_000, 9_000, 20, 9_000] {
        let tags = json!({ "long": "x".repeat(size) });
        stored.push(event(&site, &channel, "motion", tags).await);
    }
    site.limit_tags(10_000);
    let uri = format!("{EVENTS}?after=0");
    let mut listener = Listener::open(&site, &channel.watch, &uri, None).await;
    listener.expect("ready").await;
    for (id, cursor) in stored.iter().zip(1..) {
        let heard = listener.expect("event").await;
        assert_eq!(heard["event"]["id"], *id);
        assert_eq!(heard["cursor"], cursor.to_string());
    }
    // The list says how many it has, and where the others are.
    let mut next = "/api/v2/storage/events/?include_meta=true&limit=5".to_owned();
    let mut listed = Vec::new();
    while !next.is_empty() {
        let page = site.get(&channel.watch, &next).await.expect(200);
        let objects = page["objects"].as_array().unwrap();
        listed.extend(objects.iter().map(|object| object["id"].as_i64().unwrap()));
        next = page["meta"]["next"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!(listed, stored);
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let status = async |authorization: &str, uri: &str| -> (u16, Answer) {
        let answer = site.get(authorization, uri).await;
        (answer.status.as_u16(), answer)
    };
    for query in ["after=x", "after=-1", "after=1", "channels=x"] {
        let (status, answer) = status(&a.watch, &format!("{EVENTS}?{query}")).await;
        assert_eq!(status, 400, "{query}: {answer:?}");
        assert!(answer.json()["error"]["message"].is_string());
    }
    assert_eq!(
        status(&a.watch, &format!("{EVENTS}?channels={}", b.id))
            .await
            .0,
        404
    );
    assert_eq!(status(&a.watch, DOCUMENTS).await.0, 403);
    assert_eq!(status("", EVENTS).await.0, 401);
    for filter in ["{", "[]", "%7B%22field%22:%22x%22,%22eq%22:1%7D"] {
        assert_eq!(
            status(&a.all, &format!("{DOCUMENTS}?filter={filter}"))
                .await
                .0,
            400,
            "{filter}"
        );
    }
}

/// Writers that never pause, and a subscriber that is killed again and again and comes back with the last
/// `id` that it heard.
async fn killed_subscriber(uri: &str, is_events: bool) {
    const WRITERS: usize = 4;
    const EACH: usize = 60;
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let write = async |writer: usize| {
        for n in 0..EACH {
            let name = format!("{writer}-{n}");
            if is_events {
                event(&site, &channel, &name, json!({})).await;
            } else {
                document(&site, &channel, &name, 1).await;
            }
        }
    };
    let listen = async {
        let mut heard = Vec::new();
        let (mut last, mut life) = ("0".to_owned(), 1);
        while heard.len() < WRITERS * EACH {
            let mut listener = Listener::open(&site, &channel.all, uri, Some(&last)).await;
            listener.expect("ready").await;
            for _ in 0..life {
                let message = listener
                    .expect(if is_events { "event" } else { "document" })
                    .await;
                let name = if is_events {
                    &message["event"]["name"]
                } else {
                    &message["document"]["id"]
                };
                heard.push(text(name).to_owned());
                if heard.len() == WRITERS * EACH {
                    break;
                }
            }
            // Lives of different length, and what was sent but not heard is lost with each.
            life = life % 17 + 3;
            last = listener.last;
        }
        (heard, last)
    };
    let writers = futures::future::join_all((0..WRITERS).map(write));
    let (_, (heard, last)) = futures::join!(writers, listen);
    assert_eq!(
        heard.iter().collect::<BTreeSet<_>>().len(),
        WRITERS * EACH,
        "something came twice"
    );
    assert_eq!(last, (WRITERS * EACH).to_string());
}

#[tokio::test]
async fn a_subscriber_of_events_that_is_killed_and_comes_back_misses_nothing_and_sees_nothing_twice()
 {
    killed_subscriber(EVENTS, true).await;
}

#[tokio::test]
async fn a_subscriber_of_documents_that_is_killed_and_comes_back_misses_nothing_and_sees_nothing_twice()
 {
    killed_subscriber(DOCUMENTS, false).await;
}

#[tokio::test]
async fn heartbeats_carry_the_cursor_over_what_the_filter_hides() {
    let config = ApiConfig {
        heartbeat: Duration::from_millis(50),
        ..ApiConfig::default()
    };
    let site = Site::with(config).await;
    let channel = site.channel("a").await;
    let mut listener =
        Listener::open(&site, &channel.watch, &format!("{EVENTS}?names=door"), None).await;
    listener.expect("ready").await;
    for _ in 0..3 {
        event(&site, &channel, "motion", json!({})).await;
    }
    loop {
        let message = listener.hear().await.unwrap();
        assert_eq!(message["type"], "heartbeat");
        if message["cursor"] == "3" {
            assert_eq!(message["behind"], 0);
            break;
        }
    }
}

#[tokio::test]
async fn a_channel_that_leaves_the_group_leaves_the_subscription_and_a_revoked_token_ends_it() {
    let site = Site::new().await;
    let (a, b) = (site.channel("a").await, site.channel("b").await);
    let (id, group) = site.group(&[&a, &b], "watch").await;
    let mut listener = Listener::open(&site, &group, EVENTS, None).await;
    listener.expect("ready").await;
    let path = format!("/api/v3/channel_groups/{id}/");
    site.put(site.key(), &path, &json!({"channels": [b.id]}))
        .await
        .expect(200);
    // The gate is asked again within some seconds; what comes then is of the other channel only.
    tokio::time::timeout(LIMIT, async {
        loop {
            event(&site, &a, "motion", json!({})).await;
            let own = event(&site, &b, "marker", json!({})).await;
            let mut is_a_gone = true;
            loop {
                let heard = listener.expect("event").await;
                if heard["event"]["id"] == own {
                    break;
                }
                is_a_gone = false;
            }
            if is_a_gone {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(site.delete(site.key(), &path).await.status.as_u16(), 204);
    let end = listener.expect("end").await;
    assert!(end["error"]["code"].is_string(), "{end}");
    assert_eq!(listener.hear().await, None);
}

#[tokio::test]
async fn a_websocket_says_the_same() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let mut tasks = tokio::task::JoinSet::new();
    let address = site.listen(&mut tasks).await;
    event(&site, &channel, "motion", json!({})).await;
    let url = format!(
        "ws://{address}{EVENTS}?after=0&token={}",
        inner(&channel.watch)
    );
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut listener =
        Listener::open(&site, &channel.watch, &format!("{EVENTS}?after=0"), None).await;
    for round in 0..3 {
        if round == 2 {
            event(&site, &channel, "sound", json!({})).await;
        }
        let heard = tokio::time::timeout(LIMIT, socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let heard: Value = serde_json::from_str(heard.to_text().unwrap()).unwrap();
        assert_eq!(heard, listener.hear().await.unwrap());
    }
    socket.send(Message::Close(None)).await.unwrap();
    let url = format!(
        "ws://{address}{EVENTS}?after=99&token={}",
        inner(&channel.watch)
    );
    assert!(tokio_tungstenite::connect_async(url).await.is_err());
}

/// Each of them would have asked the database for each event.
#[tokio::test]
async fn a_hundred_subscribers_that_keep_up_cost_the_database_as_much_as_one() {
    const SUBSCRIBERS: usize = 100;
    const EVENTS_TOLD: usize = 20;
    let site = Site::new().await;
    let (channel, other) = (site.channel("a").await, site.channel("b").await);
    let (_, group) = site.group(&[&channel, &other], "watch").await;
    let mut listeners = Vec::new();
    for n in 0..SUBSCRIBERS {
        // Filters of their own do not make questions of their own.
        let uri = format!("{EVENTS}?names=motion,own{n}&without_tags=hidden");
        let mut listener = Listener::open(&site, &group, &uri, None).await;
        listener.expect("ready").await;
        listeners.push(listener);
    }
    // From here on all of them are at the same place, which the tail has reached.
    event(&site, &channel, "motion", json!({})).await;
    for listener in &mut listeners {
        listener.expect("event").await;
    }
    let before = site.state.catalog.searches();
    let mut told = Vec::new();
    for n in 0..EVENTS_TOLD {
        let channel = if n % 2 == 0 { &channel } else { &other };
        told.push(event(&site, channel, "motion", json!({})).await);
        event(&site, channel, "motion", json!({"hidden": ""})).await;
    }
    for listener in &mut listeners {
        for id in &told {
            assert_eq!(listener.expect("event").await["event"]["id"], *id);
        }
    }
    let searches = site.state.catalog.searches() - before;
    let most = u64::try_from(2 * EVENTS_TOLD).unwrap();
    assert!((1..=most).contains(&searches), "{searches} searches");
}

#[tokio::test]
async fn a_tag_that_changes_before_an_event_is_told_counts_and_a_deleted_event_is_not_told() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    let mut witness = Listener::open(&site, &channel.watch, EVENTS, None).await;
    let uri = format!("{EVENTS}?tags=seen");
    let mut late = Listener::open(&site, &channel.watch, &uri, None).await;
    witness.expect("ready").await;
    late.expect("ready").await;
    let first = event(&site, &channel, "motion", json!({})).await;
    let second = event(&site, &channel, "motion", json!({"seen": "no"})).await;
    // Both are in memory now.
    witness.expect("event").await;
    witness.expect("event").await;
    let tags = format!("/api/v2/storage/events/{first}/meta/");
    let tag = json!({"tag": "seen", "data": "yes"});
    site.post(&channel.all, &tags, &tag).await.expect(201);
    let path = format!("/api/v2/storage/events/{second}/");
    assert_eq!(site.delete(&channel.all, &path).await.status.as_u16(), 204);
    let third = event(&site, &channel, "motion", json!({"seen": ""})).await;
    let heard = late.expect("event").await;
    assert_eq!(
        (&heard["event"]["id"], &heard["event"]["tags"]),
        (&json!(first), &json!({"seen": "yes"}))
    );
    assert_eq!(late.expect("event").await["event"]["id"], third);
}
