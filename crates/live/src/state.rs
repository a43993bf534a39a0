//! What a channel's source is doing now.

use bytes::Bytes;
use framewell_media::ClockReading;
use framewell_model::{ChannelStatus, GapReason, RunId, WallTime};

/// The present state of a channel's source, published through a `watch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// The contract's status.
    pub status: ChannelStatus,
    /// Since when.
    pub since: WallTime,
    /// Why it is not active, in words for people, without secrets.
    pub detail: Option<String>,
    /// The run in progress.
    pub run: Option<RunId>,
}

impl SourceState {
    /// A channel nobody pulls.
    #[must_use]
    pub const fn inactive(since: WallTime) -> Self {
        Self {
            status: ChannelStatus::Inactive,
            since,
            detail: None,
            run: None,
        }
    }
}

/// What a camera says beside its pictures, as it came: an ONVIF metadata document (ONVIF Streaming
/// Specification section 5.2). Nobody has looked into it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceMessage {
    /// When its last byte came.
    pub arrival: WallTime,
    /// XML, bounded by ingest.
    pub document: Bytes,
}

/// What is known of a camera's clock during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceClock {
    /// The run.
    pub run: RunId,
    /// What its sender reports said.
    pub reading: ClockReading,
    /// Whether capture times come from it; else it is too far off, and arrival counts.
    pub is_used: bool,
}

/// How long the key frames of a run took from their capture times, as we give them, until they were here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lateness {
    /// Of the newest ones, in microseconds.
    pub median_us: i64,
    /// Between the shortest and the longest of them, in microseconds.
    pub spread_us: i64,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The camera went away or stopped sending.
    CameraLost,
    /// The source was changed or removed, or the server stops.
    Stopped,
    /// The camera's media time jumped; the same session goes on in a new run.
    TimeJump,
}

impl EndReason {
    /// The reason a gap row gives for the hole behind this end, if the hole has no better one.
    #[must_use]
    pub const fn gap_reason(self) -> GapReason {
        match self {
            Self::CameraLost | Self::TimeJump => GapReason::CameraOffline,
            Self::Stopped => GapReason::ServerDown,
        }
    }
}

/// Counters of a channel's ingest since the server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IngestStats {
    /// Video access units received.
    pub frames: u64,
    /// Payload bytes of all tracks.
    pub bytes: u64,
    /// RTP packets known to be lost.
    pub lost_packets: u64,
    /// Sessions started after the first.
    pub reconnects: u64,
}
