//! `/v1/channels`.

use super::types::{ChannelPage, ChannelView, ErrorBody, PageMeta, VideoView};
use super::{channel_of, sub_stream};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::live_stats::{live_size, newest, rates};
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use framewell_catalog::{ChannelFilter, Slice};
use framewell_live::Track;
use framewell_model::{Channel, ChannelId, ChannelStatus, WallTime};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// List the channels behind the token
#[utoipa::path(
    get,
    path = "/v1/channels",
    tag = "channels",
    params(
        ("limit" = Option<u32>, Query, description = "Most channels in one answer, 1 to 1000; 100 if absent"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "A page, ascending by id", body = ChannelPage),
        (status = 401, description = "No valid token", body = ErrorBody),
    ),
)]
pub(crate) async fn list_channels(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
) -> Result<Json<ChannelPage>, ApiError> {
    let limit = params.number::<usize>("limit")?.unwrap_or(DEFAULT_LIMIT);
    let limit = limit.clamp(1, MAX_LIMIT);
    let after = params
        .get("cursor")
        .map(|cursor| {
            read_cursor(cursor).ok_or_else(|| ApiError::invalid("cursor is not one of ours"))
        })
        .transpose()?;
    let mut ids = state.access.channels(&caller.grant).await?;
    ids.sort_unstable();
    ids.retain(|id| after.is_none_or(|after| *id > after));
    let has_more = ids.len() > limit;
    ids.truncate(limit);
    let next = ids.last().filter(|_| has_more).map(|id| write_cursor(*id));
    let channels = load(&state, &caller, ids).await?;
    Ok(Json(ChannelPage {
        channels: channels
            .iter()
            .map(|channel| show(&state, channel))
            .collect(),
        meta: PageMeta { next },
    }))
}

async fn load(
    state: &AppState,
    caller: &Caller,
    ids: Vec<ChannelId>,
) -> Result<Vec<Channel>, ApiError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let slice = Slice {
        limit: i64::try_from(ids.len()).unwrap_or(i64::MAX),
        offset: 0,
    };
    let filter = ChannelFilter {
        ids: Some(ids),
        ..ChannelFilter::default()
    };
    let page = state
        .catalog
        .list_channels(caller.grant.account, &filter, slice);
    Ok(page.await?.items)
}

/// Opaque to clients, so that it can change.
fn write_cursor(last: ChannelId) -> String {
    format!("c{:x}", last.get())
}

fn read_cursor(text: &str) -> Option<ChannelId> {
    let id = i64::from_str_radix(text.strip_prefix('c')?, 16).ok()?;
    ChannelId::new(id)
}

/// Show one channel
#[utoipa::path(
    get,
    path = "/v1/channels/{id}",
    tag = "channels",
    params(("id" = i64, Path, description = "Channel")),
    responses(
        (status = 200, description = "The channel", body = ChannelView),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn show_channel(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ChannelView>, ApiError> {
    let id = channel_of(&state, &caller, &id).await?;
    let channel = state.catalog.load_channel(id).await?;
    let sub = state.catalog.load_sub_stream(id).await?;
    Ok(Json(ChannelView {
        sub: sub.map(|sub| sub_stream::show(&state, &caller, &sub)),
        ..show(&state, &channel)
    }))
}

/// Status, since when, and why it is not active.
pub(super) fn source_of(track: Option<&Track>) -> (&'static str, Option<String>, Option<String>) {
    let Some(track) = track else {
        return (ChannelStatus::Inactive.as_str(), None, None);
    };
    let source = track.source_state().borrow().clone();
    let since = source.since.to_rfc3339();
    (source.status.as_str(), Some(since), source.detail)
}

fn show(state: &AppState, channel: &Channel) -> ChannelView {
    let track = state.registry.get(channel.id);
    let (status, since, detail) = source_of(track.as_ref());
    ChannelView {
        id: channel.id.get(),
        name: channel.name.clone(),
        created: channel.created.to_rfc3339(),
        status,
        status_since: since,
        status_detail: detail,
        recording: track
            .as_ref()
            .is_some_and(|track| *track.recording().borrow()),
        rec_mode: channel.rec_mode.as_str(),
        timezone: channel.timezone.clone(),
        tags: channel.meta.clone(),
        video: track.as_ref().and_then(show_video),
        sub: None,
    }
}

pub(super) fn show_video(track: &Track) -> Option<VideoView> {
    let (width, height) = live_size(track)?;
    let rates = rates(track);
    Some(VideoView {
        codec: track.parameters()?.video.rfc6381.clone(),
        width,
        height,
        fps: rates.fps,
        bitrate_bps: rates.bits_per_s,
        newest: newest(track).map(WallTime::to_rfc3339),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_the_round_trip_and_others_are_refused() {
        let id = ChannelId::new(123_456).unwrap();
        assert_eq!(read_cursor(&write_cursor(id)), Some(id));
        for text in ["", "c", "c0", "c-1", "7", "cxyz"] {
            assert_eq!(read_cursor(text), None, "{text}");
        }
    }
}
