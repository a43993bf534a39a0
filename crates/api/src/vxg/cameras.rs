//! `/api/v2/cameras/{id}/`: what players ask before they play (contract section 12.1).

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use crate::params::Params;
use crate::vxg::channel::level;
use crate::vxg::channels::load;
use crate::vxg::fields;
use crate::vxg::list::{DEFAULT_LIMIT, ListRequest, MAX_LIMIT};
use crate::vxg::view::{Now, preview};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use framewell_model::{Channel, RecMode, Right};
use serde_json::{Value, json};

/// Members that no public client can live without, and neutral values for the rest. The camera's
/// address goes only to callers who may change it, its password to nobody.
fn show(state: &AppState, caller: &Caller, channel: &Channel) -> Value {
    let now = Now::of(state, channel.id);
    let source = channel
        .source
        .as_ref()
        .filter(|_| caller.grant.rights.has(Right::Configure));
    let rec_status = if now.is_recording {
        RecMode::On
    } else {
        RecMode::Off
    };
    json!({
        "id": channel.id,
        "cmngrid": channel.id,
        "name": channel.name,
        "status": now.status.as_str(),
        "rec_mode": channel.rec_mode.as_str(),
        "rec_status": rec_status.as_str(),
        "recording": now.is_recording,
        "access": [level(caller).as_str()],
        "timezone": channel.timezone,
        "memorycard_recording": false,
        "streaming": now.is_streaming(),
        "url": source.map_or("", |source| &source.url),
        "login": source.map_or("", |source| &source.login),
        "password": "",
        "public": false,
        "created": channel.created.to_naive_text(),
        "latitude": null,
        "longitude": null,
        "delete_at": null,
        "onvif_rtsp_port_fwd": 0,
        "p2p_streaming": false,
        "brand": "",
        "model": "",
        "serial_number": "",
        "uuid": "",
        "fw_version": "",
        "led": null,
        "meta": channel.meta,
    })
}

pub(crate) async fn show_camera(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel = load(&state, &caller, &id).await?;
    let mut object = show(&state, &caller, &channel);
    if params.flag("preview")? {
        let links = Links::new(&state, &origin, &caller.grant);
        if let Some(preview) = preview(&state, &links, channel.id) {
            object["preview"] = preview;
        }
    }
    Ok(Json(object))
}

/// `/api/v2/cameras/`: those that the token opens, by id.
pub(crate) async fn list_cameras(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let request = ListRequest::read(&uri, &params, DEFAULT_LIMIT, MAX_LIMIT)?;
    let ids = caller.listed_channels(&state, &params).await?;
    let total = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let has_preview = params.flag("preview")?;
    let links = Links::new(&state, &origin, &caller.grant);
    let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let page = ids.into_iter().skip(place(request.slice.offset));
    let mut objects = Vec::new();
    for id in page.take(place(request.slice.limit)) {
        let channel = state.catalog.load_channel(id).await?;
        let mut object = show(&state, &caller, &channel);
        if let Some(preview) = has_preview.then(|| preview(&state, &links, id)).flatten() {
            object["preview"] = preview;
        }
        objects.push(object);
    }
    Ok(request.answer(objects, total, has_preview.then_some(links.expire)))
}

pub(crate) async fn update_camera(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let stored = load(&state, &caller, &id).await?;
    let patch = fields::read_flat_patch(&body, stored.source.as_ref())?;
    let channel = state
        .catalog
        .update_channel(stored.account, stored.id, &patch);
    Ok(Json(show(&state, &caller, &channel.await?)))
}
