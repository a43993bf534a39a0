//! `/v1/channels/{id}/live`.

use super::stream_of;
use super::types::{ErrorBody, LiveView};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};

/// Get URLs to watch live
///
/// The URLs carry a ticket and need no header. They exist whether or not the camera is streaming.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/live",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
    ),
    responses(
        (status = 200, description = "URLs", body = LiveView),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn show_live(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<LiveView>, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    Ok(Json(LiveView {
        hls: links.hls(channel),
        rtsp: links.rtsp(channel),
        rtmp: links.rtmp(channel),
        rtsp_recorded: links.rtsp_recorded(channel),
        whep: state.webrtc.is_some().then(|| links.whep(channel)),
        mp4: links.stream_mp4(channel),
        websocket: links.stream_socket(channel),
        image: links.live_image(channel),
        expire: links.expire.to_rfc3339(),
    }))
}
