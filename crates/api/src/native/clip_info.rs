//! What a clip consists of, for `clip.json`.

use super::clip_params::{Wanted, word_of};
use framewell_catalog::{ClipFile, ClipGap, StoredClip};
use framewell_clips::{ClipMakeup, Lack};
use framewell_footage::FootageGap;
use framewell_model::{ChannelId, GapReason, WallTime};
use framewell_playback::{Clip, ClipSegment};
use serde::Serialize;
use std::hash::{DefaultHasher, Hash, Hasher};
use utoipa::ToSchema;

/// What a clip consists of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClipInfo {
    /// The camera.
    #[schema(example = 7)]
    channel: i64,
    /// Which stream of it: `main` or `sub`.
    #[schema(example = "main")]
    stream: &'static str,
    /// First moment that was asked for.
    start: String,
    /// First moment that was not.
    end: String,
    /// Capture time of the first picture shown.
    presented_start: String,
    /// End of the last picture shown.
    presented_end: String,
    /// Bytes of the file.
    size: u64,
    /// Validator of the file.
    etag: String,
    /// What becomes of holes: `collapse` or `keep`.
    gaps_mode: &'static str,
    /// What of the range that was asked for is not there, ascending.
    gaps: Vec<ClipGapView>,
    /// Which segment is shown when, in order.
    segments: Vec<ClipSegmentView>,
}

/// A stretch without footage.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClipGapView {
    /// First moment without footage.
    start: String,
    /// First moment with footage again.
    end: String,
    /// `camera_offline`, `unauthorized`, `server_down`, `recorder_lagged`, `packet_loss`, `storage_failed`,
    /// `storage_full`, `data_loss`, `recording_off` or `unknown`; null where none was written down.
    #[schema(example = "camera_offline")]
    reason: Option<&'static str>,
    /// The segments that are missing or damaged, where the reason is `data_loss`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    segments: Vec<String>,
}

/// A segment of the recording in a clip.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClipSegmentView {
    /// The segment.
    segment: String,
    /// Its record in the compatible API; null while it is not published.
    record: Option<i64>,
    /// Capture time of its first picture shown.
    start: String,
    /// End of its last one.
    end: String,
    /// When its first picture is shown, in seconds from the beginning of the clip.
    at_s: f64,
    /// First byte of its media in the file.
    first_byte: u64,
    /// First byte behind it.
    end_byte: u64,
    /// RFC 6381 names of the codings.
    #[schema(example = "avc1.64001f,mp4a.40.2")]
    codecs: String,
}

impl ClipInfo {
    pub(super) fn new(channel: ChannelId, wanted: &Wanted, clip: &Clip) -> Self {
        Self {
            channel: channel.main().get(),
            stream: channel.stream().as_str(),
            start: wanted.range.start.to_rfc3339(),
            end: wanted.range.end.to_rfc3339(),
            presented_start: clip.range.start.to_rfc3339(),
            presented_end: clip.range.end.to_rfc3339(),
            size: clip.len,
            etag: clip.etag.clone(),
            gaps_mode: word_of(wanted.options.holes),
            gaps: clip.gaps.iter().map(|gap| view_gap(gap, clip)).collect(),
            segments: clip.segments().iter().map(view_segment).collect(),
        }
    }

    /// Of a stored clip that is finished.
    pub(super) fn of_stored(clip: &StoredClip, file: &ClipFile, makeup: &ClipMakeup) -> Self {
        let gap = |lack: &Lack| ClipGapView {
            segments: lack.segments.iter().map(ToString::to_string).collect(),
            ..ClipGapView::from(&lack.gap)
        };
        Self {
            channel: clip.channel.main().get(),
            stream: clip.channel.stream().as_str(),
            start: clip.range.start.to_rfc3339(),
            end: clip.range.end.to_rfc3339(),
            presented_start: file.shown.start.to_rfc3339(),
            presented_end: file.shown.end.to_rfc3339(),
            size: u64::try_from(file.size_bytes).unwrap_or(0),
            etag: clip.object.map_or_else(String::new, |id| id.to_string()),
            gaps_mode: word_of(makeup.holes),
            gaps: makeup.gaps.iter().map(gap).collect(),
            segments: makeup.segments.iter().map(view_segment).collect(),
        }
    }

    /// The JSON text, and a validator of it.
    pub(super) fn text(&self) -> (String, String) {
        let text = serde_json::to_string(self).unwrap_or_default();
        let mut hash = DefaultHasher::new();
        text.hash(&mut hash);
        let etag = format!("{}-{:016x}", self.etag, hash.finish());
        (text, etag)
    }
}

fn view_gap(gap: &FootageGap, clip: &Clip) -> ClipGapView {
    let is_lost = gap.reason == Some(GapReason::DataLoss);
    let lost = clip
        .lost
        .iter()
        .filter(|place| is_lost && place.range.overlaps(&gap.range));
    ClipGapView {
        start: gap.range.start.to_rfc3339(),
        end: gap.range.end.to_rfc3339(),
        reason: gap.reason.map(GapReason::as_str),
        segments: lost.map(|place| place.segment.to_string()).collect(),
    }
}

impl From<&ClipGap> for ClipGapView {
    fn from(gap: &ClipGap) -> Self {
        Self {
            start: gap.range.start.to_rfc3339(),
            end: gap.range.end.to_rfc3339(),
            reason: gap.reason.map(GapReason::as_str),
            segments: Vec::new(),
        }
    }
}

fn view_segment(segment: &ClipSegment) -> ClipSegmentView {
    let at = WallTime::from_micros(segment.at_us);
    ClipSegmentView {
        segment: segment.id.to_string(),
        record: segment.record.map(framewell_model::RecordId::get),
        start: segment.range.start.to_rfc3339(),
        end: segment.range.end.to_rfc3339(),
        at_s: seconds(at),
        first_byte: segment.bytes.start,
        end_byte: segment.bytes.end,
        codecs: segment.codecs.to_string(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a clip has less than 2^53 microseconds"
)]
fn seconds(at: WallTime) -> f64 {
    at.micros() as f64 / 1e6
}
