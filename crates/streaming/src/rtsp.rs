//! The RTSP server.

use framewell_access::Access;
use framewell_live::Registry;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Limits of the RTSP server.
#[derive(Debug, Clone)]
pub struct RtspConfig {
    /// Most connections at once (default 1,000).
    pub max_connections: usize,
    /// A connection that sends no complete request for this long and does not play is closed (default 30 s).
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

/// Serves `rtsp://host:port/live/<channel>?ticket=…` until `stop`.
pub async fn serve(
    listener: TcpListener,
    config: RtspConfig,
    registry: Registry,
    access: Access,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let _ = (listener, config, registry, access, stop);
    todo!()
}
