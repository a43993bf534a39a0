//! Stored pictures.

use crate::{ChannelId, ClockSource, FrameId, ImageId, ImageObjectId, WallTime};
use serde::{Deserialize, Serialize};

/// Why a picture was stored, in the words of the contract (section 7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageOrigin {
    /// A generation task on recorded video; the origin's number is the task.
    GeneratedFromRecords,
    /// Periodic pictures of the live stream.
    GeneratedFromLive,
    /// Small key-frame picture of a recording.
    RecordingThumbnail,
    /// Picture of an event; the origin's number is the event.
    EventSnapshot,
    /// Brought by a client.
    Upload,
}

impl ImageOrigin {
    /// Every origin, for parsing.
    pub const ALL: [Self; 5] = [
        Self::GeneratedFromRecords,
        Self::GeneratedFromLive,
        Self::RecordingThumbnail,
        Self::EventSnapshot,
        Self::Upload,
    ];

    /// The contract's word, also stored in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GeneratedFromRecords => "generated_from_records",
            Self::GeneratedFromLive => "generated_from_live",
            Self::RecordingThumbnail => "recording_thumbnail",
            Self::EventSnapshot => "event_snapshot",
            Self::Upload => "upload",
        }
    }

    /// Reads the contract's word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == word)
    }
}

/// A published stored picture: its object is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Row number, shown by the API.
    pub id: ImageId,
    /// Name of the object.
    pub object: ImageObjectId,
    /// Whose picture.
    pub channel: ChannelId,
    /// Capture time.
    pub time: WallTime,
    /// Where [`StoredImage::time`] comes from.
    pub clock: ClockSource,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bytes of the file.
    pub size_bytes: i64,
    /// Hash of the file, lower-case hexadecimal.
    pub hash: String,
    /// Why it was stored.
    pub origin: ImageOrigin,
    /// Number of the task or event that made it, at least 1; `None` if nothing with a number did.
    pub origin_id: Option<i64>,
    /// Which picture of the channel.
    pub frame: FrameId,
}
