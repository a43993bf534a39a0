//! The RTMP server (RTMP 1.0; Enhanced RTMP v2 for H.265): live play and publish.
//!
//! `rtmp://host:port/app/<channel>_main?ticket=…` plays, `rtmp://host:port/publish/<channel>?ticket=…`
//! publishes; a token does for a ticket. Handshake, chunks, AMF0, commands, and the bodies of pictures and
//! sound are in [`framewell_wire::rtmp`]. Limits: [`RtmpConfig`] and the constants of the modules.

mod connection;
mod inlet;
mod pack;

use crate::accept::{Door, STRANGER_SHARE_PERCENT};
use crate::fanout::Fanouts;
use connection::Connection;
use framewell_access::Access;
use framewell_access::sessions::Sessions;
use framewell_ingest::publish::Publishers;
use framewell_live::Registry;
use framewell_wire::rtmp::{amf0, chunk, conversation, flv, handshake, target};
use pack::Packed;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Limits of the RTMP server.
#[derive(Debug, Clone)]
pub struct RtmpConfig {
    /// Most connections at once (default 1,000); more are closed at once.
    pub max_connections: usize,
    /// How many of them those of one address (IPv6: of one network of 64 bits) may take whose clients have
    /// not shown a ticket or token yet, in percent (default 25). 100: all.
    pub stranger_share_percent: u8,
    /// A client that has not begun to play or publish within this time is disconnected (default 10 s).
    pub idle: Duration,
    /// A player that does not take data for this long is disconnected (default 20 s).
    pub write_timeout: Duration,
    /// A player is told that the stream ended when nothing came from the channel for this long (default
    /// 30 s).
    pub silence: Duration,
}

impl Default for RtmpConfig {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            stranger_share_percent: STRANGER_SHARE_PERCENT,
            idle: Duration::from_secs(10),
            write_timeout: Duration::from_secs(20),
            silence: Duration::from_secs(30),
        }
    }
}

/// What RTMP clients use.
#[derive(Debug, Clone)]
pub struct RtmpService {
    /// Checks tickets and tokens.
    pub access: Access,
    /// Who plays and publishes.
    pub sessions: Sessions,
    /// What is played.
    pub registry: Registry,
    /// Where publishers go.
    pub publishers: Publishers,
}

/// What all connections share.
#[derive(Debug, Clone)]
struct Shared {
    service: RtmpService,
    fanouts: Arc<Fanouts<Packed>>,
    config: Arc<RtmpConfig>,
}

/// Serves RTMP until `stop`; returns when all connections have ended.
pub async fn serve(
    listener: TcpListener,
    config: RtmpConfig,
    service: RtmpService,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let tasks = TaskTracker::new();
    let registry = service.registry.clone();
    let door = Door {
        protocol: "rtmp",
        gauge: metrics::gauge!("framewell_rtmp_connections"),
        places: config.max_connections,
        stranger_share_percent: config.stranger_share_percent,
        // The handshake has no word for it.
        refusal: b"",
    };
    let shared = Shared {
        service,
        fanouts: Arc::new(Fanouts::new(registry, tasks.clone(), stop.clone())),
        config: Arc::new(config),
    };
    let keeping = door.keep(listener, stop.clone(), |stream, peer, place| {
        let connection = Connection::new((stream, peer, place), shared.clone());
        tasks.spawn(connection.run(stop.clone()));
    });
    keeping.await;
    tasks.close();
    tasks.wait().await;
    Ok(())
}
