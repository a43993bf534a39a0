//! `/api/v4/clips/` and `/api/v2/storage/clips/`: stored clips (contract section 9). Both show the same
//! store; the second spans the channels of a group, and shows one clip to whoever it was shared with.

use crate::AppState;
use crate::auth::{Caller, ClipReader};
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use crate::params::Params;
use crate::vxg::ids::path_id;
use crate::vxg::input;
use crate::vxg::list::{DEFAULT_LIMIT, ListRequest, MAX_LIMIT};
use crate::vxg::time::{body_time, query_time};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use framewell_catalog::{ClipFilter, ClipGap, ClipKey, ClipPatch, ClipState, Order, StoredClip};
use framewell_clips::ClipRequest;
use framewell_model::{ChannelId, ClipId, WallTime};
use framewell_playback::ClipOptions;
use serde_json::{Map, Value, json};

/// The contract's word.
const fn status(state: ClipState) -> &'static str {
    match state {
        ClipState::Pending => "pending",
        ClipState::Done => "done",
        ClipState::Error => "error",
    }
}

fn show(links: &Links<'_>, clip: &StoredClip) -> Value {
    let naive = |time: Option<WallTime>| time.map(WallTime::to_naive_text);
    let file = clip.file.as_ref();
    let duration_us = file.map_or_else(|| clip.range.micros(), |file| file.duration_us);
    let thumb = file.and_then(|file| file.thumb).map(|thumb| {
        json!({
            "url": links.clip_thumb(clip),
            "time": thumb.time.to_naive_text(),
            "width": thumb.width,
            "height": thumb.height,
        })
    });
    let gaps = file.and_then(|file| file.gaps.as_ref());
    let gaps = gaps.map(|gaps| gaps.first.iter().map(show_gap).collect::<Vec<_>>());
    let mut object = json!({
        "id": clip.id,
        "status": status(clip.state),
        "title": clip.title,
        "camid": clip.channel.main(),
        "source_camid": clip.channel.main(),
        "start": clip.range.start.to_naive_text(),
        "end": clip.range.end.to_naive_text(),
        "duration": input::seconds_of(duration_us),
        "size": file.map(|file| file.size_bytes),
        "created": clip.created.to_naive_text(),
        "event_time": naive(clip.event_time),
        "delete_at": naive(clip.delete_at),
        "group": clip.group,
        "progress": clip.progress,
        "url": file.map(|_| links.clip(clip)),
        "thumb": thumb,
        "gaps": gaps,
    });
    if let Some(error) = &clip.error {
        object["error"] = error.as_str().into();
    }
    object
}

/// What of the range is not in the file: a member of ours.
fn show_gap(gap: &ClipGap) -> Value {
    json!({
        "start": gap.range.start.to_naive_text(),
        "end": gap.range.end.to_naive_text(),
        "reason": gap.reason,
    })
}

/// A channel in a body: its number, also as a text; `null` is none.
fn channel_member(body: &Map<String, Value>, name: &str) -> Result<Option<ChannelId>, ApiError> {
    let id = match body.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64().and_then(ChannelId::new),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    let invalid = || ApiError::invalid(format!("{name} is not the number of a channel"));
    id.map(Some).ok_or_else(invalid)
}

/// The channel that `camid` or `source_camid` names: a clip belongs to the channel that it shows.
fn named_channel(body: &Map<String, Value>) -> Result<Option<ChannelId>, ApiError> {
    let camid = channel_member(body, "camid")?;
    let source = channel_member(body, "source_camid")?;
    match (camid, source) {
        (Some(camid), Some(source)) if camid != source => Err(ApiError::invalid(
            "camid and source_camid differ: a clip belongs to the channel that it shows",
        )),
        (camid, source) => Ok(camid.or(source)),
    }
}

fn required(body: &Map<String, Value>, name: &str) -> Result<WallTime, ApiError> {
    let time = body_time(body, name)?.flatten();
    time.ok_or_else(|| ApiError::invalid(format!("{name} is missing")))
}

/// A group is a text; clients of old send a number.
fn group(body: &Map<String, Value>) -> Result<Option<String>, ApiError> {
    match body.get("group") {
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        _ => Ok(input::text(body, "group")?.map(str::to_owned)),
    }
}

fn read(channel: ChannelId, body: &Map<String, Value>) -> Result<ClipRequest, ApiError> {
    Ok(ClipRequest {
        channel,
        start: required(body, "start")?,
        end: required(body, "end")?,
        title: input::text(body, "title")?.unwrap_or_default().to_owned(),
        group: group(body)?,
        event_time: body_time(body, "event_time")?.flatten(),
        delete_at: body_time(body, "delete_at")?.flatten(),
        wait_for_data: input::flag(body, "wait_for_data")?.unwrap_or(false),
        making: ClipOptions::default(),
        render: None,
    })
}

pub(crate) async fn create_clip(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let channel = match named_channel(&body)? {
        Some(channel) => {
            caller.check(&state, channel).await?;
            channel
        }
        None => caller.own_channel(&state, &params).await?,
    };
    let request = read(channel, &body)?;
    let clip = state.clips.create(caller.grant.account, request).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    Ok((StatusCode::CREATED, Json(show(&links, &clip))))
}

fn order(params: &Params) -> Result<(ClipKey, Order), ApiError> {
    let text = params.get("order_by").unwrap_or_default();
    let (name, order) = match text.strip_prefix('-') {
        Some(name) => (name, Order::Descending),
        None => (text, Order::Ascending),
    };
    let key = match name {
        "" | "created" | "id" => ClipKey::Created,
        "start" => ClipKey::Start,
        "end" => ClipKey::End,
        "event_time" => ClipKey::EventTime,
        _ => {
            let text = "order_by is none of created, start, end and event_time, nor one of them behind a minus sign";
            return Err(ApiError::invalid(text));
        }
    };
    Ok((key, order))
}

fn filter(channels: Vec<ChannelId>, params: &Params) -> Result<ClipFilter, ApiError> {
    let words = params.words("ids");
    let invalid = |_| ApiError::invalid("ids is not a list of numbers");
    let ids: Result<Vec<i64>, _> = words
        .iter()
        .map(|word| word.parse().map_err(invalid))
        .collect();
    Ok(ClipFilter {
        channels,
        ids: (!words.is_empty()).then_some(ids?),
        event_time: query_time(params, "event_time")?,
        event_from: query_time(params, "event_time__gte")?,
        start: query_time(params, "start")?,
        end: query_time(params, "end")?,
        before: None,
    })
}

pub(crate) async fn list_clips(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channels = caller.listed_channels(&state, &params).await?;
    let list = ListRequest::read(&uri, &params, DEFAULT_LIMIT, MAX_LIMIT)?;
    let filter = filter(channels, &params)?;
    let (key, order) = order(&params)?;
    let now = state.clock.now();
    let page = state
        .catalog
        .list_clips(&filter, key, order, list.slice, now)
        .await?;
    let links = Links::new(&state, &origin, &caller.grant);
    let objects = page.items.iter().map(|clip| show(&links, clip));
    Ok(list.answer(objects.collect(), page.total, Some(links.expire)))
}

/// A clip that the caller may use with the route's right.
pub(crate) async fn load(
    state: &AppState,
    caller: &Caller,
    id: &str,
) -> Result<StoredClip, ApiError> {
    let id: ClipId = path_id(id, "clip")?;
    let clip = state.clips.load(id).await?;
    caller
        .check_hidden(state, clip.channel, format!("clip {id}"))
        .await?;
    Ok(clip)
}

pub(crate) async fn show_clip(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let clip = load(&state, &caller, &id).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    Ok(Json(show(&links, &clip)))
}

/// The same for whoever has a token of a sharing of this clip.
pub(crate) async fn show_shared_clip(
    State(state): State<AppState>,
    reader: ClipReader,
    origin: Origin,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let share = match reader {
        ClipReader::Caller(caller) => {
            return show_clip(State(state), caller, origin, Path(id)).await;
        }
        ClipReader::Share(share) => share,
    };
    let id: ClipId = path_id(&id, "clip")?;
    if share.clip != id {
        return Err(ApiError::not_found(format_args!("clip {id}")));
    }
    let clip = state.clips.load(id).await?;
    let links = Links::of_share(&state, &origin, &clip, &share);
    Ok(Json(show(&links, &clip)))
}

pub(crate) async fn update_clip(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let clip = load(&state, &caller, &id).await?;
    let patch = ClipPatch {
        title: input::text(&body, "title")?.map(str::to_owned),
        group: match body.contains_key("group") {
            true => Some(group(&body)?),
            false => None,
        },
        event_time: body_time(&body, "event_time")?,
        delete_at: body_time(&body, "delete_at")?,
    };
    let clip = state.clips.change(&clip, &patch).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    Ok(Json(show(&links, &clip)))
}

/// The clip is gone at once; if it is being made, that stops.
pub(crate) async fn delete_clip(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let clip = load(&state, &caller, &id).await?;
    state.clips.delete(&clip, &state.jobs).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(body) => body,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_clip_belongs_to_the_channel_that_it_shows() {
        let named = |value| named_channel(&body(value)).map(|id| id.map(ChannelId::get));
        assert_eq!(named(json!({})).unwrap(), None);
        assert_eq!(
            named(json!({"camid": null, "source_camid": "7"})).unwrap(),
            Some(7)
        );
        assert_eq!(
            named(json!({"camid": 7, "source_camid": 7})).unwrap(),
            Some(7)
        );
        assert!(named(json!({"camid": 7, "source_camid": 8})).is_err());
        assert!(named(json!({"camid": "gate"})).is_err());
    }

    #[test]
    fn lists_are_ordered_by_known_members() {
        let order = |query| order(&Params::parse(Some(query)));
        assert_eq!(order("").unwrap(), (ClipKey::Created, Order::Ascending));
        assert_eq!(
            order("order_by=-created").unwrap(),
            (ClipKey::Created, Order::Descending)
        );
        assert_eq!(
            order("order_by=start").unwrap(),
            (ClipKey::Start, Order::Ascending)
        );
        assert!(order("order_by=size").is_err());
    }
}
