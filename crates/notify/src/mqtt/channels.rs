//! The retained state of channels, and what Home Assistant wants to know of them.

use super::connection::{Error, Link};
use super::topics::{CHANNEL_TOPICS, Topics};
use framewell_catalog::Catalog;
use framewell_live::Registry;
use framewell_model::{ChannelId, ChannelStatus, StreamKind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;

/// Name under which it is stored of which channels the broker keeps something.
const TOLD: &str = "mqtt";

/// What the broker has been told of all channels over this connection.
pub(super) struct Channels<'a> {
    catalog: &'a Catalog,
    registry: &'a Registry,
    topics: &'a Topics,
    discovery_prefix: Option<&'a str>,
    changes: watch::Receiver<u64>,
    names: BTreeMap<ChannelId, String>,
    told: BTreeMap<ChannelId, State>,
    /// Of which the broker keeps something, also from connections before this one.
    kept: BTreeSet<ChannelId>,
    is_stale: bool,
}

/// What is told of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    is_online: bool,
    is_recording: bool,
}

impl State {
    const fn word(self) -> &'static str {
        match (self.is_online, self.is_recording) {
            (false, _) => "offline",
            (true, false) => "online",
            (true, true) => "recording",
        }
    }
}

const fn on_or_off(is_on: bool) -> &'static str {
    if is_on { "ON" } else { "OFF" }
}

impl<'a> Channels<'a> {
    pub(super) async fn open(
        catalog: &'a Catalog,
        registry: &'a Registry,
        topics: &'a Topics,
        discovery_prefix: Option<&'a str>,
    ) -> Result<Self, Error> {
        Ok(Self {
            kept: catalog.load_told_channels(TOLD).await?,
            changes: catalog.channel_changes(),
            catalog,
            registry,
            topics,
            discovery_prefix,
            names: BTreeMap::new(),
            told: BTreeMap::new(),
            is_stale: true,
        })
    }

    /// To be called now and then, so that channels of other processes are noticed.
    pub(super) fn look_again(&mut self) {
        self.is_stale = true;
    }

    /// Publishes what has changed since the last call.
    pub(super) async fn publish(&mut self, link: &Link) -> Result<(), Error> {
        if self.is_stale || self.changes.has_changed().unwrap_or(false) {
            self.changes.mark_unchanged();
            self.reload(link).await?;
            self.is_stale = false;
        }
        let now: Vec<(ChannelId, State)> = self
            .names
            .keys()
            .map(|channel| (*channel, self.state(*channel)))
            .collect();
        for (channel, state) in now {
            if self.told.get(&channel) != Some(&state) {
                self.tell(link, channel, state).await?;
                self.told.insert(channel, state);
            }
        }
        Ok(())
    }

    async fn reload(&mut self, link: &Link) -> Result<(), Error> {
        let channels = self.catalog.all_channels().await?;
        let names: BTreeMap<ChannelId, String> = channels
            .into_iter()
            .filter(|channel| channel.id.stream() == StreamKind::Main)
            .map(|channel| (channel.id, channel.name))
            .collect();
        let before = std::mem::replace(&mut self.names, names);
        let is_gone = |id: &&ChannelId| !self.names.contains_key(id);
        let gone: Vec<ChannelId> = self.kept.iter().filter(is_gone).copied().collect();
        for channel in &gone {
            self.told.remove(channel);
            self.forget(link, *channel).await?;
        }
        if !gone.is_empty() {
            link.settled().await?;
            self.catalog.delete_told_channels(TOLD, &gone).await?;
            self.kept.retain(|id| self.names.contains_key(id));
        }
        // Written down first: what is told just before a crash is to be forgotten, too.
        let is_new = |id: &&ChannelId| !self.kept.contains(id);
        let new: Vec<ChannelId> = self.names.keys().filter(is_new).copied().collect();
        if !new.is_empty() {
            self.catalog.save_told_channels(TOLD, &new).await?;
            self.kept.extend(new);
        }
        for (channel, name) in &self.names {
            if before.get(channel) != Some(name) {
                self.introduce(link, *channel, name).await?;
            }
        }
        Ok(())
    }

    fn state(&self, channel: ChannelId) -> State {
        let track = self.registry.get(channel);
        let is_online = track
            .as_ref()
            .is_some_and(|track| track.source_state().borrow().status == ChannelStatus::Active);
        State {
            is_online,
            is_recording: is_online && track.is_some_and(|track| *track.recording().borrow()),
        }
    }

    async fn tell(&self, link: &Link, channel: ChannelId, state: State) -> Result<(), Error> {
        let payloads = [
            ("state", state.word()),
            ("online", on_or_off(state.is_online)),
            ("recording", on_or_off(state.is_recording)),
        ];
        for (what, payload) in payloads {
            link.publish(self.topics.channel(channel, what), true, payload)
                .await?;
        }
        Ok(())
    }

    /// An empty retained message removes the one before (MQTT 3.1.1, section 3.3.1.3).
    async fn forget(&self, link: &Link, channel: ChannelId) -> Result<(), Error> {
        for what in CHANNEL_TOPICS {
            link.publish(self.topics.channel(channel, what), true, "")
                .await?;
        }
        for (topic, _) in self.entities(channel, "") {
            link.publish(topic, true, "").await?;
        }
        Ok(())
    }

    async fn introduce(&self, link: &Link, channel: ChannelId, name: &str) -> Result<(), Error> {
        for (topic, payload) in self.entities(channel, name) {
            link.publish(topic, true, payload.to_string()).await?;
        }
        Ok(())
    }

    /// Topic and payload of each entity of a channel (Home Assistant, "MQTT Discovery").
    fn entities(&self, channel: ChannelId, name: &str) -> Vec<(String, Value)> {
        let Some(prefix) = self.discovery_prefix else {
            return Vec::new();
        };
        let node = self.topics.node(channel);
        let topic = |what: &str| self.topics.channel(channel, what);
        let common = |what: &str, shown: &str| {
            json!({
                "name": shown,
                "unique_id": format!("{node}_{what}"),
                "state_topic": topic(what),
                "availability_topic": self.topics.status(),
                "device": {
                    "identifiers": [node],
                    "name": if name.is_empty() { node.as_str() } else { name },
                    "manufacturer": "Framewell",
                },
            })
        };
        let mut online = common("online", "Online");
        online["device_class"] = "connectivity".into();
        let mut recording = common("recording", "Recording");
        recording["device_class"] = "running".into();
        let mut event = common("last_event", "Last event");
        event["value_template"] = "{{ value_json.name }}".into();
        event["json_attributes_topic"] = topic("last_event").into();
        let at = |component: &str, what: &str| format!("{prefix}/{component}/{node}/{what}/config");
        vec![
            (at("binary_sensor", "online"), online),
            (at("binary_sensor", "recording"), recording),
            (at("sensor", "last_event"), event),
        ]
    }
}
