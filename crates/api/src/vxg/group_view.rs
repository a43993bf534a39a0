//! `/api/v5/`: what the holder of a group token sees (contract section 5).

use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use crate::params::Params;
use crate::vxg::channel_tags::tag_page;
use crate::vxg::channels::load;
use crate::vxg::list::{DEFAULT_LIMIT, ListRequest, MAX_LIMIT};
use crate::vxg::view::{ChannelTokens, Now, channel_filter, preview, set_some};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use framewell_model::{Access, Channel, ChannelId};
use serde_json::{Map, Value, json};

/// Which optional members the client asked for.
struct Wanted {
    has_meta: bool,
    has_preview: bool,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            has_meta: params.flag("include_meta")?,
            has_preview: params.flag("preview")?,
        })
    }
}

/// The level of channel tokens that the caller may hand out.
async fn level(state: &AppState, caller: &Caller) -> Result<Access, ApiError> {
    match caller.group() {
        Some(group) => Ok(state.catalog.load_group(group).await?.channels_access),
        None if caller.is_account() => Ok(Access::All),
        None => Err(ApiError::denied("this call needs a group token")),
    }
}

pub(crate) async fn list_group_channels(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let list = ListRequest::read(&uri, &params, DEFAULT_LIMIT, MAX_LIMIT)?;
    let (level, wanted) = (level(&state, &caller).await?, Wanted::read(&params)?);
    let filter = channel_filter(&params);
    let account = caller.grant.account;
    let page = match caller.group() {
        Some(group) => {
            state
                .catalog
                .list_group_channels(group, &filter, list.slice)
                .await?
        }
        None => {
            state
                .catalog
                .list_channels(account, &filter, list.slice)
                .await?
        }
    };
    let ids: Vec<ChannelId> = page.items.iter().map(|channel| channel.id).collect();
    let tokens = ChannelTokens::load(&state, &origin, account, &ids).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    let objects = page.items.iter().map(|channel| {
        let token = tokens.get(channel.id, level);
        show(&state, &links, channel, token, &wanted)
    });
    Ok(list.answer(objects.collect(), page.total, None))
}

pub(crate) async fn show_group_channel(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let (level, wanted) = (level(&state, &caller).await?, Wanted::read(&params)?);
    let channel = load(&state, &caller, &id).await?;
    let tokens = ChannelTokens::load(&state, &origin, channel.account, &[channel.id]).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    let token = tokens.get(channel.id, level);
    Ok(Json(show(&state, &links, &channel, token, &wanted)))
}

fn show(
    state: &AppState,
    links: &Links<'_>,
    channel: &Channel,
    token: &str,
    wanted: &Wanted,
) -> Value {
    let now = Now::of(state, channel.id);
    let mut object = Map::from_iter([
        ("id".to_owned(), json!(channel.id)),
        ("name".to_owned(), json!(channel.name)),
        ("status".to_owned(), json!(now.status.as_str())),
        ("recording".to_owned(), json!(now.is_recording)),
        ("streaming".to_owned(), json!(now.is_streaming())),
        ("rec_mode".to_owned(), json!(channel.rec_mode.as_str())),
        ("timezone".to_owned(), json!(channel.timezone)),
        ("created".to_owned(), json!(channel.created.to_naive_text())),
        ("token".to_owned(), json!(token)),
    ]);
    set_some(
        &mut object,
        "meta",
        wanted.has_meta.then(|| json!(channel.meta)),
    );
    let preview = wanted
        .has_preview
        .then(|| preview(state, links, channel.id));
    set_some(&mut object, "preview", preview.flatten());
    Value::Object(object)
}

/// `/api/v5/meta/`: the tags of the group itself.
pub(crate) async fn list_group_tags(
    State(state): State<AppState>,
    caller: Caller,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let list = ListRequest::read(&uri, &params, MAX_LIMIT, MAX_LIMIT)?;
    let group = caller
        .group()
        .ok_or_else(|| ApiError::denied("this call needs a group token"))?;
    let group = state.catalog.load_group(group).await?;
    let objects = group.meta.iter().map(|(tag, text)| {
        // Text comes back as it was sent, anything else as its JSON.
        let data = serde_json::from_str(text).unwrap_or_else(|_| text.clone());
        json!({ "tag": tag, "data": data })
    });
    Ok(tag_page(&list, objects.collect()))
}
