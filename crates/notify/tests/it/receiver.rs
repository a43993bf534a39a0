//! The other side of a webhook: keeps what it is sent, and answers as it is told.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, watch};
use tokio::task::JoinSet;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// What was answered.
    pub(crate) status: u16,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Names of its events, or ids of its documents.
    pub(crate) fn names(&self) -> Vec<String> {
        let body = self.json();
        let messages = body["messages"].as_array().unwrap();
        let name = |message: &Value| match message["type"].as_str().unwrap() {
            "event" => message["event"]["name"].as_str().unwrap().to_owned(),
            _ => message["document"]["id"].as_str().unwrap().to_owned(),
        };
        messages.iter().map(name).collect()
    }
}

/// What to answer: status and headers.
pub(crate) type Answer = (u16, Vec<(&'static str, String)>);

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// Answers that come next; then `otherwise`.
    script: Mutex<VecDeque<Answer>>,
    otherwise: Mutex<u16>,
    count: watch::Sender<usize>,
    /// Taken while nothing is answered.
    gate: Arc<RwLock<()>>,
}

/// A listening receiver.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

impl Receiver {
    /// Takes everything.
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        *shared.otherwise.lock().unwrap() = 200;
        let router = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            shared,
            _server: server,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?key=hidden", self.address)
    }

    /// From now on, once `script` is used up.
    pub(crate) fn answer(&self, status: u16) {
        *self.shared.otherwise.lock().unwrap() = status;
    }

    /// Answers nothing until this is dropped.
    pub(crate) async fn hold(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.shared.gate).write_owned().await
    }

    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.script.lock().unwrap().extend(answers);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Names of everything that was taken.
    pub(crate) fn taken(&self) -> Vec<String> {
        let received = self.received();
        let taken = received.iter().filter(|one| one.status == 200);
        taken.flat_map(Received::names).collect()
    }

    /// Waits for a condition on what was received.
    pub(crate) async fn wait(&self, what: &str, is_met: impl Fn(&Self) -> bool) {
        let mut count = self.shared.count.subscribe();
        let waiting = async {
            while !is_met(self) {
                count.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(waited.is_ok(), "{what}: {:?}", self.received());
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let next = shared.script.lock().unwrap().pop_front();
    let otherwise = *shared.otherwise.lock().unwrap();
    let (status, more) = next.unwrap_or((otherwise, Vec::new()));
    shared.received.lock().unwrap().push(Received {
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
        status,
    });
    shared.count.send_modify(|count| *count += 1);
    drop(shared.gate.read().await);
    let mut answer = (
        StatusCode::from_u16(status).unwrap(),
        "secret of the receiver",
    )
        .into_response();
    for (name, value) in more {
        let name = header::HeaderName::from_static(name);
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}
