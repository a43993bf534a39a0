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
use framewell_model::ChannelId;
use serde_json::{Value, json};

/// Every channel has one stream, under this name.
const STREAM: &str = "main";
/// Its video part.
const VIDEO: &str = "vs_main";
/// Its audio part.
const AUDIO: &str = "as_main";

pub(crate) async fn show_media_streams(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    load(&state, &caller, &id).await?;
    Ok(Json(json!({
        "live_ms_id": STREAM,
        "rec_ms_id": STREAM,
        "mstreams_supported": [{ "id": STREAM, "vs_id": VIDEO, "as_id": AUDIO }],
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
        "id": VIDEO,
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
    Ok(Json(json!({
        "meta": { "limit": 20, "offset": 0, "total_count": 1, "next": null, "previous": null },
        "objects": [show(&state, channel.id)],
    })))
}

pub(crate) async fn show_video_stream(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, stream)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    if stream != VIDEO {
        return Err(ApiError::not_found("this video stream"));
    }
    Ok(Json(show(&state, channel.id)))
}
