//! One connection to the broker. It ends with its first error; the publisher makes a new one and goes on
//! from its cursor, so that nothing has to be carried over.

use super::topics::Topics;
use super::{ConfigError, MqttConfig, Quality};
use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS, TlsConfiguration,
    Transport,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How often the broker hears of us if there is nothing else; it sends the last will after half as much
/// again.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Messages between the publisher and the connection.
const QUEUE: usize = 64;
/// Longest wait until the broker has taken what was sent.
const TAKING: Duration = Duration::from_secs(30);
/// Largest message in bytes; an event has 64 KiB of tags at most.
const MOST_BYTES: usize = 1 << 20;

/// Why a connection ended, or was none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The certificates.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// No certificate that the broker's could be checked against.
    #[error("there is no certificate to check the broker's against")]
    NoCertificates,
    /// The broker, or the way to it.
    #[error("the connection to the MQTT broker failed")]
    Connection(#[source] Box<rumqttc::ConnectionError>),
    /// It does not take what is sent.
    #[error("the MQTT broker takes nothing")]
    Stuck,
    /// What is to be published cannot be read.
    #[error("what is to be published cannot be read")]
    Feed(#[from] framewell_insight::Error),
    /// The database.
    #[error("the database failed")]
    Catalog(#[from] framewell_catalog::Error),
}

/// How to connect; made once. No `Debug`: the options hold the password.
#[derive(Clone)]
pub(super) struct Dialer {
    options: MqttOptions,
    quality: QoS,
}

impl Dialer {
    pub(super) fn new(config: &MqttConfig) -> Result<Self, Error> {
        config.check()?;
        let broker = config.broker()?;
        let mut options = MqttOptions::new(&config.client_id, &broker.host, broker.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_clean_session(true);
        options.set_max_packet_size(64 << 10, MOST_BYTES);
        if !config.user.is_empty() {
            options.set_credentials(&config.user, config.password.expose());
        }
        if broker.is_tls {
            let tls = TlsConfiguration::Rustls(Arc::new(tls(config.ca_pem.as_deref())?));
            options.set_transport(Transport::tls_with_config(tls));
        }
        let quality = match config.quality {
            Quality::AtMostOnce => QoS::AtMostOnce,
            Quality::AtLeastOnce => QoS::AtLeastOnce,
        };
        let status = Topics::new(&config.prefix).status();
        options.set_last_will(LastWill::new(status, OFFLINE, quality, true));
        Ok(Self { options, quality })
    }

    /// A connection that is made when [`Wire::run`] runs.
    pub(super) fn dial(&self) -> (Link, Wire) {
        let (client, events) = AsyncClient::new(self.options.clone(), QUEUE);
        let (progress, heard) = watch::channel(Progress::default());
        let link = Link {
            client,
            quality: self.quality,
            heard,
            sent: AtomicU64::new(0),
        };
        let wire = Wire {
            events,
            quality: self.quality,
            progress,
        };
        (link, wire)
    }
}

/// Payload of the status topic while nobody is there.
pub(super) const OFFLINE: &str = "offline";

fn tls(ca_pem: Option<&[u8]>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match ca_pem {
        Some(pem) => {
            let found = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
            roots.add_parsable_certificates(found);
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    if roots.is_empty() {
        return Err(Error::NoCertificates);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// What the broker has said.
#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    is_connected: bool,
    /// Messages that it has taken; with QoS 0, that were sent.
    taken: u64,
}

/// The side that moves bytes.
pub(super) struct Wire {
    events: EventLoop,
    quality: QoS,
    progress: watch::Sender<Progress>,
}

impl Wire {
    /// Runs until the connection fails, or ends after [`Link::leave`].
    pub(super) async fn run(mut self) -> Error {
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    self.progress
                        .send_modify(|progress| progress.is_connected = true);
                }
                Ok(Event::Incoming(Packet::PubAck(_))) if self.quality == QoS::AtLeastOnce => {
                    self.progress.send_modify(|progress| progress.taken += 1);
                }
                Ok(Event::Outgoing(Outgoing::Publish(_))) if self.quality == QoS::AtMostOnce => {
                    self.progress.send_modify(|progress| progress.taken += 1);
                }
                Ok(_) => {}
                Err(error) => return Error::Connection(Box::new(error)),
            }
        }
    }
}

/// The side that publishes.
pub(super) struct Link {
    client: AsyncClient,
    quality: QoS,
    heard: watch::Receiver<Progress>,
    sent: AtomicU64,
}

impl Link {
    /// Waits until the broker has let us in.
    pub(super) async fn connected(&self) -> Result<(), Error> {
        self.wait(|progress| progress.is_connected).await
    }

    pub(super) async fn publish(
        &self,
        topic: String,
        is_retained: bool,
        payload: impl Into<Vec<u8>>,
    ) -> Result<(), Error> {
        let publishing = self
            .client
            .publish(topic, self.quality, is_retained, payload);
        let published = tokio::time::timeout(TAKING, publishing).await;
        match published {
            Ok(Ok(())) => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            // The other side is gone and says why.
            Ok(Err(_)) | Err(_) => Err(Error::Stuck),
        }
    }

    /// Waits until the broker has taken everything.
    pub(super) async fn settled(&self) -> Result<(), Error> {
        let sent = self.sent.load(Ordering::Relaxed);
        self.wait(|progress| progress.taken >= sent).await
    }

    /// Says goodbye, so that the broker does not send the last will.
    pub(super) async fn leave(&self) -> Result<(), Error> {
        self.client.disconnect().await.map_err(|_| Error::Stuck)
    }

    async fn wait(&self, is_met: impl FnMut(&Progress) -> bool) -> Result<(), Error> {
        let mut heard = self.heard.clone();
        let waiting = heard.wait_for(is_met);
        match tokio::time::timeout(TAKING, waiting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::Stuck),
        }
    }
}
