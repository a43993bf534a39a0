//! Webhooks, MQTT and the outbound policy, as the configuration wants them.

use anyhow::{Context, bail};
use framewell_catalog::{Catalog, WEBHOOK_JOB, WEBHOOK_REPLAY_JOB};
use framewell_insight::feed::Feeds;
use framewell_jobs::Jobs;
use framewell_live::Registry;
use framewell_model::{Network, OutboundPolicy, Secret, WallClock};
use framewell_notify::mqtt::{MqttConfig, Publisher, Quality};
use framewell_notify::webhook::{
    Dispatcher, OutboundClient, ReplayHandler, WebhookConfig, WebhookHandler,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Replays that run at once; they wait behind each other rather than beside new deliveries.
const REPLAYS_AT_ONCE: usize = 4;

/// What tells others of what happened.
pub(crate) struct Heralds {
    pub(crate) catalog: Catalog,
    pub(crate) feeds: Feeds,
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<dyn WallClock>,
}

/// Starts it: the feeds that all subscribers share, webhooks, MQTT.
pub(crate) fn start(
    mqtt: &Mqtt,
    heralds: Heralds,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let Heralds {
        catalog,
        feeds,
        registry,
        clock,
    } = heralds;
    tasks.spawn(feeds.clone().run(stop.clone()));
    let dispatcher = Dispatcher::new(catalog.clone(), feeds.clone(), clock);
    tasks.spawn(dispatcher.run(stop.clone()));
    if let Some(config) = mqtt.config()? {
        let publisher = Publisher::new(config, catalog, feeds, registry)
            .context("starting the MQTT publisher failed")?;
        tasks.spawn(publisher.run(stop.clone()));
    }
    Ok(())
}

/// Webhooks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Webhooks {
    /// Attempts until a delivery is given up and kept as a failure.
    pub(crate) attempts: u32,
    /// First pause after a failed attempt, in seconds; doubles, with jitter.
    pub(crate) first_pause_s: f64,
    /// Longest pause, in seconds.
    pub(crate) longest_pause_s: f64,
    /// Longest time for one attempt, in seconds.
    pub(crate) timeout_s: f64,
    /// Deliveries at once.
    pub(crate) at_once: usize,
}

impl Default for Webhooks {
    fn default() -> Self {
        let config = WebhookConfig::default();
        Self {
            attempts: 12,
            first_pause_s: config.first_pause.as_secs_f64(),
            longest_pause_s: config.longest_pause.as_secs_f64(),
            timeout_s: config.timeout.as_secs_f64(),
            at_once: 16,
        }
    }
}

impl Webhooks {
    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.attempts == 0 || self.at_once == 0 {
            bail!("webhooks.attempts and webhooks.at_once must be at least 1");
        }
        let seconds = [
            ("first_pause_s", self.first_pause_s),
            ("longest_pause_s", self.longest_pause_s),
            ("timeout_s", self.timeout_s),
        ];
        for (key, value) in seconds {
            if !(value > 0.0 && value <= 86_400.0) {
                bail!("webhooks.{key} = {value} must be more than 0 and at most 86400 seconds");
            }
        }
        if self.longest_pause_s < self.first_pause_s {
            bail!("webhooks.longest_pause_s must not be less than webhooks.first_pause_s");
        }
        Ok(())
    }

    fn config(&self) -> WebhookConfig {
        WebhookConfig {
            attempts: self.attempts.into(),
            first_pause: Duration::from_secs_f64(self.first_pause_s),
            longest_pause: Duration::from_secs_f64(self.longest_pause_s),
            timeout: Duration::from_secs_f64(self.timeout_s),
        }
    }

    /// Adds the handlers of webhooks to the jobs.
    pub(crate) fn register(
        &self,
        jobs: Jobs,
        policy: Arc<OutboundPolicy>,
        catalog: &Catalog,
        access: framewell_access::Access,
        clock: Arc<dyn WallClock>,
    ) -> anyhow::Result<Jobs> {
        let config = self.config();
        let client = OutboundClient::new(policy, config.timeout)
            .context("starting the HTTP client of webhooks failed")?;
        let handler = WebhookHandler::new(catalog.clone(), access, client, config, clock);
        let replay = ReplayHandler::new(handler.clone());
        Ok(jobs
            .register(WEBHOOK_JOB, self.at_once, Arc::new(handler))
            .register(WEBHOOK_REPLAY_JOB, REPLAYS_AT_ONCE, Arc::new(replay)))
    }
}

/// Where this server may connect to on behalf of others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Outbound {
    /// Networks that webhooks may reach though they are not public, for example `["10.1.0.0/16"]`.
    pub(crate) allow: Vec<String>,
    /// Networks that neither webhooks nor cameras may be in.
    pub(crate) deny: Vec<String>,
}

impl Outbound {
    /// As the services want it.
    pub(crate) fn policy(&self) -> anyhow::Result<OutboundPolicy> {
        let read = |key: &str, texts: &[String]| -> anyhow::Result<Vec<Network>> {
            let read = |text: &String| text.parse().with_context(|| format!("outbound.{key}"));
            texts.iter().map(read).collect()
        };
        Ok(OutboundPolicy {
            allow: read("allow", &self.allow)?,
            deny: read("deny", &self.deny)?,
        })
    }
}

/// Events to an MQTT broker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Mqtt {
    /// `mqtt://HOST:PORT` or `mqtts://HOST:PORT`; empty: off.
    pub(crate) url: String,
    /// User name; empty: none.
    pub(crate) user: String,
    /// Password.
    pub(crate) password: Secret<String>,
    /// Certificates, PEM, that the broker's is checked against; empty: the system's.
    pub(crate) ca_file: PathBuf,
    /// How all topics begin.
    pub(crate) prefix: String,
    /// Client id; two servers on one broker need two.
    pub(crate) client_id: String,
    /// 0: at most once; 1: at least once.
    pub(crate) qos: u8,
    /// Prefix of Home Assistant's discovery, usually `homeassistant`; empty: off.
    pub(crate) discovery_prefix: String,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            url: String::new(),
            user: String::new(),
            password: Secret::new(String::new()),
            ca_file: PathBuf::new(),
            prefix: "framewell".into(),
            client_id: "framewell".into(),
            qos: 1,
            discovery_prefix: String::new(),
        }
    }
}

impl Mqtt {
    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.config().map(drop)
    }

    /// `None` if it is off.
    pub(crate) fn config(&self) -> anyhow::Result<Option<MqttConfig>> {
        if self.url.is_empty() {
            return Ok(None);
        }
        let quality = match self.qos {
            0 => Quality::AtMostOnce,
            1 => Quality::AtLeastOnce,
            other => bail!("mqtt.qos = {other} must be 0 or 1"),
        };
        let ca_pem = match self.ca_file.as_os_str().is_empty() {
            true => None,
            false => Some(std::fs::read(&self.ca_file).context("mqtt.ca_file cannot be read")?),
        };
        let config = MqttConfig {
            url: self.url.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            ca_pem,
            prefix: self.prefix.clone(),
            client_id: self.client_id.clone(),
            quality,
            discovery_prefix: Some(self.discovery_prefix.clone()).filter(|it| !it.is_empty()),
        };
        config.check().context("mqtt")?;
        Ok(Some(config))
    }
}
