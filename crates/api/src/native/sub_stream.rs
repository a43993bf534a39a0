//! `/v1/channels/{id}/sub`: the camera's sub stream.

use super::channel_of;
use super::channels::{show_video, source_of};
use super::types::{ErrorBody, VideoView};
use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::vxg::source::SourceChange;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use framewell_model::{Channel, ChannelPatch, Right, RtspTransport, StreamKind, StreamOffset};
use serde::Serialize;
use utoipa::ToSchema;

/// The sub stream of a channel: the same view, usually smaller. `stream=sub` asks for it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubStreamView {
    /// Where it is pulled from, without credentials; null: nothing is pulled any more. Absent for tokens that may not
    /// change settings.
    #[schema(example = "rtsp://10.0.0.5:554/sub")]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Option<String>>,
    /// How RTP travels: `tcp` or `udp`. Absent where `url` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<Option<&'static str>>,
    /// What its source does: `active`, `inactive`, `offline` or `unauthorized`. The channel's own status is that of
    /// the main stream.
    #[schema(example = "active")]
    status: &'static str,
    /// Since when.
    status_since: Option<String>,
    /// Why it is not active.
    status_detail: Option<String>,
    /// Whether footage of it is being written now.
    recording: bool,
    /// When it records; `recording?stream=sub` changes that.
    #[schema(example = "off")]
    rec_mode: &'static str,
    /// The live video; null while there is none.
    video: Option<VideoView>,
    /// How its clock lies to that of the main stream; null until both have sent pictures.
    clock: Option<StreamClockView>,
}

/// How far capture times of the sub stream were from those of the main stream before they were put right.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamClockView {
    /// The sub stream's time of an instant minus the main stream's, in seconds, as the camera tells it. Capture
    /// times that are stored and answered are free of it.
    #[schema(example = 1.25)]
    offset_s: f64,
    /// What is left of it is no more than this, as far as the measurements tell.
    #[schema(example = 0.012)]
    error_s: f64,
    /// `both_reports`: by the sender reports of both streams. `one_report`: one of them has some, the other is
    /// placed by when it arrives. `arrival`: both are.
    #[schema(example = "both_reports")]
    basis: &'static str,
}

impl StreamClockView {
    #[expect(clippy::cast_precision_loss, reason = "shown to people")]
    fn of(offset: &StreamOffset) -> Self {
        Self {
            offset_s: offset.offset_us as f64 / 1e6,
            error_s: offset.error_us as f64 / 1e6,
            basis: offset.basis.as_str(),
        }
    }
}

/// Members of a change; absent ones stay as they are.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a body")]
pub(crate) struct SubStreamChange {
    /// `rtsp://…`; credentials in it are taken out and kept apart. Empty: nothing is pulled any more, what is
    /// recorded stays.
    url: Option<String>,
    /// User name; absent: that of the main stream, if it comes from the same host.
    login: Option<String>,
    /// Password; absent: that of the main stream, if it comes from the same host.
    password: Option<String>,
    /// `tcp` (default) or `udp`.
    transport: Option<String>,
}

/// Show the sub stream of a channel
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/sub",
    tag = "channels",
    params(("id" = i64, Path, description = "Channel")),
    responses(
        (status = 200, description = "The sub stream", body = SubStreamView),
        (status = 404, description = "No such channel behind this token, or it has no sub stream", body = ErrorBody),
    ),
)]
pub(crate) async fn show_sub_stream(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SubStreamView>, ApiError> {
    let id = channel_of(&state, &caller, &id).await?;
    let sub = state.catalog.load_sub_stream(id).await?;
    let sub = sub.ok_or_else(|| ApiError::not_found(format!("a sub stream of channel {id}")))?;
    Ok(Json(show(&state, &caller, &sub)))
}

/// Set where the sub stream of a channel comes from
///
/// It is pulled beside the main stream and can be watched at once. It is not recorded unless
/// `recording?stream=sub` says so. A sub stream that fails leaves the main stream alone.
#[utoipa::path(
    put,
    path = "/v1/channels/{id}/sub",
    tag = "channels",
    params(("id" = i64, Path, description = "Channel")),
    request_body(content = SubStreamChange, content_type = "application/json"),
    responses(
        (status = 200, description = "The sub stream now", body = SubStreamView),
        (status = 400, description = "A member that is not understood", body = ErrorBody),
        (status = 403, description = "The token may not change settings", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn update_sub_stream(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<SubStreamView>, ApiError> {
    let id = channel_of(&state, &caller, &id).await?;
    let known = ["url", "login", "password", "transport"];
    if let Some(name) = body.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(ApiError::invalid(format!(
            "{name:?} is none of {}",
            known.join(", ")
        )));
    }
    let sub = state.catalog.load_sub_stream(id).await?;
    let main = state.catalog.load_channel(id).await?;
    let own = sub.and_then(|sub| sub.source);
    let change = SourceChange::read(&body)?;
    let source = change.apply_to_sub_stream(own.as_ref(), main.source.as_ref())?;
    let patch = ChannelPatch {
        source: Some(source),
        ..ChannelPatch::default()
    };
    let account = caller.grant.account;
    let changed = state
        .catalog
        .put_sub_stream(account, id, &patch, state.clock.now());
    Ok(Json(show(&state, &caller, &changed.await?)))
}

/// Delete the sub stream of a channel, and all that is recorded of it
#[utoipa::path(
    delete,
    path = "/v1/channels/{id}/sub",
    tag = "channels",
    params(("id" = i64, Path, description = "Channel")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 403, description = "Not a license key", body = ErrorBody),
        (status = 404, description = "No such channel, or it has no sub stream", body = ErrorBody),
        (status = 409, description = "A hold keeps its footage", body = ErrorBody),
    ),
)]
pub(crate) async fn delete_sub_stream(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = channel_of(&state, &caller, &id).await?;
    let now = state.clock.now();
    let account = caller.grant.account;
    state.catalog.delete_sub_stream(account, id, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// As a part of its channel, too.
pub(super) fn show(state: &AppState, caller: &Caller, sub: &Channel) -> SubStreamView {
    debug_assert_eq!(sub.id.stream(), StreamKind::Sub);
    let track = state.registry.get(sub.id);
    let (status, since, detail) = source_of(track.as_ref());
    // Cameras are known that take a password in the path of their URL.
    let may_know = caller.grant.rights.has(Right::Configure);
    let source = sub.source.as_ref();
    let url = source.map(|source| source.url.clone());
    let transport = source.map(|source| match source.transport {
        RtspTransport::Tcp => "tcp",
        RtspTransport::Udp => "udp",
    });
    SubStreamView {
        url: may_know.then_some(url),
        transport: may_know.then_some(transport),
        status,
        status_since: since,
        status_detail: detail,
        recording: track
            .as_ref()
            .is_some_and(|track| *track.recording().borrow()),
        rec_mode: sub.rec_mode.as_str(),
        video: track.as_ref().and_then(show_video),
        clock: track
            .and_then(|track| track.offset())
            .as_ref()
            .map(StreamClockView::of),
    }
}
