//! Webhooks of a real server process that is killed in the middle.

use crate::server::{Server, wait_for};
use crate::site::{acc, create_channel_from, create_group};
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

/// Bodies that were answered with 200; while `is_away`, everything is refused.
#[derive(Default)]
struct Receiver {
    taken: Mutex<Vec<Value>>,
    refused: Mutex<usize>,
    is_away: Mutex<bool>,
}

impl Receiver {
    fn names(&self) -> Vec<String> {
        let taken = self.taken.lock().expect("not poisoned");
        let messages = taken
            .iter()
            .flat_map(|body| body["messages"].as_array().cloned().unwrap_or_default());
        let name = |message: Value| message["event"]["name"].as_str().map(str::to_owned);
        messages.filter_map(name).collect()
    }

    fn refused(&self) -> usize {
        *self.refused.lock().expect("not poisoned")
    }
}

async fn receive(State(receiver): State<Arc<Receiver>>, body: String) -> StatusCode {
    if *receiver.is_away.lock().expect("not poisoned") {
        *receiver.refused.lock().expect("not poisoned") += 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let body = serde_json::from_str(&body).expect("JSON");
    receiver.taken.lock().expect("not poisoned").push(body);
    StatusCode::OK
}

async fn listen(receiver: &Arc<Receiver>, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound");
    let address = listener.local_addr().expect("an address");
    let router = axum::Router::new()
        .fallback(receive)
        .with_state(Arc::clone(receiver));
    tasks.spawn(async move { axum::serve(listener, router).await.expect("served") });
    address
}

const SETTINGS: [(&str, &str); 3] = [
    ("FRAMEWELL_OUTBOUND__ALLOW", "[\"127.0.0.1\"]"),
    ("FRAMEWELL_WEBHOOKS__FIRST_PAUSE_S", "0.1"),
    ("FRAMEWELL_WEBHOOKS__LONGEST_PAUSE_S", "0.5"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_told_everything_though_the_server_is_killed_and_the_receiver_was_away() {
    let receiver = Arc::new(Receiver::default());
    let mut tasks = JoinSet::new();
    let address = listen(&receiver, &mut tasks).await;
    let mut server = Server::start_with_environment(&SETTINGS).await;
    let channel = create_channel_from(&server, "gate", &json!({"url": ""})).await;
    let group = create_group(&server, &[&channel]).await;
    let url = format!("http://{address}/hook?key=only-the-receiver-knows");
    let hook = json!({"url": url, "secret": "this is a secret", "events": true});
    let hook = server
        .api(&format!("SI {group}"))
        .post("/v1/webhooks", &hook)
        .await
        .expect(201);
    let event = async |server: &Server, name: &str| {
        let body = json!({"name": name, "time": "2024-05-01T10:00:00"});
        let created = acc(server, &channel)
            .post("/api/v2/storage/events/", &body)
            .await;
        created.expect(201);
    };
    event(&server, "one").await;
    wait_for("the first delivery", 20, async || {
        (receiver.names() == ["one"]).then_some(())
    })
    .await;
    *receiver.is_away.lock().expect("not poisoned") = true;
    event(&server, "two").await;
    wait_for("a refusal", 20, async || {
        (receiver.refused() > 0).then_some(())
    })
    .await;
    event(&server, "three").await;
    server.kill_9();
    *receiver.is_away.lock().expect("not poisoned") = false;
    server.restart().await;
    event(&server, "four").await;
    // A lease of 15 s may have to run out.
    wait_for("the rest", 40, async || {
        (receiver.names() == ["one", "two", "three", "four"]).then_some(())
    })
    .await;
    let path = format!("/v1/webhooks/{}", hook["id"]);
    let shown = wait_for("a state that says so", 10, async || {
        let shown = server
            .api(&format!("SI {group}"))
            .get(&path)
            .await
            .expect(200);
        (shown["behind"] == 0).then_some(shown)
    })
    .await;
    assert_eq!(shown["state"], "ok");
    let log = server.log();
    for secret in ["only-the-receiver-knows", "this is a secret"] {
        assert!(!log.contains(secret), "{secret:?} is in the log");
    }
}
