//! Stored pieces of a recording, and the holes between them.

use crate::{ChannelId, ClockSource, RecordId, RunId, SegmentId, TimeRange, WallTime};
use serde::{Deserialize, Serialize};

/// Life of a segment row: staged, published, doomed, gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentState {
    /// The row exists, the object may not.
    Staged,
    /// The object is complete; readers see it.
    Published,
    /// About to be deleted; readers no longer see it.
    Doomed,
}

impl SegmentState {
    /// The word stored in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Published => "published",
            Self::Doomed => "doomed",
        }
    }
}

/// A stored object that starts at a key frame and plays on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Row number; the record id of the compatible API.
    pub record: RecordId,
    /// Identity inside the object.
    pub id: SegmentId,
    /// Whose footage.
    pub channel: ChannelId,
    /// The unbroken piece it belongs to.
    pub run: RunId,
    /// Place within the run, from 0.
    pub sequence: i64,
    /// Capture time of the first and the end of the last picture.
    pub range: TimeRange,
    /// Where [`Segment::range`] comes from.
    pub clock: ClockSource,
    /// Length of the whole object in bytes.
    pub size_bytes: i64,
    /// RFC 6381 codecs, comma-separated, for example `avc1.64001f,mp4a.40.2`.
    pub codecs: String,
    /// Encoded fragment index (`framewell_fmp4::SegmentIndex`).
    pub index: Vec<u8>,
}

/// Why footage is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The camera could not be reached or stopped sending.
    CameraOffline,
    /// The camera refused our credentials.
    Unauthorized,
    /// The server was not running, or was killed.
    ServerDown,
    /// The recorder could not keep up and the ring overwrote unread video.
    RecorderLagged,
    /// Packets were lost between camera and server.
    PacketLoss,
    /// The disk or the object store refused the data.
    StorageFailed,
    /// There was no room: new footage was refused, or footage had to go for newer one.
    StorageFull,
    /// A stored object turned out damaged or missing.
    DataLoss,
    /// Recording was switched off.
    RecordingOff,
    /// Nobody knows: the row that said it was lost, or there never was one.
    Unknown,
}

impl GapReason {
    /// Every reason, for parsing.
    pub const ALL: [Self; 10] = [
        Self::CameraOffline,
        Self::Unauthorized,
        Self::ServerDown,
        Self::RecorderLagged,
        Self::PacketLoss,
        Self::StorageFailed,
        Self::StorageFull,
        Self::DataLoss,
        Self::RecordingOff,
        Self::Unknown,
    ];

    /// The word stored in the database and shown by the native API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CameraOffline => "camera_offline",
            Self::Unauthorized => "unauthorized",
            Self::ServerDown => "server_down",
            Self::RecorderLagged => "recorder_lagged",
            Self::PacketLoss => "packet_loss",
            Self::StorageFailed => "storage_failed",
            Self::StorageFull => "storage_full",
            Self::DataLoss => "data_loss",
            Self::RecordingOff => "recording_off",
            Self::Unknown => "unknown",
        }
    }
}

/// A hole in a recording, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Whose footage.
    pub channel: ChannelId,
    /// From the last recorded picture's end to the next one's start; an open gap ends at its start
    /// until it is closed.
    pub start: WallTime,
    /// `None` while footage is still missing.
    pub end: Option<WallTime>,
    /// Why.
    pub reason: GapReason,
}
