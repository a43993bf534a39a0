//! The HTTP listener: connections with limits, around the router.

use crate::impatient::Impatient;
use axum::Router;
use axum::http::Request;
use framewell_api::Visitor;
use framewell_streaming::accept::{Door, Place};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long clients may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// To send a request head (slow-loris).
    header: Duration,
    /// To take some bytes of an answer: whoever connects could otherwise hold a connection for ever.
    /// Players that paused ask again by range.
    write: Duration,
}

const PATIENCE: Patience = Patience {
    header: Duration::from_secs(15),
    write: Duration::from_secs(60),
};
/// Requests in progress have this long to end when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// Said at once to who finds no place (RFC 9110 section 15.6.4); there is no request to wait for. A client that is
/// still writing may see a reset instead.
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub(crate) most: usize,
    /// Of them, for clients of one address that have shown no good credential yet.
    pub(crate) stranger_share_percent: u8,
}

/// Serves `router` until `stop`, then lets requests in progress end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    places: Places,
    stop: CancellationToken,
) {
    let door = Door {
        protocol: "http",
        gauge: metrics::gauge!("framewell_http_connections"),
        places: places.most,
        stranger_share_percent: places.stranger_share_percent,
        refusal: NO_PLACE,
    };
    let mut connections = JoinSet::new();
    let enter = |stream, peer, place| {
        while connections.try_join_next().is_some() {}
        let client = Client {
            stream,
            peer,
            place,
        };
        connections.spawn(connection(client, PATIENCE, &router, stop.clone()));
    };
    door.keep(listener, stop.clone(), enter).await;
    let ending = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ending).await.is_err() {
        tracing::info!(
            left = connections.len(),
            "closing HTTP connections that are still busy"
        );
    }
    connections.shutdown().await;
}

/// Somebody who has connected.
struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    /// Among the connections.
    place: Place,
}

fn connection(
    client: Client,
    patience: Patience,
    router: &Router,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let Client {
        stream,
        peer,
        place,
    } = client;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    // HTTP/1 only: telling the versions apart would wait for the first bytes without a time-out, and
    // no client of a plain port speaks HTTP/2.
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(patience.header);
    let introduction = place.introduction();
    let visitor = Visitor::new(peer, move || introduction.make());
    let stream = Impatient::new(stream, patience.write, place);
    let service = router.clone().map_request(move |mut request: Request<_>| {
        request.extensions_mut().insert(visitor.clone());
        request
    });
    let serving = builder
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    async move {
        let mut serving = pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = stop.cancelled() => {
                // What is in progress is answered; then the connection ends.
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "HTTP connection ended with an error");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::ws::{WebSocket, WebSocketUpgrade};
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const ALL: u8 = 100;

    /// A server with so many places, and its address.
    async fn server(
        router: Router,
        most: usize,
        stranger_share_percent: u8,
    ) -> (JoinSet<()>, SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let places = Places {
            most,
            stranger_share_percent,
        };
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, router, places, stop.clone()));
        (serving, address, stop)
    }

    /// Asks once on a connection of its own; all that is answered.
    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        // Who finds no place may be cut off while it writes.
        stream.write_all(request).await.ok();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok();
        answer
    }

    /// Serves a client that sends these bytes and then neither writes nor reads; whether the server
    /// gave it up.
    async fn gives_up_on(bytes: &[u8], patience: Patience) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).await.expect("connected");
        let big = || async { "x".repeat(64 << 20) };
        let router = Router::new().route("/big", get(big));
        let door = Door {
            protocol: "test",
            gauge: metrics::Gauge::noop(),
            places: 1,
            stranger_share_percent: ALL,
            refusal: b"",
        };
        let stop = CancellationToken::new();
        let mut serving = None;
        let enter = |stream, peer, place| {
            let served = Client {
                stream,
                peer,
                place,
            };
            serving = Some(connection(served, patience, &router, stop.clone()));
            stop.cancel();
        };
        door.keep(listener, stop.clone(), enter).await;
        client.write_all(bytes).await.expect("sent");
        let limit = Duration::from_secs(20);
        let serving = serving.expect("accepted");
        tokio::time::timeout(limit, serving).await.is_ok()
    }

    const SHORT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_client_that_sends_no_whole_request_is_disconnected() {
        let patience = Patience {
            header: SHORT,
            write: LONG,
        };
        for bytes in [
            &b""[..],
            b"P",
            b"PRI * HTTP/2.0\r\n",
            b"GET / HTTP/1.1\r\nHo",
            b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhl",
        ] {
            assert!(gives_up_on(bytes, patience).await, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_no_answer_is_disconnected() {
        let patience = Patience {
            header: LONG,
            write: SHORT,
        };
        assert!(gives_up_on(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", patience).await);
    }

    /// Listens until the client goes.
    async fn listen(mut socket: WebSocket) {
        while let Some(Ok(_)) = socket.recv().await {}
    }

    #[tokio::test]
    async fn a_websocket_holds_its_place_until_it_ends() {
        let upgrade = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(listen);
        let router = Router::new()
            .route("/socket", get(upgrade))
            .route("/", get(async || "hello"));
        let (mut serving, address, stop) = server(router, 1, ALL).await;
        let url = format!("ws://{address}/socket");
        let upgraded = tokio_tungstenite::connect_async(url).await;
        let (mut socket, _) = upgraded.expect("upgraded");
        assert!(!ask(address).await.ends_with("hello"));
        socket.close(None).await.expect("closed");
        drop(socket);
        let limit = Duration::from_secs(20);
        let answered = async { while !ask(address).await.ends_with("hello") {} };
        tokio::time::timeout(limit, answered)
            .await
            .expect("a place");
        stop.cancel();
        serving.join_next().await.expect("one").expect("no panic");
    }

    #[tokio::test]
    async fn strangers_of_one_address_leave_room_and_who_shows_a_credential_is_none() {
        let known = async |axum::Extension(visitor): axum::Extension<Visitor>| {
            visitor.introduce();
            "welcome"
        };
        let router = Router::new()
            .route("/known", get(known))
            .route("/", get(async || "hello"));
        // One of four.
        let (_serving, address, _stop) = server(router, 4, 25).await;
        let mut stranger = TcpStream::connect(address).await.expect("connected");
        assert!(!ask(address).await.ends_with("hello"));
        let request = b"GET /known HTTP/1.1\r\nHost: a\r\n\r\n";
        stranger.write_all(request).await.expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"welcome") {
            stranger.read_buf(&mut answer).await.expect("read");
        }
        assert!(ask(address).await.ends_with("hello"));
    }
}
