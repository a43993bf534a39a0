//! `/api/v2/cameras/{id}/motion_detection/`: where a channel looks for motion (contract section 12.3).

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::params::Params;
use crate::vxg::channel_tags::tag_page;
use crate::vxg::ids::path_id;
use crate::vxg::list::{ListRequest, MAX_LIMIT};
use crate::vxg::{input, packbits};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framewell_model::{
    CellMap, ChannelId, MAX_MOTION_REGIONS, MOTION_CELLS, MOTION_COLUMNS, MOTION_ROWS, MotionRegion,
};
use serde_json::{Map, Value, json};

const MAX_NAME_CHARS: usize = 64;

async fn camera(state: &AppState, caller: &Caller, id: &str) -> Result<ChannelId, ApiError> {
    let channel: ChannelId = path_id(id, "camera")?;
    caller.check(state, channel).await?;
    Ok(channel)
}

pub(crate) async fn show_motion_detection(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    camera(&state, &caller, &id).await?;
    Ok(Json(json!({
        "caps": {
            "columns": MOTION_COLUMNS,
            "rows": MOTION_ROWS,
            "max_regions": MAX_MOTION_REGIONS,
            // The map may have any shape; clients that draw rectangles are content with it.
            "region_shape": "rect",
            "sensitivity": "region",
        },
    })))
}

pub(crate) async fn list_motion_regions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel = camera(&state, &caller, &id).await?;
    let list = ListRequest::read(&uri, &params, MAX_LIMIT, MAX_LIMIT)?;
    let regions = state.catalog.list_motion_regions(channel).await?;
    Ok(tag_page(&list, show(&regions)))
}

/// The list as a whole. What an object does not say stays as it was in the region of the same place.
pub(crate) async fn update_motion_regions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let channel = camera(&state, &caller, &id).await?;
    let old = state.catalog.list_motion_regions(channel).await?;
    let regions = read(&body, &old)?;
    state.catalog.put_motion_regions(channel, &regions).await?;
    Ok(Json(json!({ "objects": show(&regions) })))
}

fn show(regions: &[MotionRegion]) -> Vec<Value> {
    let numbered = (1..).zip(regions);
    numbered
        .map(|(id, region): (u64, &MotionRegion)| {
            json!({
                "id": id,
                "enabled": region.enabled,
                "map": STANDARD.encode(packbits::pack(region.map.bytes())),
                "name": region.name,
                "sensitivity": region.sensitivity,
            })
        })
        .collect()
}

fn read(body: &Map<String, Value>, old: &[MotionRegion]) -> Result<Vec<MotionRegion>, ApiError> {
    let objects = body
        .get("objects")
        .and_then(Value::as_array)
        .ok_or_else(|| ApiError::invalid("objects is missing, or no list"))?;
    if objects.len() > MAX_MOTION_REGIONS {
        return Err(ApiError::invalid(format!(
            "{} regions are given, {MAX_MOTION_REGIONS} are allowed",
            objects.len()
        )));
    }
    let numbered = objects.iter().enumerate();
    numbered
        .map(|(index, object)| {
            let object = object
                .as_object()
                .ok_or_else(|| ApiError::invalid(format!("objects[{index}] is no object")))?;
            region(object, old.get(index), index)
        })
        .collect()
}

fn region(
    object: &Map<String, Value>,
    old: Option<&MotionRegion>,
    index: usize,
) -> Result<MotionRegion, ApiError> {
    let map = match (input::text(object, "map")?, old) {
        (Some(text), _) => map(text).ok_or_else(|| {
            ApiError::invalid(format!(
                "map of objects[{index}] is no PackBits bitmap of {MOTION_COLUMNS} x {MOTION_ROWS} cells in base64"
            ))
        })?,
        (None, Some(old)) => old.map,
        (None, None) => CellMap::ALL,
    };
    let name = input::text(object, "name")?;
    if name.is_some_and(|name| name.chars().count() > MAX_NAME_CHARS) {
        return Err(ApiError::invalid(format!(
            "name of objects[{index}] is longer than {MAX_NAME_CHARS} characters"
        )));
    }
    let kept = || old.map_or_else(String::new, |old| old.name.clone());
    Ok(MotionRegion {
        enabled: input::flag(object, "enabled")?.unwrap_or_else(|| old.is_none_or(|o| o.enabled)),
        name: name.map_or_else(kept, str::to_owned),
        sensitivity: sensitivity(object, index)?
            .or(old.map(|old| old.sensitivity))
            .unwrap_or(MotionRegion::DEFAULT_SENSITIVITY),
        map,
    })
}

fn sensitivity(object: &Map<String, Value>, index: usize) -> Result<Option<u8>, ApiError> {
    match object.get("sensitivity") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(|value| u8::try_from(value).ok())
            .filter(|value| *value <= 100)
            .map(Some)
            .ok_or_else(|| {
                ApiError::invalid(format!(
                    "sensitivity of objects[{index}] is no whole number from 0 to 100"
                ))
            }),
    }
}

fn map(text: &str) -> Option<CellMap> {
    const BYTES: usize = MOTION_CELLS / 8;
    let packed = STANDARD.decode(text.trim()).ok()?;
    let bytes = packbits::unpack(&packed, BYTES)?;
    Some(CellMap::from_bytes(bytes.try_into().ok()?))
}
