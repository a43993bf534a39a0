//! `/api/v3/channels/{id}/limits/`: quotas of a channel (contract section 4.4).
//!
//! `records_max_age` and `meta_max_age`, both in hours, are enforced. The others are kept for the
//! clients that set them and have no effect.

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::vxg::channels::load;
use axum::Json;
use axum::extract::{Path, State};
use framewell_model::{Channel, ChannelPatch};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How long footage is kept, in hours: the channel's own retention.
const RECORDS_MAX_AGE: &str = "records_max_age";

/// The members of the object besides [`RECORDS_MAX_AGE`].
const NAMES: [&str; 12] = [
    framewell_catalog::META_MAX_AGE,
    "storage_size",
    "download_size",
    "live_size",
    "gen_images_size",
    "gen_images_amount",
    "gen_liveimages_size",
    "gen_liveimages_amount",
    "gen_liveimages_period",
    "ai_process_amount",
    "ai_process_period",
    "expire",
];

const HOUR_S: f64 = 3_600.0;
/// A century in hours.
const MOST_HOURS: f64 = 876_600.0;

pub(crate) async fn show_limits(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    show(&state, &channel).await
}

pub(crate) async fn update_limits(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    let mut limits = BTreeMap::new();
    for name in NAMES {
        if let Some(limit) = limit(&body, name)? {
            limits.insert(name.to_owned(), limit);
        }
    }
    let retention_s = limit(&body, RECORDS_MAX_AGE)?
        .map(retention_s)
        .transpose()?;
    state
        .catalog
        .put_channel_limits(channel.id, &limits)
        .await?;
    let patch = ChannelPatch {
        retention_s,
        ..ChannelPatch::default()
    };
    let account = caller.grant.account;
    let channel = state.catalog.update_channel(account, channel.id, &patch);
    show(&state, &channel.await?).await
}

/// A limit in the body; `Some(None)` for `null` and for -1, which a client uses instead.
fn limit(body: &Map<String, Value>, name: &str) -> Result<Option<Option<f64>>, ApiError> {
    let number = match body.get(name) {
        None => return Ok(None),
        Some(Value::Null) => return Ok(Some(None)),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    match number {
        Some(-1.0) => Ok(Some(None)),
        Some(number) if number.is_finite() && number >= 0.0 => Ok(Some(Some(number))),
        _ => Err(ApiError::invalid(format!(
            "{name} is neither null nor a number of 0 or more"
        ))),
    }
}

fn retention_s(hours: Option<f64>) -> Result<Option<i64>, ApiError> {
    let Some(hours) = hours else {
        return Ok(None);
    };
    if hours > MOST_HOURS {
        return Err(ApiError::invalid(format!(
            "{RECORDS_MAX_AGE} is more than {MOST_HOURS} hours"
        )));
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most a century")]
    let seconds = (hours * HOUR_S) as i64;
    Ok(Some(seconds))
}

async fn show(state: &AppState, channel: &Channel) -> Result<Json<Value>, ApiError> {
    let stored = state.catalog.load_channel_limits(channel.id).await?;
    let mut object: Map<String, Value> = NAMES
        .iter()
        .map(|name| ((*name).to_owned(), show_number(stored.get(*name).copied())))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "at most a century of seconds")]
    let hours = channel.retention_s.map(|seconds| seconds as f64 / HOUR_S);
    object.insert(RECORDS_MAX_AGE.to_owned(), show_number(hours));
    Ok(Json(Value::Object(object)))
}

/// Whole numbers without a fraction, as they came.
fn show_number(number: Option<f64>) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        Some(number) if number.fract() == 0.0 && number.abs() < EXACT => json!(number as i64),
        number => json!(number),
    }
}
