//! `/api/v4/channel/`: the channel behind a channel token (contract section 6.1).

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::origin::Origin;
use crate::params::Params;
use crate::vxg::fields;
use crate::vxg::image_live::{PERIOD, show_period};
use crate::vxg::view::{ChannelTokens, Now};
use axum::Json;
use axum::extract::State;
use framewell_model::{Access, Channel, Right};
use serde_json::{Value, json};

/// The level that the caller itself holds.
pub(crate) fn level(caller: &Caller) -> Access {
    if caller.grant.rights.has(Right::Meta) {
        Access::All
    } else {
        Access::Watch
    }
}

async fn show(
    state: &AppState,
    caller: &Caller,
    origin: &Origin,
    channel: &Channel,
) -> Result<Value, ApiError> {
    let now = Now::of(state, channel.id);
    let tokens = ChannelTokens::load(state, origin, channel.account, &[channel.id]).await?;
    Ok(json!({
        "id": channel.id,
        "name": channel.name,
        "timezone": channel.timezone,
        "status": now.status.as_str(),
        "streaming": now.is_streaming(),
        "rec_mode": channel.rec_mode.as_str(),
        "recording": now.is_recording,
        "created": channel.created.to_naive_text(),
        PERIOD: show_period(channel),
        "token": tokens.get(channel.id, level(caller)),
    }))
}

pub(crate) async fn show_own_channel(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let id = caller.own_channel(&state, &params).await?;
    let channel = state.catalog.load_channel(id).await?;
    let mut object = show(&state, &caller, &origin, &channel).await?;
    if params.flag("include_meta")? {
        object["meta"] = json!(channel.meta);
    }
    Ok(Json(object))
}

pub(crate) async fn update_own_channel(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let id = caller.own_channel(&state, &params).await?;
    let stored = state.catalog.load_channel(id).await?;
    let patch = fields::read_patch(&body, stored.source.as_ref())?;
    let channel = state.catalog.update_channel(stored.account, id, &patch);
    let channel = channel.await?;
    let mut object = show(&state, &caller, &origin, &channel).await?;
    object["meta"] = json!(channel.meta);
    Ok(Json(object))
}
