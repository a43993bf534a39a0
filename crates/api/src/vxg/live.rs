//! `/api/v4/live/`: stream URLs, the newest picture, the source (contract sections 6.2 to 6.4).

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use crate::params::Params;
use crate::picture;
use crate::vxg::ids::path_id;
use crate::vxg::source::{SourceChange, show_source};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use framewell_model::{ChannelId, ChannelPatch, Right, StreamKind};
use serde_json::{Value, json};

/// `rtmp` is always there because a vendor sample reads it unguarded; `webrtc` where WebRTC is on; `rtc`,
/// which players would prefer, never.
pub(crate) async fn watch(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let mut channel = caller.own_channel(&state, &params).await?;
    if params.get("stream_id") == Some(StreamKind::Sub.as_str()) {
        channel = channel.of(StreamKind::Sub);
        caller.check(&state, channel).await?;
    }
    let links = Links::new(&state, &origin, &caller.grant);
    let expire = links.expire.to_naive_text();
    let mut urls = json!({
        "rtmp": links.rtmp(channel),
        "rtsp": links.rtsp(channel),
        "hls": links.hls(channel),
        "expire": expire,
        "expire_hls": expire,
    });
    if state.webrtc.is_some() {
        // Players fetch a script of ours only if it is newer than their own 2.0.3.
        urls["webrtc"] = json!({
            "version": "2.0.2",
            "connection_url": links.signalling(channel),
            "ice_servers": [],
        });
    }
    Ok(Json(urls))
}

/// `/api/v2/cameras/{id}/stream_urls/?proto=rtmp`: where to publish to.
pub(crate) async fn show_stream_urls(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel: ChannelId = path_id(&id, "camera")?;
    caller.check(&state, channel).await?;
    if params.get("proto").is_some_and(|proto| proto != "rtmp") {
        return Err(ApiError::invalid("proto is not rtmp"));
    }
    let links = Links::new(&state, &origin, &caller.grant);
    Ok(Json(json!({
        "rtmp": links.publish_rtmp(channel),
        "expire": links.expire.to_naive_text(),
    })))
}

/// `/api/v2/cameras/{id}/live_urls/`: the same as [`watch`], for tokens of many channels (contract section
/// 6.2).
pub(crate) async fn show_live_urls(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let channel: ChannelId = path_id(&id, "camera")?;
    caller.check(&state, channel).await?;
    let params = Params::parse(Some(&format!("camid={channel}")));
    watch(State(state), caller, origin, params).await
}

pub(crate) async fn show_live_image(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    newest(&state, &caller, &origin, channel).await
}

/// `/api/v2/cameras/{id}/preview/` and `…/preview/update/`: a preview is made when it is asked for, so
/// asking for a new one is asking for it.
pub(crate) async fn show_preview(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let channel: ChannelId = path_id(&id, "camera")?;
    caller.check(&state, channel).await?;
    newest(&state, &caller, &origin, channel).await
}

/// The newest picture: made now, and the URL names that very instant. 404 while there is none.
async fn newest(
    state: &AppState,
    caller: &Caller,
    origin: &Origin,
    channel: ChannelId,
) -> Result<Json<Value>, ApiError> {
    let image = match picture::fetch(state, &picture::newest(channel)).await {
        Err(error) if error.status == StatusCode::SERVICE_UNAVAILABLE => {
            return Err(error.with_status(StatusCode::NOT_FOUND));
        }
        other => other?,
    };
    let links = Links::new(state, origin, &caller.grant);
    Ok(Json(json!({
        "url": links.image(channel, image.captured),
        "time": image.captured.to_naive_text(),
        "width": image.width,
        "height": image.height,
        "expire": links.expire.to_naive_text(),
    })))
}

pub(crate) async fn show_source_of_channel(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let id = caller.own_channel(&state, &params).await?;
    let channel = state.catalog.load_channel(id).await?;
    let is_owner = caller.grant.rights.has(Right::Admin) && params.get("detail") == Some("detail");
    Ok(Json(show_source(channel.source.as_ref(), is_owner)))
}

pub(crate) async fn update_source(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let id = caller.own_channel(&state, &params).await?;
    let stored = state.catalog.load_channel(id).await?;
    let source = SourceChange::read(&body)?.apply(stored.source.as_ref())?;
    let patch = ChannelPatch {
        source: Some(source),
        ..ChannelPatch::default()
    };
    let channel = state.catalog.update_channel(stored.account, id, &patch);
    Ok(Json(show_source(channel.await?.source.as_ref(), false)))
}
