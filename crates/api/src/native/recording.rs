//! `/v1/channels/{id}/recording`: when a channel records, and how much around an event.

use super::stream_of;
use super::types::ErrorBody;
use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use framewell_live::{SourceClock, Track};
use framewell_model::{Channel, ChannelPatch, RecMode, Schedule};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Longest time kept before an event, in seconds; the live ring holds less.
const MAX_PRE_ROLL_S: f64 = 300.0;
/// Longest time kept behind an event, in seconds.
const MAX_POST_ROLL_S: f64 = 3_600.0;

/// When a channel records.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingView {
    /// `on`, `off`, `by_event` or `server_by_event`; the schedule counts more.
    #[schema(example = "by_event")]
    rec_mode: &'static str,
    /// Seconds kept before an event; null: what the server is set to.
    #[schema(example = 5.0)]
    pre_roll_s: Option<f64>,
    /// Seconds kept behind an event; null: what the server is set to.
    #[schema(example = 10.0)]
    post_roll_s: Option<f64>,
    /// Seconds of live video in the ring now, from which the time before an event comes: more than this
    /// cannot be kept.
    #[schema(example = 16.2)]
    ring_s: f64,
    /// Modes by time of week in the channel's time zone: `periods`, of which the first that is on counts,
    /// each with `days` (absent: all), `from`, `to` (of the next day if not behind `from`) and `mode`; and
    /// `otherwise`. Null: none.
    #[schema(value_type = Option<Object>, example = json!({"periods": [{"days": ["mon", "tue"], "from": "08:00", "to": "18:00", "mode": "on"}], "otherwise": "by_event"}))]
    schedule: Option<Value>,
    /// Seconds that footage is kept; null: what the server is set to.
    #[schema(example = 2_592_000)]
    retention_s: Option<i64>,
    /// Most bytes of footage, of which the oldest goes first; null: no limit of its own.
    #[schema(example = 500_000_000_000_i64)]
    max_bytes: Option<i64>,
    /// Whether footage is being written now.
    recording: bool,
    /// What the camera's clock does; null: it has said no time yet.
    clock: Option<ClockView>,
}

/// What a camera's clock does during its present run, by its RTCP sender reports.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClockView {
    /// Seconds that it is ahead of the server's, less the delay of the network.
    #[schema(example = -0.012)]
    offset_s: f64,
    /// How much faster than the server's it runs, in parts per million; null until it has been watched for
    /// five minutes.
    #[schema(example = 12.5)]
    drift_ppm: Option<f64>,
    /// How often it was set.
    jumps: i64,
    /// The largest of these steps, in seconds.
    largest_jump_s: f64,
    /// Whether capture times come from it. If not, it is more than 10 s off, and arrival counts.
    used: bool,
    /// When it was first heard of in this run.
    since: String,
    /// When it was last heard of.
    last: String,
}

impl ClockView {
    #[expect(clippy::cast_precision_loss, reason = "shown to people")]
    fn of(clock: &SourceClock) -> Self {
        let reading = &clock.reading;
        Self {
            offset_s: reading.offset_us as f64 / 1e6,
            drift_ppm: reading.drift_ppb.map(|ppb| ppb as f64 / 1e3),
            jumps: reading.jumps,
            largest_jump_s: reading.largest_jump_us as f64 / 1e6,
            used: clock.is_used,
            since: reading.first.to_rfc3339(),
            last: reading.last.to_rfc3339(),
        }
    }
}

/// Changes; absent members stay as they are.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a body")]
pub(crate) struct RecordingChange {
    /// `on`, `off`, `by_event` or `server_by_event`.
    rec_mode: Option<String>,
    /// 0 to 300 seconds; null: what the server is set to.
    pre_roll_s: Option<f64>,
    /// 0 to 3600 seconds; null: what the server is set to.
    post_roll_s: Option<f64>,
    /// As shown; null removes it.
    #[schema(value_type = Option<Object>)]
    schedule: Option<Value>,
    /// At least 1; null: what the server is set to.
    retention_s: Option<i64>,
    /// At least 1; null: no limit of its own.
    max_bytes: Option<i64>,
}

/// Show when a channel records
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/recording",
    tag = "channels",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
    ),
    responses(
        (status = 200, description = "The settings", body = RecordingView),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn show_recording(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<RecordingView>, ApiError> {
    let id = stream_of(&state, &caller, &id, &params).await?;
    let channel = state.catalog.load_channel(id).await?;
    show(&state, &channel).map(Json)
}

/// Change when a channel records
///
/// Takes effect at once; what is being recorded around an event goes on.
#[utoipa::path(
    put,
    path = "/v1/channels/{id}/recording",
    tag = "channels",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
    ),
    request_body(content = RecordingChange, content_type = "application/json"),
    responses(
        (status = 200, description = "The settings now", body = RecordingView),
        (status = 400, description = "A member that is not understood", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token may not change settings", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn update_recording(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    JsonObject(body): JsonObject,
) -> Result<Json<RecordingView>, ApiError> {
    let id = stream_of(&state, &caller, &id, &params).await?;
    let patch = read(&body)?;
    let account = caller.grant.account;
    let channel = state.catalog.update_channel(account, id, &patch).await?;
    show(&state, &channel).map(Json)
}

fn read(body: &Map<String, Value>) -> Result<ChannelPatch, ApiError> {
    let mut patch = ChannelPatch::default();
    for (name, value) in body {
        match name.as_str() {
            "rec_mode" => patch.rec_mode = Some(read_mode(value)?),
            "pre_roll_s" => patch.pre_roll_us = Some(read_roll(name, value, MAX_PRE_ROLL_S)?),
            "post_roll_s" => patch.post_roll_us = Some(read_roll(name, value, MAX_POST_ROLL_S)?),
            "schedule" => patch.schedule = Some(read_schedule(value)?),
            "retention_s" => patch.retention_s = Some(read_count(name, value)?),
            "max_bytes" => patch.max_bytes = Some(read_count(name, value)?),
            _ => {
                return Err(ApiError::invalid(format!(
                    "{name:?} is none of rec_mode, pre_roll_s, post_roll_s, schedule, retention_s, max_bytes"
                )));
            }
        }
    }
    Ok(patch)
}

fn read_mode(value: &Value) -> Result<RecMode, ApiError> {
    value
        .as_str()
        .and_then(RecMode::from_word)
        .ok_or_else(|| ApiError::invalid("rec_mode is none of on, off, by_event, server_by_event"))
}

/// In microseconds.
fn read_roll(name: &str, value: &Value, most: f64) -> Result<Option<i64>, ApiError> {
    if value.is_null() {
        return Ok(None);
    }
    let seconds = value.as_f64().filter(|s| (0.0..=most).contains(s));
    let seconds = seconds.ok_or_else(|| {
        ApiError::invalid(format!("{name} is neither null nor 0 to {most} seconds"))
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "an hour at most")]
    let micros = (seconds * 1e6).round() as i64;
    Ok(Some(micros))
}

fn read_count(name: &str, value: &Value) -> Result<Option<i64>, ApiError> {
    if value.is_null() {
        return Ok(None);
    }
    let count = value.as_i64().filter(|count| *count >= 1);
    let count = count.ok_or_else(|| {
        ApiError::invalid(format!(
            "{name} is neither null nor a whole number from 1 on"
        ))
    })?;
    Ok(Some(count))
}

fn read_schedule(value: &Value) -> Result<Option<Schedule>, ApiError> {
    if value.is_null() {
        return Ok(None);
    }
    let invalid = |why: String| ApiError::invalid(format!("schedule: {why}"));
    let schedule = Schedule::deserialize(value).map_err(|error| invalid(error.to_string()))?;
    schedule.check().map_err(invalid)?;
    Ok(Some(schedule))
}

fn show(state: &AppState, channel: &Channel) -> Result<RecordingView, ApiError> {
    #[expect(clippy::cast_precision_loss, reason = "an hour at most")]
    let seconds = |micros: Option<i64>| micros.map(|micros| micros as f64 / 1e6);
    let schedule = channel.schedule.as_ref().map(serde_json::to_value);
    let schedule = schedule.transpose();
    let track = state.registry.get(channel.id);
    let held = track.as_ref().and_then(|track| {
        let oldest = track.gop_spans().first()?.start;
        Some(track.newest_capture()?.micros_since(oldest))
    });
    Ok(RecordingView {
        rec_mode: channel.rec_mode.as_str(),
        pre_roll_s: seconds(channel.pre_roll_us),
        post_roll_s: seconds(channel.post_roll_us),
        ring_s: seconds(held).unwrap_or(0.0),
        schedule: schedule.map_err(|error| ApiError::invalid(error.to_string()))?,
        retention_s: channel.retention_s,
        max_bytes: channel.max_bytes,
        clock: track
            .as_ref()
            .and_then(Track::clock)
            .as_ref()
            .map(ClockView::of),
        recording: track.is_some_and(|track| *track.recording().borrow()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<ChannelPatch, String> {
        super::read(body.as_object().unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(
            read(json!({"pre_roll": 3}))
                .unwrap_err()
                .contains("\"pre_roll\"")
        );
        assert!(
            read(json!({"pre_roll_s": 301}))
                .unwrap_err()
                .contains("300")
        );
        assert!(
            read(json!({"post_roll_s": -1}))
                .unwrap_err()
                .contains("3600")
        );
        assert!(read(json!({"post_roll_s": "5"})).is_err());
        assert!(
            read(json!({"max_bytes": 0}))
                .unwrap_err()
                .contains("from 1 on")
        );
        assert_eq!(
            read(json!({"max_bytes": 7, "retention_s": null}))
                .map(|p| (p.max_bytes, p.retention_s)),
            Ok((Some(Some(7)), Some(None)))
        );
        assert!(read(json!({"rec_mode": "sometimes"})).is_err());
        let period = json!({"from": "08:00", "to": "25:00", "mode": "on"});
        let late = read(json!({"schedule": {"periods": [period], "otherwise": "off"}}));
        assert!(late.unwrap_err().contains("25:00"));
        assert!(
            read(json!({"schedule": {"periods": []}}))
                .unwrap_err()
                .contains("otherwise")
        );
    }

    #[test]
    fn null_goes_back_to_the_default_and_absence_keeps() {
        let patch = read(json!({"pre_roll_s": 2.5, "post_roll_s": null})).unwrap();
        assert_eq!(
            (patch.pre_roll_us, patch.post_roll_us),
            (Some(Some(2_500_000)), Some(None))
        );
        assert_eq!((patch.rec_mode, patch.schedule), (None, None));
    }
}
