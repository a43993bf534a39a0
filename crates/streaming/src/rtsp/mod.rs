//! The RTSP server (RFC 2326): live play over TCP interleaved.
//!
//! `rtsp://host:port/live/<channel>?ticket=…`. UDP is refused with 461, upon which clients fall back
//! to TCP. Limits: [`RtspConfig`] and the constants of the modules.

mod connection;
mod fanout;
mod reply;
mod sdp;
mod session;
mod transport;
mod uri;
mod wire;

use connection::Connection;
use fanout::Fanouts;
use framewell_access::Access;
use framewell_live::Registry;
use session::Service;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a failed `accept`, so that a process out of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits of the RTSP server.
#[derive(Debug, Clone)]
pub struct RtspConfig {
    /// Most connections at once (default 1,000).
    pub max_connections: usize,
    /// A connection that has set up nothing for this long is closed, and one that has but does not
    /// play when it sends no complete request for this long (default 30 s).
    pub idle: Duration,
    /// A client that does not take data for this long is disconnected (default 20 s).
    pub write_timeout: Duration,
}

impl Default for RtspConfig {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            idle: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
        }
    }
}

/// Serves `rtsp://host:port/live/<channel>?ticket=…` until `stop`; returns when all connections have
/// ended.
pub async fn serve(
    listener: TcpListener,
    config: RtspConfig,
    registry: Registry,
    access: Access,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let tasks = TaskTracker::new();
    let fanouts = Arc::new(Fanouts::new(registry, tasks.clone(), stop.clone()));
    let service = Service { access, fanouts };
    let connections = Arc::new(Semaphore::new(config.max_connections));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&connections).try_acquire_owned() {
                Ok(permit) => {
                    let connection = Connection::new(stream, peer, config.clone(), service.clone());
                    tasks.spawn(hold(connection, stop.clone(), permit));
                }
                Err(_) => turn_away(&stream, peer),
            },
            Err(error) => {
                tracing::warn!(%error, "accepting an rtsp connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn hold(connection: Connection, stop: CancellationToken, permit: OwnedSemaphorePermit) {
    let gauge = metrics::gauge!("framewell_rtsp_connections");
    gauge.increment(1.0);
    connection.run(stop).await;
    gauge.decrement(1.0);
    drop(permit);
}

/// Says so, if it can be said at once, and closes.
fn turn_away(stream: &TcpStream, peer: SocketAddr) {
    tracing::warn!(%peer, "too many rtsp connections");
    stream
        .try_write(b"RTSP/1.0 503 Too Many Connections\r\n\r\n")
        .ok();
}
