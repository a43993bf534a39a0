//! MQTT: the state of channels and their events, as home automation expects them.
//!
//! | topic, below the prefix | retained | payload |
//! | --- | --- | --- |
//! | `status` | yes | `online`; `offline` when the server stops or its connection breaks (last will) |
//! | `<channel>/state` | yes | `recording`, `online` or `offline` |
//! | `<channel>/online`, `<channel>/recording` | yes | `ON` or `OFF` |
//! | `<channel>/event/<name>` | no | the event, in the form of `/v1/events/stream` |
//! | `<channel>/last_event` | yes | the same |
//!
//! A cursor is stored: events that come while the broker is away are published when it is back, those of
//! more than [`MOST_BEHIND`] revisions ago are left out, which the log says. An event may come twice after
//! a crash, never not at all. Nothing is queued but what one round publishes.

mod channels;
mod connection;
mod publisher;
mod topics;

pub use connection::Error;
pub use publisher::{MOST_BEHIND, Publisher};

use framewell_model::Secret;
use url::Url;

/// How sure deliveries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
}

/// Which broker, and how.
#[derive(Debug, Clone)]
pub struct MqttConfig {
    /// `mqtt://HOST:PORT` or `mqtts://HOST:PORT`; 1883 and 8883 without a port.
    pub url: String,
    /// Empty: none.
    pub user: String,
    /// For the user.
    pub password: Secret<String>,
    /// PEM that the broker's certificate is checked against; `None`: what the system trusts.
    pub ca_pem: Option<Vec<u8>>,
    /// How all topics begin.
    pub prefix: String,
    /// Two servers on one broker need two.
    pub client_id: String,
    /// For everything that is published.
    pub quality: Quality,
    /// Prefix of Home Assistant's discovery; `None`: none.
    pub discovery_prefix: Option<String>,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(&'static str);

/// Where the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

impl MqttConfig {
    /// Refuses what cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.broker()?;
        if !topics::is_prefix(&self.prefix) {
            return Err(ConfigError("prefix is no topic without wildcards"));
        }
        if self
            .discovery_prefix
            .as_deref()
            .is_some_and(|prefix| !topics::is_prefix(prefix))
        {
            return Err(ConfigError(
                "discovery_prefix is no topic without wildcards",
            ));
        }
        if self.client_id.is_empty() {
            return Err(ConfigError("client_id is empty"));
        }
        Ok(())
    }

    pub(crate) fn broker(&self) -> Result<Broker, ConfigError> {
        let wrong = ConfigError("url is not mqtt://HOST:PORT or mqtts://HOST:PORT");
        let url = Url::parse(&self.url).map_err(|_| wrong.clone())?;
        let is_tls = match url.scheme() {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(wrong),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ConfigError("url holds credentials: set user and password"));
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(wrong)?;
        Ok(Broker {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(if is_tls { 8_883 } else { 1_883 }),
            is_tls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, prefix: &str) -> MqttConfig {
        MqttConfig {
            url: url.into(),
            user: String::new(),
            password: Secret::new(String::new()),
            ca_pem: None,
            prefix: prefix.into(),
            client_id: "framewell".into(),
            quality: Quality::AtLeastOnce,
            discovery_prefix: None,
        }
    }

    #[test]
    fn brokers_are_read_from_urls() {
        let read = |url: &str| {
            let broker = config(url, "x").broker().unwrap();
            (broker.host, broker.port, broker.is_tls)
        };
        assert_eq!(read("mqtt://broker"), ("broker".into(), 1_883, false));
        assert_eq!(read("mqtts://broker"), ("broker".into(), 8_883, true));
        assert_eq!(read("mqtt://[::1]:5"), ("::1".into(), 5, false));
        for wrong in [
            "",
            "broker:1883",
            "http://broker",
            "mqtt://",
            "mqtt://a:b@broker",
        ] {
            assert!(config(wrong, "x").check().is_err(), "{wrong}");
        }
        for wrong in ["", "a/#", "+", "a//b", "/a", "a/", "$SYS"] {
            assert!(config("mqtt://broker", wrong).check().is_err(), "{wrong}");
        }
        assert!(config("mqtt://broker", "home/framewell").check().is_ok());
    }
}
