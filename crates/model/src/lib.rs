//! Domain nouns of Framewell: ids, times, channels, groups, grants, segments, gaps, stored pictures, jobs.
//!
//! What belongs here: plain values that every layer speaks. What does not: I/O, async, clocks,
//! SQL, and the oddities of any wire format (those stop in `framewell-api`).

mod channel;
mod clock;
mod error;
mod event;
mod frame;
mod grant;
mod group;
mod id;
mod image;
mod job;
mod motion;
mod outbound;
mod retention;
mod schedule;
mod seal;
mod secret;
mod segment;
mod stream;
mod time;

pub use channel::{
    CameraSource, Channel, ChannelPatch, ChannelStatus, NewChannel, RecMode, RtspTransport,
};
pub use clock::WallClock;
pub use error::{ErrorKind, HasKind};
pub use event::{Event, EventProcessing, EventSource, NewEvent};
pub use frame::{FrameId, FrameIdError};
pub use grant::{Access, Grant, Holder, Principal, Right, RightSet};
pub use group::{Group, GroupPatch, NewGroup};
pub use id::{
    AccountId, ChannelId, ClipId, ClipObjectId, ClipShareId, DeliveryId, EventId, GroupId, HoldId,
    HolderId, IdError, ImageId, ImageObjectId, JobId, RecordId, RuleId, RunId, SegmentId,
    TokenSerial, WebhookId,
};
pub use image::{ImageOrigin, StoredImage};
pub use job::JobState;
pub use motion::{
    CellMap, MAX_MOTION_REGIONS, MOTION_CELLS, MOTION_COLUMNS, MOTION_ROWS, MotionRegion,
    ParseCellMapError,
};
pub use outbound::{ForbiddenAddress, Network, NetworkError, OutboundPolicy};
pub use retention::{Deletion, DeletionReason, Hold, NewHold, OffsetBasis, RunClock, StreamOffset};
pub use schedule::{Day, MOST_PERIODS, MinuteOfDay, Period, Schedule};
pub use seal::{ChainLink, ParseDigestError, Seal, SealSource, SegmentDigest};
pub use secret::Secret;
pub use segment::{Gap, GapReason, Segment, SegmentState};
pub use stream::StreamKind;
pub use time::{ClockSource, MediaTime, ParseTimeError, TimeRange, Timescale, WallTime};
