//! The RTMP server: its configuration, and its start.

use anyhow::Context;
use framewell_streaming::rtmp::{RtmpConfig, RtmpService, serve};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// RTMP server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rtmp {
    /// Address and port; port 0 takes a free one. Empty: off.
    pub(crate) listen: String,
    /// Port that clients use; 0: the listening port.
    pub(crate) public_port: u16,
    /// Most connections at once, players and publishers together.
    pub(crate) max_connections: usize,
    /// How many of them those of one address (IPv6: of one network of 64 bits) may take whose clients have not
    /// shown a ticket or token yet, in percent. 100: all.
    pub(crate) stranger_share_percent: u8,
}

impl Default for Rtmp {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:1935".into(),
            public_port: 0,
            max_connections: 1_000,
            stranger_share_percent: 25,
        }
    }
}

/// Where RTMP clients come in; `None` if it is off.
pub(crate) struct RtmpListener {
    socket: Option<TcpListener>,
    address: Option<SocketAddr>,
}

impl RtmpListener {
    pub(crate) async fn bind(config: &Rtmp) -> anyhow::Result<Self> {
        let listen = config.listen.as_str();
        if listen.is_empty() {
            return Ok(Self {
                socket: None,
                address: None,
            });
        }
        let socket = TcpListener::bind(listen).await;
        let socket = socket.with_context(|| {
            format!("the RTMP server cannot listen on {listen}: set rtmp.listen, or empty for none")
        })?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket: Some(socket),
            address: Some(address),
        })
    }

    /// The bound address.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The port in URLs.
    pub(crate) fn public_port(&self, config: &Rtmp) -> Option<u16> {
        let own = self.address.map(|address| address.port());
        Some(config.public_port).filter(|port| *port != 0).or(own)
    }

    /// Serves until `stop`.
    pub(crate) async fn serve(self, config: Rtmp, service: RtmpService, stop: CancellationToken) {
        let Some(socket) = self.socket else {
            return;
        };
        let config = RtmpConfig {
            max_connections: config.max_connections,
            stranger_share_percent: config.stranger_share_percent,
            ..RtmpConfig::default()
        };
        if let Err(error) = serve(socket, config, service, stop).await {
            tracing::error!(%error, "the RTMP server failed");
        }
    }
}
