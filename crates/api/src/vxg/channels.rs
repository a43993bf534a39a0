//! `/api/v3/channels/` (contract sections 4.1, 4.2).

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::origin::Origin;
use crate::params::Params;
use crate::vxg::fields;
use crate::vxg::ids::path_id;
use crate::vxg::list::{DEFAULT_LIMIT, ListRequest, MAX_LIMIT};
use crate::vxg::view::{ChannelTokens, Now, Shown, channel_filter, channel_v3};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use framewell_model::{Channel, ChannelId};
use serde_json::Value;

/// Loads a channel that the caller may use with the route's right.
pub(crate) async fn load(state: &AppState, caller: &Caller, id: &str) -> Result<Channel, ApiError> {
    let id: ChannelId = path_id(id, "channel")?;
    caller.check(state, id).await?;
    Ok(state.catalog.load_channel(id).await?)
}

async fn show(
    state: &AppState,
    origin: &Origin,
    channel: &Channel,
    shown: Shown,
) -> Result<Value, ApiError> {
    let tokens = ChannelTokens::load(state, origin, channel.account, &[channel.id]).await?;
    Ok(channel_v3(
        channel,
        Now::of(state, channel.id),
        &tokens,
        shown,
    ))
}

fn shown(params: &Params) -> Result<Shown, ApiError> {
    Ok(Shown {
        has_password: params.get("detail") == Some("detail"),
        has_meta: params.flag("include_meta")?,
        has_status: true,
    })
}

const AFTER_WRITE: Shown = Shown {
    has_password: false,
    has_meta: true,
    has_status: false,
};

pub(crate) async fn list_channels(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let list = ListRequest::read(&uri, &params, DEFAULT_LIMIT, MAX_LIMIT)?;
    let mut filter = channel_filter(&params);
    filter.ids = params.number::<ChannelId>("id")?.map(|id| vec![id]);
    let account = caller.grant.account;
    let page = state.catalog.list_channels(account, &filter, list.slice);
    let page = page.await?;
    let ids: Vec<ChannelId> = page.items.iter().map(|channel| channel.id).collect();
    let tokens = ChannelTokens::load(&state, &origin, account, &ids).await?;
    let shown = shown(&params)?;
    let objects = page
        .items
        .iter()
        .map(|channel| channel_v3(channel, Now::of(&state, channel.id), &tokens, shown));
    Ok(list.answer(objects.collect(), page.total, None))
}

pub(crate) async fn create_channel(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let new = fields::read_new_channel(&body)?;
    let now = state.clock.now();
    let channel = state
        .catalog
        .create_channel(caller.grant.account, &new, now)
        .await?;
    let object = show(&state, &origin, &channel, AFTER_WRITE).await?;
    Ok((StatusCode::CREATED, Json(object)))
}

pub(crate) async fn show_channel(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    let object = show(&state, &origin, &channel, shown(&params)?).await?;
    Ok(Json(object))
}

pub(crate) async fn update_channel(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let stored = load(&state, &caller, &id).await?;
    let patch = fields::read_patch(&body, stored.source.as_ref())?;
    let account = caller.grant.account;
    let channel = state.catalog.update_channel(account, stored.id, &patch);
    let object = show(&state, &origin, &channel.await?, AFTER_WRITE).await?;
    Ok(Json(object))
}

pub(crate) async fn delete_channel(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    let now = state.clock.now();
    state
        .catalog
        .delete_channel(caller.grant.account, channel.id, now)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
