//! `/api/v4/images/generation/live/`: pictures of the live stream, stored periodically (contract
//! section 8.2). The same setting is a member of `/api/v4/channel/`.

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::params::Params;
use crate::vxg::input;
use axum::Json;
use axum::extract::State;
use framewell_gallery::LIVE_PERIOD_US;
use framewell_model::{Channel, ChannelPatch};
use serde_json::{Map, Value, json};

/// Name of the setting.
pub(crate) const PERIOD: &str = "image_generation_period";

/// Reads the setting: a number or a text of seconds, `null` to stop.
pub(crate) fn read_period(body: &Map<String, Value>) -> Result<Option<Option<i64>>, ApiError> {
    let period = input::seconds(body, PERIOD)?;
    if let Some(Some(period)) = period
        && !LIVE_PERIOD_US.contains(&period)
    {
        return Err(ApiError::invalid(format!(
            "{PERIOD} is outside {} to {} seconds",
            input::seconds_of(*LIVE_PERIOD_US.start()),
            input::seconds_of(*LIVE_PERIOD_US.end()),
        )));
    }
    Ok(period)
}

/// The setting as the contract shows it: seconds, or null.
pub(crate) fn show_period(channel: &Channel) -> Value {
    channel.image_period_us.map(input::seconds_of).into()
}

fn show(channel: &Channel) -> Json<Value> {
    Json(json!({ PERIOD: show_period(channel) }))
}

pub(crate) async fn show_live_generation(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let id = caller.own_channel(&state, &params).await?;
    Ok(show(&state.catalog.load_channel(id).await?))
}

pub(crate) async fn update_live_generation(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let id = caller.own_channel(&state, &params).await?;
    let period = read_period(&body)?.ok_or_else(|| {
        ApiError::invalid(format!("{PERIOD} is missing: seconds, or null to stop"))
    })?;
    let patch = ChannelPatch {
        image_period_us: Some(period),
        ..ChannelPatch::default()
    };
    let account = caller.grant.account;
    let channel = state.catalog.update_channel(account, id, &patch);
    Ok(show(&channel.await?))
}
