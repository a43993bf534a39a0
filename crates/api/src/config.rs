//! Settings of the HTTP faces.

use std::time::Duration;

/// Where clients reach the server, if that is not what their `Host` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicEndpoint {
    /// Host name or address without scheme and port.
    pub host: String,
    /// Plain HTTP port, if one is public.
    pub http_port: Option<u16>,
    /// HTTPS port, if a proxy in front speaks TLS.
    pub https_port: Option<u16>,
}

/// Settings of the HTTP faces.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Fixed public address. `None` derives it from each request: `X-Forwarded-Host` and
    /// `X-Forwarded-Proto`, else the `Host` header.
    pub public: Option<PublicEndpoint>,
    /// Port of the RTSP server, as clients see it.
    pub rtsp_port: u16,
    /// Port named in `rtmp` URLs; no RTMP server listens there yet.
    pub rtmp_port: u16,
    /// Longest request body in bytes (default 1 MiB); beyond it 413.
    pub body_limit: usize,
    /// Longest body of metadata writes and searches in bytes (default 16 MiB).
    pub meta_body_limit: usize,
    /// A body that takes longer than this to arrive is refused (default 30 s).
    pub body_timeout: Duration,
    /// How long media URLs work (default 1 h).
    pub ticket_lifetime: Duration,
    /// Version of the server, shown in `/healthz` and the OpenAPI document.
    pub version: String,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            public: None,
            rtsp_port: 8554,
            rtmp_port: 1935,
            body_limit: 1 << 20,
            meta_body_limit: 16 << 20,
            body_timeout: Duration::from_secs(30),
            ticket_lifetime: Duration::from_secs(3600),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
