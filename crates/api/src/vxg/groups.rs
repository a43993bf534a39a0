//! `/api/v3/channel_groups/` (contract section 4.5). A group object never has a `status`: old
//! clients would take it for an error.

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::origin::Origin;
use crate::params::Params;
use crate::vxg::ids::path_id;
use crate::vxg::input;
use crate::vxg::list::{DEFAULT_LIMIT, ListRequest, MAX_LIMIT};
use crate::vxg::time::body_time;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use framewell_model::{Access, ChannelId, Group, GroupId, GroupPatch, NewGroup};
use framewell_token::GroupEnvelope;
use serde_json::{Map, Value, json};

/// Most channels of one group.
const MAX_CHANNELS: usize = 100_000;

async fn show(state: &AppState, origin: &Origin, group: &Group) -> Result<Value, ApiError> {
    let token = state.access.group_token(group.account, group.id).await?;
    let envelope = GroupEnvelope {
        token: token.expose().clone(),
        endpoint: origin.endpoint(),
    };
    // Values are the JSON texts that were sent.
    let meta = group.meta.iter().map(|(tag, text)| {
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()));
        (tag.clone(), value)
    });
    Ok(json!({
        "id": group.id,
        "name": group.name,
        "token": envelope.encode(),
        "channels": group.channels,
        "channels_access": group.channels_access.as_str(),
        "include_all_channels": group.include_all_channels,
        "expire": group.expire.map(framewell_model::WallTime::to_naive_text),
        "max_channels_amount": group.max_channels_amount,
        "ai_targeted": group.ai_targeted,
        "created": group.created.to_naive_text(),
        "meta": meta.collect::<Map<String, Value>>(),
    }))
}

pub(crate) async fn list_channel_groups(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let list = ListRequest::read(&uri, &params, DEFAULT_LIMIT, MAX_LIMIT)?;
    let ai_targeted = params
        .get("ai_targeted")
        .map(|_| params.flag("ai_targeted"))
        .transpose()?;
    let account = caller.grant.account;
    let page = state.catalog.list_groups(account, ai_targeted, list.slice);
    let page = page.await?;
    let mut objects = Vec::with_capacity(page.items.len());
    for group in &page.items {
        objects.push(show(&state, &origin, group).await?);
    }
    Ok(list.answer(objects, page.total, None))
}

pub(crate) async fn create_channel_group(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let patch = read_patch(&body)?;
    let new = NewGroup {
        name: patch.name.unwrap_or_default(),
        channels: patch.channels.unwrap_or_default(),
        channels_access: patch.channels_access.unwrap_or(Access::All),
        include_all_channels: patch.include_all_channels.unwrap_or(false),
        expire: patch.expire.flatten(),
        max_channels_amount: patch.max_channels_amount.flatten(),
        ai_targeted: patch.ai_targeted.unwrap_or(false),
        meta: patch.meta.unwrap_or_default(),
    };
    let (account, now) = (caller.grant.account, state.clock.now());
    let group = state.catalog.create_group(account, &new, now).await?;
    let object = show(&state, &origin, &group).await?;
    Ok((StatusCode::CREATED, Json(object)))
}

/// Loads a group of the caller's account.
async fn load(state: &AppState, caller: &Caller, id: &str) -> Result<Group, ApiError> {
    let id: GroupId = path_id(id, "channel group")?;
    let group = state.catalog.load_group(id).await?;
    if group.account != caller.grant.account {
        return Err(ApiError::not_found(format_args!("group {id}")));
    }
    Ok(group)
}

pub(crate) async fn show_channel_group(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let group = load(&state, &caller, &id).await?;
    Ok(Json(show(&state, &origin, &group).await?))
}

pub(crate) async fn update_channel_group(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let id: GroupId = path_id(&id, "channel group")?;
    let patch = read_patch(&body)?;
    let account = caller.grant.account;
    let group = state.catalog.update_group(account, id, &patch).await?;
    Ok(Json(show(&state, &origin, &group).await?))
}

pub(crate) async fn delete_channel_group(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id: GroupId = path_id(&id, "channel group")?;
    state.catalog.delete_group(caller.grant.account, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read_patch(body: &Map<String, Value>) -> Result<GroupPatch, ApiError> {
    let access = match input::text(body, "channels_access")? {
        None => None,
        Some(word) => Some(
            Access::from_word(word)
                .ok_or_else(|| ApiError::invalid("channels_access is neither all nor watch"))?,
        ),
    };
    Ok(GroupPatch {
        name: input::name(body)?,
        channels: channels(body)?,
        channels_access: access,
        include_all_channels: input::flag(body, "include_all_channels")?,
        expire: body_time(body, "expire")?,
        max_channels_amount: amount(body)?,
        ai_targeted: input::flag(body, "ai_targeted")?,
        meta: input::group_meta(body)?,
    })
}

fn channels(body: &Map<String, Value>) -> Result<Option<Vec<ChannelId>>, ApiError> {
    let items = match body.get("channels") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) if items.len() <= MAX_CHANNELS => items,
        Some(_) => {
            return Err(ApiError::invalid(format!(
                "channels is not an array of at most {MAX_CHANNELS} ids"
            )));
        }
    };
    let id = |item: &Value| {
        item.as_i64()
            .or_else(|| item.as_str()?.parse().ok())
            .and_then(ChannelId::new)
            .ok_or_else(|| ApiError::invalid("channels holds something that is no channel id"))
    };
    items.iter().map(id).collect::<Result<_, _>>().map(Some)
}

fn amount(body: &Map<String, Value>) -> Result<Option<Option<i64>>, ApiError> {
    match body.get("max_channels_amount") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(value) => match value.as_i64().filter(|amount| *amount >= 0) {
            Some(amount) => Ok(Some(Some(amount))),
            None => Err(ApiError::invalid("max_channels_amount is not a number")),
        },
    }
}
