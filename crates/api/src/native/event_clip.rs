//! `/v1/events/{id}/clip.mp4`: the footage around an event.

use super::clip::{open, send, send_info};
use super::clip_info::ClipInfo;
use super::clip_params::{Wanted, read_roll};
use super::types::{ErrorBody, FileBytes};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::vxg::events::load;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use framewell_model::{ChannelId, TimeRange};
use framewell_playback::Clip;
use framewell_recorder::Rolls;

/// Get the footage around an event as one MP4 file
///
/// As `/v1/channels/{id}/clip.mp4`, from `pre` before the event to `post` behind it. Without them it is what
/// the channel keeps around events.
#[utoipa::path(
    get,
    path = "/v1/events/{id}/clip.mp4",
    tag = "events",
    params(
        ("id" = i64, Path, description = "Event"),
        ("pre" = Option<String>, Query, description = "Time before the event, such as `10s`; up to an hour"),
        ("post" = Option<String>, Query, description = "Time behind it"),
        ("gaps" = Option<String>, Query, description = "As for a clip of a channel"),
        ("strict" = Option<bool>, Query, description = "As for a clip of a channel"),
        ("wait" = Option<bool>, Query, description = "As for a clip of a channel: for an event that has just happened"),
        ("wait_s" = Option<u32>, Query, description = "As for a clip of a channel"),
    ),
    responses(
        (status = 200, description = "The file", content_type = "video/mp4", body = FileBytes),
        (status = 206, description = "A byte range of the file", content_type = "video/mp4", body = FileBytes),
        (status = 400, description = "Bad parameter, or its end lies in the future", body = ErrorBody),
        (status = 404, description = "No such event behind this token, or no footage around it", body = ErrorBody),
        (status = 416, description = "The byte range lies outside the file", body = ErrorBody),
        (status = 429, description = "The clips that are open now are too long in total; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn show_event_clip(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, _, clip) = find(&state, &caller, &id, &params).await?;
    send(&clip, &headers)
}

/// Show what the clip around an event consists of
#[utoipa::path(
    get,
    path = "/v1/events/{id}/clip.json",
    tag = "events",
    params(
        ("id" = i64, Path, description = "Event"),
        ("pre" = Option<String>, Query, description = "As for `clip.mp4`"),
        ("post" = Option<String>, Query, description = "As for `clip.mp4`"),
        ("gaps" = Option<String>, Query, description = "As for `clip.mp4`"),
        ("strict" = Option<bool>, Query, description = "As for `clip.mp4`"),
        ("wait" = Option<bool>, Query, description = "As for `clip.mp4`"),
        ("wait_s" = Option<u32>, Query, description = "As for `clip.mp4`"),
    ),
    responses(
        (status = 200, description = "The clip", body = ClipInfo),
        (status = 400, description = "Bad parameter, or its end lies in the future", body = ErrorBody),
        (status = 404, description = "No such event behind this token, or no footage around it", body = ErrorBody),
    ),
)]
pub(crate) async fn show_event_clip_info(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (channel, wanted, clip) = find(&state, &caller, &id, &params).await?;
    send_info(&ClipInfo::new(channel, &wanted, &clip), &headers)
}

async fn find(
    state: &AppState,
    caller: &Caller,
    id: &str,
    params: &Params,
) -> Result<(ChannelId, Wanted, Clip), ApiError> {
    let event = load(state, caller, id).await?;
    let channel = state.catalog.load_channel(event.channel).await?;
    let rolls = Rolls::of(&channel, state.config.rolls);
    let wanted = Wanted::with_range(params, &["pre", "post"], || {
        let start = event.time - read_roll(params, "pre", rolls.pre)?;
        let end = event.time + read_roll(params, "post", rolls.post)?;
        TimeRange::new(start, end)
            .filter(|range| range.micros() > 0)
            .ok_or_else(|| ApiError::invalid("pre and post are both zero"))
    })?;
    wanted.check_future(state.clock.now())?;
    wanted.settle(state, caller, channel.id).await?;
    let clip = open(state, caller, channel.id, &wanted).await?;
    Ok((channel.id, wanted, clip))
}
