//! The `source` of a channel: a camera URL whose credentials are kept apart from it.

use crate::error::ApiError;
use crate::vxg::input;
use framewell_model::{CameraSource, RtspTransport, Secret};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use url::Url;

/// Longest camera URL in bytes.
const MAX_URL_BYTES: usize = 2_048;

/// Changes to a source; `None` leaves a member as it is.
#[derive(Debug, Default)]
pub(crate) struct SourceChange {
    url: Option<String>,
    login: Option<String>,
    password: Option<Secret<String>>,
    transport: Option<RtspTransport>,
}

impl SourceChange {
    /// Reads `url`, `login`, `password` and `transport` from an object.
    pub(crate) fn read(object: &Map<String, Value>) -> Result<Self, ApiError> {
        let text = |name| Ok::<_, ApiError>(input::text(object, name)?.map(str::to_owned));
        let transport = match input::text(object, "transport")? {
            None => None,
            Some("tcp") => Some(RtspTransport::Tcp),
            Some("udp") => Some(RtspTransport::Udp),
            Some(_) => return Err(ApiError::invalid("transport is neither tcp nor udp")),
        };
        Ok(Self {
            url: text("url")?,
            login: text("login")?,
            password: text("password")?.map(Secret::new),
            transport,
        })
    }

    /// Whether it changes anything.
    pub(crate) const fn is_empty(&self) -> bool {
        self.url.is_none()
            && self.login.is_none()
            && self.password.is_none()
            && self.transport.is_none()
    }

    /// The source after the change. An empty URL removes it.
    ///
    /// Stored credentials survive a new path on the same camera, but never go to another host:
    /// whoever may change the URL could otherwise have the password sent to a machine of their own.
    pub(crate) fn apply(
        self,
        stored: Option<&CameraSource>,
    ) -> Result<Option<CameraSource>, ApiError> {
        let url = match (self.url, stored) {
            (Some(url), _) => url,
            (None, Some(stored)) => stored.url.clone(),
            (None, None) => return Err(ApiError::invalid("source.url is missing")),
        };
        if url.trim().is_empty() {
            return Ok(None);
        }
        let camera = CameraUrl::parse(url.trim())?;
        let kept = stored.filter(|stored| camera.is_same_host(&stored.url));
        let login = explicit(self.login)
            .or(camera.login)
            .or_else(|| Some(kept?.login.clone()));
        let password = self
            .password
            .filter(|password| !password.expose().is_empty())
            .or(camera.password)
            .or_else(|| Some(kept?.password.clone()));
        Ok(Some(CameraSource {
            url: camera.url,
            login: login.unwrap_or_default(),
            password: password.unwrap_or_else(|| Secret::new(String::new())),
            transport: self
                .transport
                .or(stored.map(|stored| stored.transport))
                .unwrap_or_default(),
        }))
    }
}

impl SourceChange {
    /// The source of a sub stream after the change. One that has none takes from that of its main stream the
    /// transport and, on the same host, the credentials.
    pub(crate) fn apply_to_sub_stream(
        self,
        own: Option<&CameraSource>,
        main: Option<&CameraSource>,
    ) -> Result<Option<CameraSource>, ApiError> {
        if self.url.is_none() && own.is_none() {
            return Err(ApiError::invalid("url is missing"));
        }
        self.apply(own.or(main))
    }
}

fn explicit(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// A camera URL taken apart.
struct CameraUrl {
    /// Without credentials.
    url: String,
    login: Option<String>,
    password: Option<Secret<String>>,
    host: String,
    port: u16,
}

impl CameraUrl {
    fn parse(text: &str) -> Result<Self, ApiError> {
        // The text itself is not repeated in errors: it may hold a password.
        if text.len() > MAX_URL_BYTES {
            return Err(ApiError::invalid(format!(
                "source.url is longer than {MAX_URL_BYTES} bytes"
            )));
        }
        let invalid = || ApiError::invalid("source.url is not an rtsp:// URL with a host");
        let mut url = Url::parse(text).map_err(|_| invalid())?;
        if url.scheme() != "rtsp" || url.host_str().is_none_or(str::is_empty) {
            return Err(invalid());
        }
        let login = Some(percent_decode(url.username())).filter(|login| !login.is_empty());
        let password = url.password().map(|p| Secret::new(percent_decode(p)));
        url.set_username("").map_err(|()| invalid())?;
        url.set_password(None).map_err(|()| invalid())?;
        url.set_fragment(None);
        Ok(Self {
            login,
            password,
            host: url.host_str().unwrap_or_default().to_ascii_lowercase(),
            port: url.port().unwrap_or(554),
            url: url.into(),
        })
    }

    fn is_same_host(&self, stored: &str) -> bool {
        Self::parse(stored).is_ok_and(|stored| stored.host == self.host && stored.port == self.port)
    }
}

/// `%41` to `A`; bytes that are no UTF-8 become U+FFFD.
fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The `source` member of answers. The password is in it only where the owner asked for details.
pub(crate) fn show_source(source: Option<&CameraSource>, with_password: bool) -> Value {
    let Some(source) = source else {
        return json!({ "url": "", "login": "", "onvif_rtsp_port_fwd": 0 });
    };
    let transport = match source.transport {
        RtspTransport::Tcp => "tcp",
        RtspTransport::Udp => "udp",
    };
    let mut object = json!({
        "url": source.url,
        "login": source.login,
        "transport": transport,
        "onvif_rtsp_port_fwd": 0,
    });
    if with_password {
        object["password"] = source.password.expose().as_str().into();
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(value: Value) -> SourceChange {
        SourceChange::read(value.as_object().unwrap()).unwrap()
    }

    fn created(value: Value) -> CameraSource {
        change(value).apply(None).unwrap().unwrap()
    }

    #[test]
    fn credentials_in_the_url_are_taken_out_of_it() {
        let source = created(json!({"url": "rtsp://viewer:p%40ss%2F1@10.0.0.5:8554/main?a=1"}));
        assert_eq!(source.url, "rtsp://10.0.0.5:8554/main?a=1");
        assert_eq!(source.login, "viewer");
        assert_eq!(source.password.expose(), "p@ss/1");
        let explicit =
            created(json!({"url": "rtsp://a:b@10.0.0.5/main", "login": "c", "password": "d"}));
        assert_eq!(
            (explicit.login.as_str(), explicit.password.expose().as_str()),
            ("c", "d")
        );
    }

    #[test]
    fn only_rtsp_urls_with_a_host_are_sources() {
        for url in [
            "http://10.0.0.5/",
            "file:///etc/passwd",
            "10.0.0.5",
            "rtsp://",
            "rtsp:x",
        ] {
            assert!(change(json!({ "url": url })).apply(None).is_err(), "{url}");
        }
        let error = change(json!({"url": "http://u:secret@10.0.0.5/"})).apply(None);
        assert!(!error.unwrap_err().message.contains("secret"));
        assert!(change(json!({"url": ""})).apply(None).unwrap().is_none());
        assert!(change(json!({"login": "x"})).apply(None).is_err());
    }

    #[test]
    fn a_stored_password_never_goes_to_another_host() {
        let stored = created(json!({"url": "rtsp://u:p@10.0.0.5/main"}));
        let moved = |url: &str| {
            let after = change(json!({ "url": url })).apply(Some(&stored));
            after.unwrap().unwrap().password.expose().clone()
        };
        assert_eq!(moved("rtsp://10.0.0.5/sub"), "p");
        assert_eq!(moved("rtsp://10.0.0.5:554/sub"), "p");
        assert_eq!(moved("rtsp://10.0.0.6/main"), "");
        assert_eq!(moved("rtsp://10.0.0.5:8554/main"), "");
        let login = change(json!({"login": "v"}))
            .apply(Some(&stored))
            .unwrap()
            .unwrap();
        assert_eq!(
            (login.login.as_str(), login.password.expose().as_str()),
            ("v", "p")
        );
    }

    #[test]
    fn the_password_is_shown_only_on_demand() {
        let source = created(json!({"url": "rtsp://u:p@10.0.0.5/main"}));
        assert!(show_source(Some(&source), false).get("password").is_none());
        assert_eq!(show_source(Some(&source), true)["password"], "p");
    }
}
