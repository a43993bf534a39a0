//! `/api/v4/storage/images/` and `/api/v2/storage/thumbnails/`: stored pictures (contract section 7.5).
//! Both read the same store; the second spans the channels of a group.

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
use framewell_catalog::ImageFilter;
use framewell_model::{ChannelId, ImageId, ImageOrigin, StoredImage};
use serde_json::{Value, json};

/// The picture on screen at the start of a task was captured a little before it. Clients ask for the
/// pictures of a task with the range of the task, and must get that one too.
const ON_SCREEN_US: i64 = 1_000_000;

fn show(links: &Links<'_>, image: &StoredImage) -> Value {
    json!({
        "id": image.id,
        "camid": image.channel,
        "time": image.time.to_naive_text(),
        "url": links.stored_image(image),
        "width": image.width,
        "height": image.height,
        "size": image.size_bytes,
        "origin": image.origin.as_str(),
        "origin_id": image.origin_id,
    })
}

/// An origin that nobody knows matches nothing: pages put words of their own there.
fn origins(params: &Params) -> Option<Vec<ImageOrigin>> {
    let words = params.words("origin");
    let known = words.iter().filter_map(|word| ImageOrigin::from_word(word));
    (!words.is_empty()).then(|| known.collect())
}

fn origin_ids(params: &Params) -> Result<Option<Vec<i64>>, ApiError> {
    let words = params.words("origin_ids");
    let invalid = |_| ApiError::invalid("origin_ids is not a list of numbers");
    let ids: Result<Vec<i64>, _> = words
        .iter()
        .map(|word| word.parse().map_err(invalid))
        .collect();
    Ok((!words.is_empty()).then_some(ids?))
}

async fn answer(
    state: &AppState,
    caller: &Caller,
    origin: &Origin,
    channels: Vec<ChannelId>,
    uri: &Uri,
    params: &Params,
) -> Result<Json<Value>, ApiError> {
    let list = ListRequest::read(uri, params, DEFAULT_LIMIT, MAX_LONG_LIMIT)?;
    let origin_ids = origin_ids(params)?;
    let early_us = match origin_ids {
        Some(_) => ON_SCREEN_US,
        None => 0,
    };
    let start = query_time(params, "start")?;
    let filter = ImageFilter {
        channels,
        start: start.map(|start| start.plus_micros(-early_us)),
        end: query_time(params, "end")?,
        origins: origins(params),
        origin_ids,
    };
    let order = time_order(params)?;
    let page = state
        .catalog
        .list_images(&filter, order, list.slice)
        .await?;
    let links = Links::new(state, origin, &caller.grant);
    let objects = page.items.iter().map(|image| show(&links, image));
    Ok(list.answer(objects.collect(), page.total, Some(links.expire)))
}

pub(crate) async fn list_images(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    answer(&state, &caller, &origin, vec![channel], &uri, &params).await
}

pub(crate) async fn list_thumbnails(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channels = caller.listed_channels(&state, &params).await?;
    answer(&state, &caller, &origin, channels, &uri, &params).await
}

/// A picture that the caller may use with the route's right.
async fn load(state: &AppState, caller: &Caller, id: &str) -> Result<StoredImage, ApiError> {
    let id: ImageId = path_id(id, "picture")?;
    let image = state.catalog.load_image(id).await?;
    caller
        .check_hidden(state, image.channel, format!("picture {id}"))
        .await?;
    Ok(image)
}

pub(crate) async fn show_image(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let image = load(&state, &caller, &id).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    Ok(Json(show(&links, &image)))
}

pub(crate) async fn delete_image(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let image = load(&state, &caller, &id).await?;
    state.gallery.delete(image.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
