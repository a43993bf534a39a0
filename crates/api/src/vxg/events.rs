//! `/api/v2/storage/events/` (contract sections 10.2, 10.3).

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use crate::params::Params;
use crate::vxg::event_view::{Shown, Thumbs, event_object};
use crate::vxg::ids::path_id;
use crate::vxg::input;
use crate::vxg::list::{DEFAULT_LIMIT, ListRequest, MAX_LONG_LIMIT};
use crate::vxg::time::{query_time, read_time};
use crate::vxg::time_order;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use framewell_catalog::EventFilter;
use framewell_model::{ChannelId, Event, EventId, EventSource, NewEvent, WallTime};
use serde_json::{Map, Value};
use std::time::Duration;

/// Longest name of an event in bytes.
const MAX_NAME_BYTES: usize = 128;
/// How far ahead an event may lie, for clocks that differ: it is deleted by its age, so one of the far
/// future would stay for good, and the job for its picture would wait for that day.
const MOST_AHEAD: Duration = Duration::from_secs(3_600);

pub(crate) async fn list_events(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channels = caller.listed_channels(&state, &params).await?;
    let list = ListRequest::read(&uri, &params, DEFAULT_LIMIT, MAX_LONG_LIMIT)?;
    let (filter, order) = (filter(&params)?, time_order(&params)?);
    let shown = Shown::read(&params)?;
    let (catalog, slice) = (&state.catalog, list.slice);
    let page = if shown.has_meta {
        catalog.list_events(&channels, &filter, order, slice).await
    } else {
        catalog
            .list_events_without_tags(&channels, &filter, order, slice)
            .await
    }?;
    let list = list.cut_to(page.items.len(), page.total);
    let thumbs = Thumbs::load(&state, &page.items).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    let show = |event| event_object(&links, event, &thumbs, shown);
    let objects = page.items.iter().map(show).collect();
    Ok(list.answer(objects, page.total, Some(links.expire)))
}

fn filter(params: &Params) -> Result<EventFilter, ApiError> {
    Ok(EventFilter {
        names: names(params),
        with_any_tag: params.words("meta"),
        without_tags: params.words("meta_not"),
        start: query_time(params, "start")?,
        end: query_time(params, "end")?,
    })
}

/// Three parameters name events; a name has to be in each list that is given. Nothing gives events other
/// names yet, so an alias is the name itself.
fn names(params: &Params) -> Option<Vec<String>> {
    let mut names: Option<Vec<String>> = None;
    for parameter in ["events", "type", "aliases"] {
        let words = params.words(parameter);
        if words.is_empty() {
            continue;
        }
        names = Some(match names {
            None => words,
            Some(names) => names
                .into_iter()
                .filter(|name| words.contains(name))
                .collect(),
        });
    }
    names
}

/// An event that the caller may use with the route's right.
pub(crate) async fn load(state: &AppState, caller: &Caller, id: &str) -> Result<Event, ApiError> {
    let id: EventId = path_id(id, "event")?;
    let event = state.catalog.load_event(id).await?;
    caller
        .check_hidden(state, event.channel, format!("event {id}"))
        .await?;
    Ok(event)
}

pub(crate) async fn show_event(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let event = load(&state, &caller, &id).await?;
    show(&state, &caller, &origin, event, Shown::read(&params)?).await
}

async fn show(
    state: &AppState,
    caller: &Caller,
    origin: &Origin,
    event: Event,
    shown: Shown,
) -> Result<Json<Value>, ApiError> {
    let events = [event];
    let thumbs = Thumbs::load(state, &events).await?;
    let links = Links::new(state, origin, &caller.grant);
    let [event] = &events;
    Ok(Json(event_object(&links, event, &thumbs, shown)))
}

pub(crate) async fn create_event(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let channel = match camid(&body)? {
        Some(channel) => {
            caller.check(&state, channel).await?;
            channel
        }
        None => caller.own_channel(&state, &params).await?,
    };
    let name = input::text(&body, "name")?.ok_or_else(|| ApiError::invalid("name is missing"))?;
    let new = read_new(&state, channel, name, &body)?;
    create(&state, &caller, &origin, &new).await
}

/// Stores an event and shows it.
pub(crate) async fn create(
    state: &AppState,
    caller: &Caller,
    origin: &Origin,
    new: &NewEvent,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let now = state.clock.now();
    let account = caller.grant.account;
    let event = state.insight.create_event(account, new, now).await?;
    let shown = Shown {
        has_meta: true,
        ..Shown::default()
    };
    let object = show(state, caller, origin, event, shown).await?;
    Ok((StatusCode::CREATED, object))
}

/// `time` (now if absent) and `meta` of an event to be created.
pub(crate) fn read_new(
    state: &AppState,
    channel: ChannelId,
    name: &str,
    body: &Map<String, Value>,
) -> Result<NewEvent, ApiError> {
    check_name(name)?;
    let now = state.clock.now();
    let time = time(body)?.unwrap_or(now);
    if time - MOST_AHEAD > now {
        return Err(ApiError::invalid("time is more than an hour ahead"));
    }
    Ok(NewEvent {
        channel,
        name: name.to_owned(),
        time,
        source: EventSource::Api,
        tags: input::channel_meta(body)?.unwrap_or_default(),
    })
}

pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
        return Err(ApiError::invalid(format!(
            "the name of an event is a text of 1 to {MAX_NAME_BYTES} bytes"
        )));
    }
    Ok(())
}

fn time(body: &Map<String, Value>) -> Result<Option<WallTime>, ApiError> {
    let Some(text) = input::text(body, "time")? else {
        return Ok(None);
    };
    let time = read_time(text).ok_or_else(|| ApiError::invalid("time is not a time"))?;
    Ok(Some(time))
}

fn camid(body: &Map<String, Value>) -> Result<Option<ChannelId>, ApiError> {
    let id = match body.get("camid") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64().and_then(ChannelId::new),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    let invalid = || ApiError::invalid("camid is not the number of a channel");
    id.ok_or_else(invalid).map(Some)
}

pub(crate) async fn delete_event(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let event = load(&state, &caller, &id).await?;
    let thumbs = Thumbs::load(&state, std::slice::from_ref(&event)).await?;
    state.catalog.delete_event(event.id).await?;
    if let Some(image) = thumbs.of(event.id) {
        state.gallery.delete(image.id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_to_be_in_each_list_that_is_given() {
        let names = |query: &str| names(&Params::parse(Some(query)));
        assert_eq!(names("x=1"), None);
        assert_eq!(names("events=a,b"), Some(vec!["a".into(), "b".into()]));
        assert_eq!(names("type=a"), Some(vec!["a".into()]));
        assert_eq!(names("events=a,b&type=b&aliases="), Some(vec!["b".into()]));
        assert_eq!(names("events=a&type=b"), Some(vec![]));
    }
}
