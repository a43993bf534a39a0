//! `/v1/channels/{id}/holds`: footage that has to stay.

use super::types::ErrorBody;
use super::{channel_of, read_instant};
use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use framewell_model::{Hold, HoldId, NewHold, TimeRange, WallTime};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;
use utoipa::ToSchema;

/// Earliest start of a hold, the year 2000: no camera of this server recorded before.
const EARLIEST_S: i64 = 946_684_800;
/// Furthest end of a hold, ten years ahead: one that never ends would keep its channel for ever, at the
/// cost of all others.
const FURTHEST_END: Duration = Duration::from_secs(10 * 366 * 86_400);

/// A range of footage that has to stay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldView {
    /// Key, at least 1.
    #[schema(example = 3)]
    id: i64,
    /// For people.
    #[schema(example = "case 2026-117")]
    name: String,
    /// First moment.
    start: String,
    /// First moment after it.
    end: String,
    /// When it ends by itself; null: when somebody ends it.
    expires: Option<String>,
    /// When it was made.
    created: String,
}

/// Holds of a channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldList {
    holds: Vec<HoldView>,
}

/// A hold to be made.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a body")]
pub(crate) struct HoldInput {
    /// For people; not empty.
    #[schema(example = "case 2026-117")]
    name: String,
    /// RFC 3339 time, or a distance before now such as `-1h`; not before the year 2000.
    #[schema(example = "2026-05-01T10:00:00Z")]
    start: String,
    /// The same; may lie up to ten years ahead.
    #[schema(example = "2026-05-01T11:00:00Z")]
    end: String,
    /// When it ends by itself; absent or null: when somebody ends it.
    expires: Option<String>,
}

impl HoldView {
    fn of(hold: &Hold) -> Self {
        Self {
            id: hold.id.get(),
            name: hold.name.clone(),
            start: hold.range.start.to_rfc3339(),
            end: hold.range.end.to_rfc3339(),
            expires: hold.expires.map(WallTime::to_rfc3339),
            created: hold.created.to_rfc3339(),
        }
    }
}

/// List the holds of a channel
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/holds",
    tag = "channels",
    params(("id" = i64, Path, description = "Channel")),
    responses(
        (status = 200, description = "Holds that stand, by the start of their ranges", body = HoldList),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn list_holds(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<HoldList>, ApiError> {
    let channel = channel_of(&state, &caller, &id).await?;
    let now = state.clock.now();
    let holds = state.catalog.list_holds(channel).await?;
    let standing = holds
        .iter()
        .filter(|hold| hold.expires.is_none_or(|expires| expires > now));
    Ok(Json(HoldList {
        holds: standing.map(HoldView::of).collect(),
    }))
}

/// Hold a range of footage
///
/// Segments that overlap the range are deleted by nobody until the hold ends: not by age, not by bytes, not by
/// a full disk, not by a request. A range that lies ahead holds what will be recorded. Takes a license key.
#[utoipa::path(
    post,
    path = "/v1/channels/{id}/holds",
    tag = "channels",
    params(("id" = i64, Path, description = "Channel")),
    request_body(content = HoldInput, content_type = "application/json"),
    responses(
        (status = 201, description = "It holds from now on", body = HoldView),
        (status = 400, description = "No name, no range or one too far away, or more holds than a channel may have", body = ErrorBody),
        (status = 403, description = "Not a license key", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn create_hold(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<HoldView>), ApiError> {
    let channel = channel_of(&state, &caller, &id).await?;
    let now = state.clock.now();
    let (name, range, expires) = read(&body, now)?;
    let new = NewHold {
        channel,
        name,
        range,
        expires,
    };
    let hold = state.catalog.create_hold(&new, now).await?;
    Ok((StatusCode::CREATED, Json(HoldView::of(&hold))))
}

/// End a hold
///
/// What it held goes with the next round of the janitor, if it is due. Takes a license key.
#[utoipa::path(
    delete,
    path = "/v1/channels/{id}/holds/{hold}",
    tag = "channels",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("hold" = i64, Path, description = "Hold"),
    ),
    responses(
        (status = 204, description = "Ended"),
        (status = 403, description = "Not a license key", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no such hold of it", body = ErrorBody),
    ),
)]
pub(crate) async fn delete_hold(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, hold)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let channel = channel_of(&state, &caller, &id).await?;
    let hold: HoldId = hold
        .parse()
        .map_err(|_| ApiError::not_found("a hold with this id"))?;
    state.catalog.delete_hold(channel, hold).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read(
    body: &Map<String, Value>,
    now: WallTime,
) -> Result<(String, TimeRange, Option<WallTime>), ApiError> {
    const KNOWN: [&str; 4] = ["name", "start", "end", "expires"];
    if let Some(name) = body.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(ApiError::invalid(format!(
            "{name:?} is none of name, start, end, expires"
        )));
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let name = text("name").ok_or_else(|| ApiError::invalid("name is missing, or no text"))?;
    let time = |key: &str| {
        let time = text(key).and_then(|text| read_instant(text, now));
        time.ok_or_else(|| {
            ApiError::invalid(format!("{key} is no time such as 2026-05-01T10:20:30Z"))
        })
    };
    let (start, end) = (time("start")?, time("end")?);
    let range = TimeRange::new(start, end).filter(|range| range.micros() > 0);
    let range = range.ok_or_else(|| ApiError::invalid("end is not after start"))?;
    if range.start.secs() < EARLIEST_S || range.end > now + FURTHEST_END {
        let text = "start lies before the year 2000, or end more than ten years ahead";
        return Err(ApiError::invalid(text));
    }
    let expires = match body.get("expires") {
        None | Some(Value::Null) => None,
        Some(_) => Some(time("expires")?),
    };
    if expires.is_some_and(|expires| expires <= now) {
        return Err(ApiError::invalid("expires is not after now"));
    }
    Ok((name.to_owned(), range, expires))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_hold_is_refused_with_the_reason() {
        let now: WallTime = "2026-05-01T10:00:00Z".parse().unwrap();
        let read = |body: Value| {
            super::read(body.as_object().unwrap(), now).map_err(|error| error.message)
        };
        let (name, range, expires) =
            read(json!({"name": "a", "start": "-1h", "end": "2026-06-01T00:00:00Z"})).unwrap();
        assert_eq!((name.as_str(), expires), ("a", None));
        assert_eq!(range.start, now.plus_micros(-3_600_000_000));
        let bad = [
            (json!({"start": "-1h", "end": "now"}), "name"),
            (json!({"name": "a", "start": "-1h", "end": "soon"}), "end"),
            (
                json!({"name": "a", "start": "now", "end": "-1h"}),
                "after start",
            ),
            (
                json!({"name": "a", "start": "-1h", "end": "-1h"}),
                "after start",
            ),
            (
                json!({"name": "a", "start": "-1h", "end": "now", "expires": "-1s"}),
                "after now",
            ),
            (json!({"name": "a", "from": "-1h"}), "\"from\""),
            (
                json!({"name": "a", "start": "1999-12-31T23:59:59Z", "end": "now"}),
                "2000",
            ),
            (
                json!({"name": "a", "start": "now", "end": "2036-05-20T00:00:00Z"}),
                "ten years",
            ),
        ];
        for (body, why) in bad {
            let message = read(body).unwrap_err();
            assert!(message.contains(why), "{message}");
        }
    }
}
