//! What the native face answers.

use super::sub_stream::SubStreamView;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// The error.
    pub(crate) error: ErrorObject,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorObject {
    /// Stable word for programs.
    #[schema(example = "not_found")]
    pub(crate) code: String,
    /// Sentence for people.
    pub(crate) message: String,
    /// The same as in the header `X-Request-Id`; finds the request in the server's log.
    pub(crate) request_id: String,
    /// Where there is no footage: end of the footage before that instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nearest_before: Option<String>,
    /// Where there is no footage: start of the footage after that instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nearest_after: Option<String>,
    /// Where footage is missing or damaged: the segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) segment: Option<String>,
    /// Where footage is missing or damaged: capture time of the segment's first picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) segment_start: Option<String>,
    /// Where footage is missing or damaged: end of the segment's last picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) segment_end: Option<String>,
    /// Where too much would have to be decoded: how many frames it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) frames: Option<u64>,
    /// Where too much would have to be decoded: how many frames are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
}

/// A page of channels.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelPage {
    /// Ascending by id.
    pub(crate) channels: Vec<ChannelView>,
    /// How to go on.
    pub(crate) meta: PageMeta,
}

/// How to go on with a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PageMeta {
    /// Value for `cursor` that gives the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// A channel: one camera.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelView {
    /// Key, at least 1.
    #[schema(example = 7)]
    pub(crate) id: i64,
    /// Shown to people; may be empty.
    #[schema(example = "Gate north")]
    pub(crate) name: String,
    /// When it was created.
    pub(crate) created: String,
    /// What its source does: `active`, `inactive`, `offline` or `unauthorized`.
    #[schema(example = "active")]
    pub(crate) status: &'static str,
    /// Since when.
    pub(crate) status_since: Option<String>,
    /// Why it is not active.
    pub(crate) status_detail: Option<String>,
    /// Whether footage is being written now.
    pub(crate) recording: bool,
    /// When it records: `on`, `off`, `by_event` or `server_by_event`.
    #[schema(example = "on")]
    pub(crate) rec_mode: &'static str,
    /// IANA time zone of the place, for people's calendars only.
    #[schema(example = "Europe/Berlin")]
    pub(crate) timezone: String,
    /// Free text by name.
    pub(crate) tags: BTreeMap<String, String>,
    /// The live video; null while there is none.
    pub(crate) video: Option<VideoView>,
    /// The sub stream; absent in lists and where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sub: Option<SubStreamView>,
}

/// Live video.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VideoView {
    /// RFC 6381 name of the coding.
    #[schema(example = "avc1.64001f")]
    pub(crate) codec: String,
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    /// Pictures per second over the last seconds.
    pub(crate) fps: f64,
    /// Bits per second over the last seconds.
    pub(crate) bitrate_bps: u64,
    /// Capture time of the newest picture.
    pub(crate) newest: Option<String>,
}

/// What was recorded in a range, and what was not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineView {
    /// First moment of the range.
    pub(crate) start: String,
    /// First moment after the range.
    pub(crate) end: String,
    /// Recorded periods, ascending, cut to the range.
    pub(crate) periods: Vec<PeriodView>,
    /// Holes that have a known reason, ascending.
    pub(crate) gaps: Vec<GapView>,
}

/// A recorded period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PeriodView {
    /// Capture time of the first picture.
    pub(crate) start: String,
    /// First moment after the last picture.
    pub(crate) end: String,
}

/// A hole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapView {
    /// Where it begins.
    pub(crate) start: String,
    /// Where it ends; null while it lasts.
    pub(crate) end: Option<String>,
    /// Why: `camera_offline`, `unauthorized`, `server_down`, `recorder_lagged`, `packet_loss`,
    /// `storage_failed`, `storage_full`, `data_loss`, `recording_off` or `unknown`.
    #[schema(example = "camera_offline")]
    pub(crate) reason: &'static str,
}

/// Where to watch live.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveView {
    /// HLS with fMP4 segments.
    pub(crate) hls: String,
    /// RTSP, RTP interleaved in TCP or over UDP.
    pub(crate) rtsp: String,
    /// RTMP.
    pub(crate) rtmp: String,
    /// Recordings over RTSP, from the oldest on; `&start=` and `&end=` (RFC 3339) name a part, and a
    /// player seeks in it.
    pub(crate) rtsp_recorded: String,
    /// WebRTC by WHEP: POST an SDP offer. Absent where WebRTC is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whep: Option<String>,
    /// Fragmented MP4 without an end, over plain HTTP.
    pub(crate) mp4: String,
    /// The same as messages of a WebSocket, for Media Source Extensions.
    pub(crate) websocket: String,
    /// The newest picture as JPEG, anew at every fetch.
    pub(crate) image: String,
    /// When these URLs stop working.
    pub(crate) expire: String,
}

/// Where to publish to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublishView {
    /// WebRTC by WHIP: POST an SDP offer. Absent where WebRTC is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whip: Option<String>,
    /// RTMP: H.264 or, as Enhanced RTMP, H.265; AAC or G.711.
    pub(crate) rtmp: String,
    /// The same in two parts, as encoders ask for it: the server.
    pub(crate) rtmp_server: String,
    /// And the stream key.
    pub(crate) rtmp_key: String,
    /// RTSP (`ANNOUNCE` and `RECORD`), interleaved in TCP: H.264 or H.265; AAC or G.711.
    pub(crate) rtsp: String,
    /// When these URLs stop working.
    pub(crate) expire: String,
}

/// A recorded playlist.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordedHlsView {
    /// The playlist.
    pub(crate) url: String,
    /// `vod` or `event`: whether the playlist grows.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// When it, and all that it names, stops working.
    pub(crate) expire: String,
}

/// Bytes of a file, for the description only.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct FileBytes(#[expect(dead_code, reason = "describes a body")] Vec<u8>);
