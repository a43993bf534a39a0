//! The RTSP server (RFC 2326): live and recorded play, over the connection or over UDP, and publishing
//! over the connection (`record`).
//!
//! `rtsp://host:port/live/<channel>?ticket=…`, `rtsp://host:port/rec/<channel>?start=…&ticket=…` and
//! `rtsp://host:port/publish/<channel>?ticket=…`.
//! Live packets are shared by all readers of a channel (`fanout`), recordings are read for each
//! (`player`). Limits: [`RtspConfig`] and the constants of the modules.

mod connection;
mod player;
mod record;
mod reply;
mod sdp;
mod session;
mod udp;

use crate::fanout::Fanouts;
use connection::Connection;
use framewell_access::Access;
use framewell_access::sessions::Sessions;
use framewell_ingest::publish::Publishers;
use framewell_live::Registry;
use framewell_playback::Playback;
use framewell_wire::rtsp::{digest, range, transport, uri, wire};
use record::RecordService;
use session::Service;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use udp::Udp;

/// Pause after a failed `accept`, so that a process out of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits of the RTSP server.
#[derive(Debug, Clone)]
pub struct RtspConfig {
    /// Most connections at once (default 1,000).
    pub max_connections: usize,
    /// A connection that has set up nothing for this long is closed (default 30 s).
    pub idle: Duration,
    /// A client that does not take data for this long is disconnected (default 20 s).
    pub write_timeout: Duration,
    /// A client with a session that does not play, or plays over UDP, and shows for this long by nothing
    /// that it is there is taken to be gone (default 60 s). What plays over TCP is shown by the connection.
    pub session_timeout: Duration,
    /// UDP port of RTP, even; RTCP has the next one. 0 takes any free pair (default).
    pub udp_port: u16,
}

/// What streams come from, and who may have them.
#[derive(Debug, Clone)]
pub struct RtspSources {
    /// Live channels.
    pub registry: Registry,
    /// Recordings.
    pub playback: Playback,
    /// Where publishers go.
    pub publishers: Publishers,
    /// The gate.
    pub access: Access,
    /// Where sessions are listed and limited.
    pub sessions: Sessions,
}

impl Default for RtspConfig {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            idle: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            session_timeout: Duration::from_secs(60),
            udp_port: 0,
        }
    }
}

/// Serves live channels and recordings until `stop`; returns when all connections have ended.
pub async fn serve(
    listener: TcpListener,
    config: RtspConfig,
    sources: RtspSources,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let tasks = TaskTracker::new();
    let fanouts = Fanouts::new(sources.registry, tasks.clone(), stop.clone());
    let udp = open_udp(&listener, config.udp_port).await;
    if let Some(udp) = &udp {
        let (udp, stop) = (Arc::clone(udp), stop.clone());
        tasks.spawn(async move { udp.listen(stop).await });
    }
    let record = RecordService {
        access: sources.access.clone(),
        sessions: sources.sessions.clone(),
        publishers: sources.publishers,
    };
    let service = Service {
        access: sources.access,
        record,
        fanouts: Arc::new(fanouts),
        playback: sources.playback,
        sessions: sources.sessions,
        session_timeout: config.session_timeout,
        udp,
    };
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

/// UDP beside the listener; without it clients are refused UDP with 461, and fall back to TCP.
async fn open_udp(listener: &TcpListener, port: u16) -> Option<Arc<Udp>> {
    let ip = listener.local_addr().ok()?.ip();
    match Udp::bind(ip, port).await {
        Ok(udp) => Some(Arc::new(udp)),
        Err(error) => {
            tracing::warn!(%error, port, "rtsp is served over tcp only: no pair of udp ports");
            None
        }
    }
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
    crate::count_turned_away("rtsp", peer);
    stream
        .try_write(b"RTSP/1.0 503 Too Many Connections\r\n\r\n")
        .ok();
}
