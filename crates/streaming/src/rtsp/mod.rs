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

use crate::accept::{Door, STRANGER_SHARE_PERCENT};
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
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use udp::Udp;

/// Limits of the RTSP server.
#[derive(Debug, Clone)]
pub struct RtspConfig {
    /// Most connections at once (default 1,000).
    pub max_connections: usize,
    /// How many of them those of one address (IPv6: of one network of 64 bits) may take whose clients have
    /// not shown a ticket or token yet, in percent (default 25). 100: all.
    pub stranger_share_percent: u8,
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
            stranger_share_percent: STRANGER_SHARE_PERCENT,
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
    let door = Door {
        protocol: "rtsp",
        gauge: metrics::gauge!("framewell_rtsp_connections"),
        places: config.max_connections,
        stranger_share_percent: config.stranger_share_percent,
        refusal: b"RTSP/1.0 503 Too Many Connections\r\n\r\n",
    };
    let keeping = door.keep(listener, stop.clone(), |stream, peer, place| {
        let client = (stream, peer, place);
        let connection = Connection::new(client, config.clone(), service.clone());
        tasks.spawn(connection.run(stop.clone()));
    });
    keeping.await;
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
