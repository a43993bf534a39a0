//! `/api/v4/storage/records/` and `/api/v2/storage/data/` (contract section 7.1).

use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use crate::params::Params;
use crate::vxg::ids::path_id;
use crate::vxg::list::{DEFAULT_LIMIT, ListRequest, MAX_LONG_LIMIT};
use crate::vxg::time::query_time;
use crate::vxg::time_order;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use framewell_model::{ChannelId, RecordId, Segment};
use serde_json::{Value, json};

/// Default page of `storage/data`: a vendor's download script takes the first page for everything.
const DATA_LIMIT: i64 = 1_000;

/// The time texts of one record are the same in every answer: players match records by them.
fn show(links: &Links<'_>, segment: &Segment) -> Value {
    json!({
        "id": segment.record,
        "camid": segment.channel,
        "start": segment.range.start.to_naive_text(),
        "end": segment.range.end.to_naive_text(),
        "size": segment.size_bytes,
        "url": links.record(segment),
    })
}

pub(crate) async fn list_records(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    let list = ListRequest::read(&uri, &params, DEFAULT_LIMIT, MAX_LONG_LIMIT)?;
    let links = Links::new(&state, &origin, &caller.grant);
    answer(&state, &links, channel, &list, &params).await
}

pub(crate) async fn list_data(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel = named_channel(&state, &caller, &params).await?;
    let list = ListRequest::read(&uri, &params, DATA_LIMIT, MAX_LONG_LIMIT)?;
    let links = Links::new(&state, &origin, &caller.grant);
    answer(&state, &links, channel, &list, &params).await
}

/// v2 names the channel with `camid`; a channel token may leave it out but not name another.
async fn named_channel(
    state: &AppState,
    caller: &Caller,
    params: &Params,
) -> Result<ChannelId, ApiError> {
    match params.number::<ChannelId>("camid")? {
        Some(channel) => {
            caller.check(state, channel).await?;
            Ok(channel)
        }
        None => match caller.grant.principal {
            framewell_model::Principal::Channel(own) => {
                caller.check(state, own).await?;
                Ok(own)
            }
            _ => Err(ApiError::invalid(
                "camid is missing: which channel is meant?",
            )),
        },
    }
}

async fn answer(
    state: &AppState,
    links: &Links<'_>,
    channel: ChannelId,
    list: &ListRequest,
    params: &Params,
) -> Result<Json<Value>, ApiError> {
    let (start, end) = (query_time(params, "start")?, query_time(params, "end")?);
    let order = time_order(params)?;
    let page = state
        .catalog
        .list_segments(channel, start, end, order, list.slice)
        .await?;
    let objects = page.items.iter().map(|segment| show(links, segment));
    Ok(list.answer(objects.collect(), page.total, Some(links.expire)))
}

/// A record that the caller may use with the route's right.
async fn load(state: &AppState, caller: &Caller, id: &str) -> Result<Segment, ApiError> {
    let id: RecordId = path_id(id, "record")?;
    let segment = state.catalog.load_segment(id).await?;
    caller
        .check_hidden(state, segment.channel, format!("record {id}"))
        .await?;
    Ok(segment)
}

pub(crate) async fn show_record(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let segment = load(&state, &caller, &id).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    Ok(Json(show(&links, &segment)))
}

pub(crate) async fn delete_record(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let segment = load(&state, &caller, &id).await?;
    let now = state.clock.now();
    state.catalog.doom_segment(segment.record, now).await?;
    Ok(StatusCode::NO_CONTENT)
}
