//! `/api/v2/cameras/{id}/media_streams/` and `…/video/streams/` (contract section 12.2). A player
//! that does not get these repeats the request without pause and never plays.

use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::live_stats::rates;
use crate::vxg::channels::load;
use axum::Json;
use axum::extract::{Path, State};
use framewell_media::VideoCodec;
use framewell_model::{ChannelId, StreamKind};
use serde_json::{Value, json};

/// What players take by themselves.
const STREAM: &str = StreamKind::Main.as_str();

/// Names of a stream's video and audio parts.
fn video_name(stream: StreamKind) -> String {
    format!("vs_{stream}")
}

fn media_stream(stream: StreamKind) -> Value {
    json!({ "id": stream.as_str(), "vs_id": video_name(stream), "as_id": format!("as_{stream}") })
}

/// The streams that a channel has.
async fn streams_of(state: &AppState, channel: ChannelId) -> Result<Vec<StreamKind>, ApiError> {
    let sub = state.catalog.load_sub_stream(channel).await?;
    let sub = sub.map(|_| StreamKind::Sub);
    Ok(std::iter::once(StreamKind::Main).chain(sub).collect())
}

pub(crate) async fn show_media_streams(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    let streams = streams_of(&state, channel.id).await?;
    let streams: Vec<Value> = streams.into_iter().map(media_stream).collect();
    Ok(Json(json!({
        "live_ms_id": STREAM,
        "rec_ms_id": STREAM,
        "mstreams_supported": streams,
    })))
}

/// `format` is null while nothing is known about the camera; players then try HLS.
fn show(state: &AppState, channel: ChannelId) -> Value {
    let track = state.registry.get(channel);
    let video = track
        .as_ref()
        .and_then(framewell_live::Track::parameters)
        .map(|parameters| parameters.video.clone());
    let rates = track.map(|track| rates(&track)).unwrap_or_default();
    let format = video.as_ref().map(|video| match video.codec {
        VideoCodec::H264 => "H264",
        VideoCodec::H265 => "H265",
    });
    let size = video.map_or([0, 0], |video| [video.width, video.height]);
    let kilobits = rates.bits_per_s / 1_000;
    json!({
        "id": video_name(channel.stream()),
        "format": format,
        "resolution": size,
        "fps": rates.fps,
        "gop": rates.gop_frames,
        "vbr": true,
        "vbr_quality": 0,
        "vbr_bitrate": kilobits,
        "cbr_bitrate": kilobits,
        "caps": [],
    })
}

pub(crate) async fn list_video_streams(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    let streams = streams_of(&state, channel.id).await?;
    let objects = streams
        .iter()
        .map(|stream| show(&state, channel.id.of(*stream)));
    Ok(Json(json!({
        "meta": { "limit": 20, "offset": 0, "total_count": streams.len(), "next": null, "previous": null },
        "objects": objects.collect::<Vec<_>>(),
    })))
}

pub(crate) async fn show_video_stream(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, stream)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    let streams = streams_of(&state, channel.id).await?;
    let mut streams = streams.into_iter();
    let stream = streams.find(|kind| video_name(*kind) == stream);
    let stream = stream.ok_or_else(|| ApiError::not_found("this video stream"))?;
    Ok(Json(show(&state, channel.id.of(stream))))
}
