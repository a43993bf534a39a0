//! The HTTP listener: connections with limits, around the router.

use crate::impatient::Impatient;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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
/// Pause after a failed accept (out of file descriptors): they do not come back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stop`, then lets requests in progress end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(max_connections));
    let mut connections = JoinSet::new();
    loop {
        // When all places are taken, new connections wait in the kernel's backlog.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.expect("it is never closed"),
            () = stop.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let client = Client {
                    stream,
                    peer,
                    place,
                };
                connections.spawn(connection(client, PATIENCE, &router, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting an HTTP connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
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
    place: OwnedSemaphorePermit,
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
    let stream = Impatient::new(stream, patience.write, place);
    let service = TowerToHyperService::new(router.clone());
    let serving = builder
        .serve_connection(TokioIo::new(stream), service)
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

    /// Serves a client that sends these bytes and then neither writes nor reads; whether the server
    /// gave it up.
    async fn gives_up_on(bytes: &[u8], patience: Patience) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).await.expect("connected");
        let (stream, peer) = listener.accept().await.expect("accepted");
        let big = || async { "x".repeat(64 << 20) };
        let router = Router::new().route("/big", get(big));
        let places = Arc::new(Semaphore::new(1));
        let served = Client {
            stream,
            peer,
            place: places.acquire_owned().await.expect("free"),
        };
        let serving = connection(served, patience, &router, CancellationToken::new());
        client.write_all(bytes).await.expect("sent");
        let limit = Duration::from_secs(20);
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
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let upgrade = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(listen);
        let router = Router::new()
            .route("/socket", get(upgrade))
            .route("/", get(async || "hello"));
        let stop = CancellationToken::new();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, router, 1, stop.clone()));
        let url = format!("ws://{address}/socket");
        let upgraded = tokio_tungstenite::connect_async(url).await;
        let (mut socket, _) = upgraded.expect("upgraded");
        // The kernel takes the next client in; the server does not.
        let mut next = TcpStream::connect(address).await.expect("connected");
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        next.write_all(request).await.expect("sent");
        let early = tokio::time::timeout(SHORT, next.readable()).await;
        assert!(early.is_err(), "answered beside a socket that is open");
        socket.close(None).await.expect("closed");
        drop(socket);
        let mut answer = String::new();
        let reading = next.read_to_string(&mut answer);
        let limit = Duration::from_secs(20);
        let read = tokio::time::timeout(limit, reading).await;
        read.expect("in time").expect("read");
        assert!(answer.ends_with("hello"), "{answer}");
        stop.cancel();
        server.join_next().await.expect("one").expect("no panic");
    }
}
