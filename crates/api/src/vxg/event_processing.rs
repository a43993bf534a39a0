//! `/api/v2/cameras/{id}/event_processing/events/`: what a channel does on an event (contract section
//! 10.5).

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::origin::Origin;
use crate::params::Params;
use crate::vxg::channel_tags::tag_page;
use crate::vxg::events::{self, check_name};
use crate::vxg::ids::path_id;
use crate::vxg::input;
use crate::vxg::list::{ListRequest, MAX_LIMIT};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use framewell_insight::BUILT_IN_EVENTS;
use framewell_model::{ChannelId, EventProcessing};
use serde_json::{Map, Value, json};

/// Longest period of an event in seconds: a day.
const MAX_PERIOD_S: i64 = 86_400;

fn show(processing: &EventProcessing) -> Value {
    json!({
        "name": processing.name,
        "notify": processing.notify,
        "receive": processing.receive,
        "record": processing.record,
        "snapshot": processing.snapshot,
        "period": processing.period_s,
        "generate_images": processing.generate_images,
        "custom": processing.is_custom,
        "caps": {
            // The camera and the server find the built-in ones.
            "can_be_triggered": processing.is_custom,
            "can_record": true,
            "can_snapshot": true,
            "is_periodic": false,
        },
    })
}

async fn camera(state: &AppState, caller: &Caller, id: &str) -> Result<ChannelId, ApiError> {
    let channel: ChannelId = path_id(id, "camera")?;
    caller.check(state, channel).await?;
    Ok(channel)
}

/// What the channel knows under this name: built in, or registered by a client.
async fn known(
    state: &AppState,
    channel: ChannelId,
    name: &str,
) -> Result<EventProcessing, ApiError> {
    let all = state.insight.list_event_processing(channel).await?;
    all.into_iter()
        .find(|processing| processing.name == name)
        .ok_or_else(|| ApiError::not_found(format_args!("this event of camera {channel}")))
}

fn change(processing: &mut EventProcessing, body: &Map<String, Value>) -> Result<(), ApiError> {
    for (name, flag) in [
        ("notify", &mut processing.notify),
        ("receive", &mut processing.receive),
        ("record", &mut processing.record),
        ("snapshot", &mut processing.snapshot),
        ("generate_images", &mut processing.generate_images),
    ] {
        *flag = input::flag(body, name)?.unwrap_or(*flag);
    }
    if let Some(period) = body.get("period") {
        processing.period_s = match period {
            Value::Null => None,
            period => Some(
                period
                    .as_i64()
                    .filter(|seconds| (1..=MAX_PERIOD_S).contains(seconds))
                    .ok_or_else(|| {
                        ApiError::invalid(format!(
                            "period is neither null nor seconds from 1 to {MAX_PERIOD_S}"
                        ))
                    })?,
            ),
        };
    }
    Ok(())
}

pub(crate) async fn list_processing(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel = camera(&state, &caller, &id).await?;
    let list = ListRequest::read(&uri, &params, MAX_LIMIT, MAX_LIMIT)?;
    let known = state.insight.list_event_processing(channel).await?;
    Ok(tag_page(&list, known.iter().map(show).collect()))
}

/// Registering a name again changes what is set for it.
pub(crate) async fn create_processing(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let channel = camera(&state, &caller, &id).await?;
    let name = input::text(&body, "name")?.ok_or_else(|| ApiError::invalid("name is missing"))?;
    check_name(name)?;
    let mut processing = state.insight.event_processing(channel, name).await?;
    change(&mut processing, &body)?;
    state
        .catalog
        .put_event_processing(channel, &processing)
        .await?;
    Ok((StatusCode::CREATED, Json(show(&processing))))
}

pub(crate) async fn show_processing(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let channel = camera(&state, &caller, &id).await?;
    Ok(Json(show(&known(&state, channel, &name).await?)))
}

pub(crate) async fn update_processing(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let channel = camera(&state, &caller, &id).await?;
    let mut processing = known(&state, channel, &name).await?;
    change(&mut processing, &body)?;
    state
        .catalog
        .put_event_processing(channel, &processing)
        .await?;
    Ok(Json(show(&processing)))
}

/// A built-in name goes back to what it does unless told.
pub(crate) async fn delete_processing(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let channel = camera(&state, &caller, &id).await?;
    state
        .catalog
        .delete_event_processing(channel, &name)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn trigger(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path((id, name)): Path<(String, String)>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let channel = camera(&state, &caller, &id).await?;
    if BUILT_IN_EVENTS.contains(&name.as_str()) {
        return Err(ApiError::invalid(
            "this event comes from the camera or the server and cannot be triggered",
        ));
    }
    known(&state, channel, &name).await?;
    let new = events::read_new(&state, channel, &name, &body)?;
    events::create(&state, &caller, &origin, &new).await
}
