//! Which camera URLs we are willing to open.

use crate::SessionError;
use framewell_model::{CameraSource, ErrorKind, HasKind, OutboundPolicy};
use percent_encoding::percent_decode_str;
use retina::client::Credentials;
use std::net::SocketAddr;
use url::Url;

/// Where cameras listen unless the URL says otherwise.
const RTSP_PORT: u16 = 554;

/// A source that cannot be pulled, whatever the camera does. The messages quote no part of the URL:
/// it may hold credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No URL at all.
    #[error("the camera URL cannot be parsed")]
    NotAUrl,
    /// A scheme that we do not pull from.
    #[error("the camera URL must start with rtsp://, not {0}://")]
    Scheme(String),
    /// Nothing to connect to.
    #[error("the camera URL names no host")]
    NoHost,
    /// The configuration says that no camera is there.
    #[error("the outbound policy of this server forbids the camera's address")]
    Forbidden,
}

impl HasKind for SourceError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

/// Only `rtsp://` with a host. Everything that a user may type is checked here before a connection is made;
/// the address, when it is.
pub fn check_source(source: &CameraSource) -> Result<(), SourceError> {
    Target::of(source).map(|_| ())
}

/// Where to connect, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Without credentials.
    pub(crate) url: Url,
    pub(crate) credentials: Option<Credentials>,
}

impl Target {
    /// Credentials inside the URL are split off, percent-decoding undone; those of the source itself
    /// win.
    pub(crate) fn of(source: &CameraSource) -> Result<Self, SourceError> {
        let mut url = Url::parse(source.url.trim()).map_err(|_| SourceError::NotAUrl)?;
        if url.scheme() != "rtsp" {
            return Err(SourceError::Scheme(url.scheme().to_owned()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(SourceError::NoHost);
        }
        let inside = (!url.username().is_empty()).then(|| Credentials {
            username: decoded(url.username()),
            password: decoded(url.password().unwrap_or("")),
        });
        let stored = (!source.login.is_empty()).then(|| Credentials {
            username: source.login.clone(),
            password: source.password.expose().clone(),
        });
        // A URL with a host can carry a user name, so removing it cannot fail.
        let _checked = url.set_username("").and(url.set_password(None));
        Ok(Self {
            url,
            credentials: stored.or(inside),
        })
    }

    /// The URL to connect to. If there are networks where no camera may be, it has an address that was
    /// checked in place of the name, so that the name cannot mean another one a moment later.
    pub(crate) async fn reachable(&self, policy: &OutboundPolicy) -> Result<Url, SessionError> {
        let mut url = self.url.clone();
        if policy.deny.is_empty() {
            return Ok(url);
        }
        let port = url.port().unwrap_or(RTSP_PORT);
        let host = url.host_str().ok_or(SourceError::NoHost)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let mut found =
            tokio::net::lookup_host((host, port))
                .await
                .map_err(|_| SessionError::Open {
                    reason: "the name of the camera is not known".to_owned(),
                })?;
        let is_open = |address: &SocketAddr| policy.check_camera(address.ip()).is_ok();
        let address = found.find(is_open).ok_or(SourceError::Forbidden)?;
        // A URL with a host takes another one.
        let _checked = url.set_ip_host(address.ip());
        Ok(url)
    }
}

/// Percent-decoding (RFC 3986 section 2.1); what is no escape stays as it is.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::{RtspTransport, Secret};

    fn source(url: &str, login: &str) -> CameraSource {
        CameraSource {
            url: url.to_owned(),
            login: login.to_owned(),
            password: Secret::new("stored".to_owned()),
            transport: RtspTransport::Tcp,
        }
    }

    #[test]
    fn only_rtsp_urls_with_a_host_are_accepted() {
        let check = |url: &str| check_source(&source(url, ""));
        assert_eq!(check("rtsp://10.0.0.7:554/live?ch=1"), Ok(()));
        assert_eq!(check("camera"), Err(SourceError::NotAUrl));
        for scheme in ["http", "file", "rtsps", "ftp"] {
            let expected = Err(SourceError::Scheme(scheme.to_owned()));
            assert_eq!(check(&format!("{scheme}://host/x")), expected);
        }
        assert_eq!(check("rtsp:///x"), Err(SourceError::NoHost));
    }

    #[test]
    fn credentials_inside_the_url_are_split_off_and_decoded() {
        let target = Target::of(&source("rtsp://ad%6din:p%40ss@host/x", "")).unwrap();
        assert_eq!(target.url.as_str(), "rtsp://host/x");
        let credentials = target.credentials.unwrap();
        assert_eq!(credentials.username, "admin");
        assert_eq!(credentials.password, "p@ss");
    }

    #[test]
    fn stored_credentials_win_over_those_in_the_url() {
        let target = Target::of(&source("rtsp://a:b@host/x", "admin")).unwrap();
        assert_eq!(target.url.as_str(), "rtsp://host/x");
        let credentials = target.credentials.unwrap();
        assert_eq!(credentials.username, "admin");
        assert_eq!(credentials.password, "stored");
    }

    #[tokio::test]
    async fn no_camera_is_looked_for_in_a_denied_network() {
        let policy = OutboundPolicy {
            allow: Vec::new(),
            deny: vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
        };
        for url in [
            "rtsp://127.0.0.1/x",
            "rtsp://localhost:8554/x",
            "rtsp://2130706433/x",
            "rtsp://[::ffff:127.0.0.1]/x",
            "rtsp://0.0.0.0/x",
            "rtsp://[::]/x",
            "rtsp://[64:ff9b::7f00:1]/x",
        ] {
            let target = Target::of(&source(url, "")).unwrap();
            let refused = target.reachable(&policy).await;
            assert!(
                matches!(refused, Err(SessionError::Source(SourceError::Forbidden))),
                "{url}: {refused:?}"
            );
            let open = target.reachable(&OutboundPolicy::default()).await;
            assert_eq!(open.unwrap(), target.url);
        }
        let target = Target::of(&source("rtsp://10.0.0.7/live", "")).unwrap();
        let open = target.reachable(&policy).await.unwrap();
        assert_eq!(open.as_str(), "rtsp://10.0.0.7/live");
    }

    #[test]
    fn an_error_does_not_quote_the_url() {
        let error = Target::of(&source("http://admin:hunter2@host", "")).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
