//! `/api/v3/channels/{id}/meta/`: tags of a channel (contract section 4.3), not its metadata
//! documents.

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::params::Params;
use crate::vxg::channels::load;
use crate::vxg::input;
use crate::vxg::list::{ListRequest, MAX_LIMIT};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use framewell_model::{ErrorKind, HasKind};
use serde_json::{Value, json};

/// A tag as the contract shows it.
pub(crate) fn tag_object(tag: &str, data: &str) -> Value {
    json!({ "tag": tag, "data": data })
}

pub(crate) async fn list_channel_tags(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    let list = ListRequest::read(&uri, &params, MAX_LIMIT, MAX_LIMIT)?;
    let tags = state.catalog.load_channel_tags(channel.id).await?;
    Ok(tag_page(
        &list,
        tags.iter()
            .map(|(tag, data)| tag_object(tag, data))
            .collect(),
    ))
}

/// A page of tags that are all in memory.
pub(crate) fn tag_page(list: &ListRequest, objects: Vec<Value>) -> Json<Value> {
    let total = i64::try_from(objects.len()).unwrap_or(i64::MAX);
    let skip = usize::try_from(list.slice.offset).unwrap_or(usize::MAX);
    let take = usize::try_from(list.slice.limit).unwrap_or(usize::MAX);
    let page = objects.into_iter().skip(skip).take(take).collect();
    list.answer(page, total, None)
}

pub(crate) async fn create_channel_tag(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let channel = load(&state, &caller, &id).await?;
    let tag = input::text(&body, "tag")?.ok_or_else(|| ApiError::invalid("tag is missing"))?;
    input::check_tag(tag)?;
    let data = body
        .get("data")
        .map_or_else(|| Ok(String::new()), input::tag_data)?;
    match state
        .catalog
        .create_channel_tag(channel.id, tag, &data)
        .await
    {
        // The contract's word for "exists already" is 400 here: a client falls back to PUT on it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(ApiError::invalid(error.to_string()))
        }
        Err(error) => Err(error.into()),
        Ok(()) => Ok((StatusCode::CREATED, Json(tag_object(tag, &data)))),
    }
}

pub(crate) async fn show_channel_tag(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    let tags = state.catalog.load_channel_tags(channel.id).await?;
    let data = tags
        .get(&tag)
        .ok_or_else(|| ApiError::not_found(format_args!("this tag of channel {}", channel.id)))?;
    Ok(Json(tag_object(&tag, data)))
}

pub(crate) async fn put_channel_tag(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    input::check_tag(&tag)?;
    let data = body
        .get("data")
        .map_or_else(|| Ok(String::new()), input::tag_data)?;
    state
        .catalog
        .put_channel_tag(channel.id, &tag, &data)
        .await?;
    Ok(Json(tag_object(&tag, &data)))
}

pub(crate) async fn delete_channel_tag(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    state.catalog.delete_channel_tag(channel.id, &tag).await?;
    Ok(StatusCode::NO_CONTENT)
}
