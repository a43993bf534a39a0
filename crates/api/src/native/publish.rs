//! `/v1/channels/{id}/publish`.

use super::channel_of;
use super::types::{ErrorBody, PublishView};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use axum::Json;
use axum::extract::{Path, State};

/// Get URLs to publish to
///
/// For encoders, browsers and cameras that send by themselves. The URLs carry a ticket and need no header;
/// each opens the channel's video for writing until `expire`, so keep them secret. A publication that has
/// begun goes on after that. A channel with a camera source takes no publisher, and a channel has one at a
/// time.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/publish",
    tag = "video",
    params(("id" = i64, Path, description = "Channel")),
    responses(
        (status = 200, description = "URLs", body = PublishView),
        (status = 403, description = "The token does not allow to publish: it takes a token of level all", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn show_publish(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
) -> Result<Json<PublishView>, ApiError> {
    let channel = channel_of(&state, &caller, &id).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    let rtmp = links.publish_rtmp(channel);
    let (server, key) = rtmp.rsplit_once('/').unwrap_or((&rtmp, ""));
    Ok(Json(PublishView {
        whip: state.webrtc.is_some().then(|| links.whip(channel)),
        rtmp_server: server.to_owned(),
        rtmp_key: key.to_owned(),
        rtmp,
        rtsp: links.publish_rtsp(channel),
        expire: links.expire.to_rfc3339(),
    }))
}
