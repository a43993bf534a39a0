//! Events: something that happened at a time, and what a channel does then.

use crate::{ChannelId, EventId, WallTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who reported an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSource {
    /// A client of the API.
    Api,
    /// The camera.
    Camera,
    /// This server, about the camera or itself.
    Server,
}

impl EventSource {
    /// Every source, for parsing.
    pub const ALL: [Self; 3] = [Self::Api, Self::Camera, Self::Server];

    /// The word stored in the database and shown by the native API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Camera => "camera",
            Self::Server => "server",
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == word)
    }
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Key, shown by the API.
    pub id: EventId,
    /// Where it happened.
    pub channel: ChannelId,
    /// What happened, for example `motion`; free text.
    pub name: String,
    /// When it happened.
    pub time: WallTime,
    /// When we heard of it.
    pub created: WallTime,
    /// Who said so.
    pub source: EventSource,
    /// Free text by tag.
    pub tags: BTreeMap<String, String>,
    /// Whether a JSON file belongs to it.
    pub has_file: bool,
    /// Whether somebody is to be told, as the channel was set when it was stored.
    pub notify: bool,
    /// Place among all events in the order in which they became visible; subscribers resume by it.
    pub revision: i64,
}

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Where it happened.
    pub channel: ChannelId,
    /// What happened.
    pub name: String,
    /// When it happened.
    pub time: WallTime,
    /// Who says so.
    pub source: EventSource,
    /// Free text by tag.
    pub tags: BTreeMap<String, String>,
}

/// What a channel does on events of one name (contract section 10.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventProcessing {
    /// Name of the events.
    pub name: String,
    /// Whether somebody is told.
    pub notify: bool,
    /// Whether events of this name are taken from the camera and the server at all.
    pub receive: bool,
    /// Whether footage is kept around the event, where the channel records by event.
    pub record: bool,
    /// Whether the picture of its instant is stored with the event.
    pub snapshot: bool,
    /// Whether a picture is stored for each second of it.
    pub generate_images: bool,
    /// How many seconds it lasts, for its pictures; `None`: ten.
    pub period_s: Option<i64>,
    /// Whether a client registered the name.
    pub is_custom: bool,
}

impl EventProcessing {
    /// What happens where nobody has said anything: the event is stored and told, no more.
    #[must_use]
    pub fn new(name: &str, is_custom: bool) -> Self {
        Self {
            name: name.to_owned(),
            notify: true,
            receive: true,
            record: false,
            snapshot: false,
            generate_images: false,
            period_s: None,
            is_custom,
        }
    }
}
