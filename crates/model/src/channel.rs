//! Channels: one camera as the API sees it, with its recording mode.

use crate::{AccountId, ChannelId, Schedule, Secret, WallTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// When a channel records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum RecMode {
    /// Always.
    #[default]
    On,
    /// Never.
    Off,
    /// Around events, whoever reports them.
    ByEvent,
    /// Around events that an engine reports or the server itself finds; the camera's own do not count.
    ServerByEvent,
}

/// What a channel is doing now, in the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ChannelStatus {
    /// Frames arrive.
    Active,
    /// Nothing is wanted from the camera: no source.
    #[default]
    Inactive,
    /// The camera cannot be reached or sends nothing usable.
    Offline,
    /// The camera refuses our credentials.
    Unauthorized,
}

impl ChannelStatus {
    /// The contract's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Offline => "offline",
            Self::Unauthorized => "unauthorized",
        }
    }
}

impl RecMode {
    /// The contract's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::ByEvent => "by_event",
            Self::ServerByEvent => "server_by_event",
        }
    }

    /// Reads the contract's word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::On, Self::Off, Self::ByEvent, Self::ServerByEvent]
            .into_iter()
            .find(|mode| mode.as_str() == word)
    }
}

/// How RTP travels from the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum RtspTransport {
    /// Interleaved in the RTSP connection (RFC 2326 section 10.12). The default: nothing gets lost.
    #[default]
    Tcp,
    /// Datagrams; lost packets cost pictures.
    Udp,
}

/// The device or URL that produces a channel's video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraSource {
    /// `rtsp://host[:port]/path`, **without** credentials; see [`CameraSource::login`].
    pub url: String,
    /// User name for Basic or Digest authentication; empty for none.
    #[serde(default)]
    pub login: String,
    /// Password; never logged.
    #[serde(default = "empty_secret")]
    pub password: Secret<String>,
    /// How RTP travels.
    #[serde(default)]
    pub transport: RtspTransport,
}

fn empty_secret() -> Secret<String> {
    Secret::new(String::new())
}

/// A channel as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Key; the `camid` of older endpoints.
    pub id: ChannelId,
    /// Owner.
    pub account: AccountId,
    /// Shown to people; may be empty.
    pub name: String,
    /// When it was created.
    pub created: WallTime,
    /// When it records.
    pub rec_mode: RecMode,
    /// IANA name, for people's calendars only; all stored times are UTC.
    pub timezone: String,
    /// Where the video comes from; `None` for a channel without a camera yet.
    pub source: Option<CameraSource>,
    /// How long footage is kept, in seconds; `None` keeps until the disk policy says otherwise.
    pub retention_s: Option<i64>,
    /// Most bytes of its footage; the oldest goes first. `None`: no limit of its own.
    pub max_bytes: Option<i64>,
    /// Time between stored pictures of the live stream, in microseconds, more than 0; `None`: none are
    /// made.
    pub image_period_us: Option<i64>,
    /// How much is kept before an event, in microseconds; `None`: what the server is set to.
    pub pre_roll_us: Option<i64>,
    /// How much is kept behind an event, in microseconds; `None`: what the server is set to.
    pub post_roll_us: Option<i64>,
    /// Modes by time of week, which count more than `rec_mode`.
    pub schedule: Option<Schedule>,
    /// Tags of the contract's section 4.3.
    pub meta: BTreeMap<String, String>,
}

/// A channel to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChannel {
    /// Shown to people.
    pub name: String,
    /// When it records.
    pub rec_mode: RecMode,
    /// IANA name.
    pub timezone: String,
    /// Where the video comes from.
    pub source: Option<CameraSource>,
    /// How long footage is kept, in seconds.
    pub retention_s: Option<i64>,
    /// Tags.
    pub meta: BTreeMap<String, String>,
}

/// Changes to a channel; `None` leaves a member as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelPatch {
    /// New name.
    pub name: Option<String>,
    /// New recording mode.
    pub rec_mode: Option<RecMode>,
    /// New time zone.
    pub timezone: Option<String>,
    /// New source; `Some(None)` removes it.
    pub source: Option<Option<CameraSource>>,
    /// New retention; `Some(None)` removes the limit.
    pub retention_s: Option<Option<i64>>,
    /// New limit of bytes; `Some(None)` removes it.
    pub max_bytes: Option<Option<i64>>,
    /// New time between stored pictures; `Some(None)` ends them.
    pub image_period_us: Option<Option<i64>>,
    /// New time to be kept before an event; `Some(None)` goes back to the server's.
    pub pre_roll_us: Option<Option<i64>>,
    /// New time to be kept behind an event; `Some(None)` goes back to the server's.
    pub post_roll_us: Option<Option<i64>>,
    /// New modes by time of week; `Some(None)` removes them.
    pub schedule: Option<Option<Schedule>>,
    /// Replaces the whole tag map.
    pub meta: Option<BTreeMap<String, String>>,
}
