//! Searching metadata documents: `/api/v4/meta/filter/` over one channel,
//! `/api/v2/storage/meta/filter/` over all channels behind the credential (contract section 11.3).

use crate::AppState;
use crate::auth::Caller;
use crate::body::{JsonObject, MetaObject};
use crate::error::ApiError;
use crate::params::Params;
use crate::vxg::list::{DEFAULT_LIMIT, MAX_LONG_LIMIT};
use crate::vxg::time::read_time;
use axum::Json;
use axum::extract::State;
use framewell_catalog::Slice;
use framewell_catalog::meta::Document;
use framewell_insight::{matches_everything, parse_filter, parse_sort};
use framewell_model::ChannelId;
use serde_json::{Map, Value, json};

/// Clients read the typed maps unguarded, so they are always there.
fn show(document: &Document) -> Value {
    let mut object = json!({
        "id": document.id,
        "camid": document.channel,
        "timestamp": document.timestamp.to_naive_text(),
        "long": document.long,
        "float": document.float,
        "string": document.string,
    });
    if let Some(raw_data) = &document.raw_data {
        object["raw_data"] = raw_data.as_str().into();
    }
    object
}

pub(crate) async fn find_documents(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    MetaObject(body, _reserved): MetaObject,
) -> Result<Json<Value>, ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    find(&state, &[channel], &body).await
}

pub(crate) async fn find_documents_of_all(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    MetaObject(body, _reserved): MetaObject,
) -> Result<Json<Value>, ApiError> {
    let channels = match params.number::<ChannelId>("camid")? {
        Some(channel) => {
            caller.check(&state, channel).await?;
            vec![channel]
        }
        None => state.access.channels(&caller.grant).await?,
    };
    find(&state, &channels, &body).await
}

async fn find(
    state: &AppState,
    channels: &[ChannelId],
    body: &Map<String, Value>,
) -> Result<Json<Value>, ApiError> {
    let filter = parse_filter(body.get("filter"), read_time)?;
    let sort = parse_sort(body.get("sort"))?;
    let slice = Slice {
        limit: number(body, "limit")?
            .unwrap_or(DEFAULT_LIMIT)
            .min(MAX_LONG_LIMIT),
        offset: number(body, "offset")?.unwrap_or(0),
    };
    let page = state.insight.find(channels, &filter, &sort, slice).await?;
    let objects: Vec<Value> = page.items.iter().map(show).collect();
    Ok(Json(json!({
        "meta": {
            "limit": slice.limit,
            "offset": slice.offset,
            "total_count": page.total,
            "next": null,
            "previous": null,
        },
        "objects": objects,
    })))
}

/// `limit` and `offset`, as numbers or as text.
fn number(body: &Map<String, Value>, name: &str) -> Result<Option<i64>, ApiError> {
    let number = match body.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    number
        .filter(|number| *number >= 0)
        .map(Some)
        .ok_or_else(|| ApiError::invalid(format!("{name} is not a number of 0 or more")))
}

/// Deletes all matches. A body that matches everything is refused: a client library sends `{}` with
/// every DELETE, and that must not wipe the store.
pub(crate) async fn delete_matching_documents(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    let filter = parse_filter(body.get("filter"), read_time)?;
    if matches_everything(&filter) {
        return Err(ApiError::invalid(
            "the filter is missing or matches everything; nothing was deleted",
        ));
    }
    let deleted = state.insight.delete_matching(&[channel], &filter).await?;
    Ok(Json(json!({
        "objects": [],
        "meta": { "deleted_count": deleted, "errors_count": 0, "total_count": deleted },
    })))
}
