//! `/api/v2/storage/events/{id}/meta/`: tags of an event (contract section 10.4).

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::params::Params;
use crate::vxg::channel_tags::{tag_object, tag_page};
use crate::vxg::events::load;
use crate::vxg::input;
use crate::vxg::list::{ListRequest, MAX_LIMIT};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use framewell_model::EventId;
use serde_json::{Map, Value};

/// Empty data is fine, and so is none.
fn data(body: &Map<String, Value>) -> Result<String, ApiError> {
    match body.get("data") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(data) => input::tag_data(data),
    }
}

async fn put(state: &AppState, event: EventId, tag: &str, data: &str) -> Result<Value, ApiError> {
    input::check_tag(tag)?;
    state.catalog.put_event_tag(event, tag, data).await?;
    Ok(tag_object(tag, data))
}

pub(crate) async fn list_event_tags(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let event = load(&state, &caller, &id).await?;
    let list = ListRequest::read(&uri, &params, MAX_LIMIT, MAX_LIMIT)?;
    let tags = event.tags.iter();
    let objects = tags.map(|(tag, data)| tag_object(tag, data));
    Ok(tag_page(&list, objects.collect()))
}

/// Overwrites a tag that is there: an engine that works on an event twice must not fail.
pub(crate) async fn create_event_tag(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let event = load(&state, &caller, &id).await?;
    let tag = input::text(&body, "tag")?.ok_or_else(|| ApiError::invalid("tag is missing"))?;
    let object = put(&state, event.id, tag, &data(&body)?).await?;
    Ok((StatusCode::CREATED, Json(object)))
}

pub(crate) async fn put_event_tag(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let event = load(&state, &caller, &id).await?;
    Ok(Json(put(&state, event.id, &tag, &data(&body)?).await?))
}

pub(crate) async fn delete_event_tag(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let event = load(&state, &caller, &id).await?;
    state.catalog.delete_event_tag(event.id, &tag).await?;
    Ok(StatusCode::NO_CONTENT)
}
