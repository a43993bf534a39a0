//! `/api/v4/images/generation/tasks/`: pictures out of recorded video (contract section 8.1).

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::params::Params;
use crate::vxg::ids::path_id;
use crate::vxg::input;
use crate::vxg::list::{DEFAULT_LIMIT, ListRequest, MAX_LIMIT};
use crate::vxg::time::body_time;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use framewell_catalog::Order;
use framewell_gallery::{Task, TaskRequest};
use framewell_model::{JobId, JobState, WallTime};
use serde_json::{Map, Value, json};

/// The contract's word: clients know three.
const fn status(state: JobState) -> &'static str {
    match state {
        JobState::Pending | JobState::Running => "pending",
        JobState::Done => "done",
        JobState::Error | JobState::Cancelled => "error",
    }
}

fn show(task: &Task) -> Value {
    let mut object = json!({
        "id": task.id,
        "camid": task.channel,
        "status": status(task.state),
        "start": task.request.start.to_naive_text(),
        "end": task.request.end.to_naive_text(),
        "period": input::seconds_of(task.request.period_us),
        "created": task.created.to_naive_text(),
        "progress": task.progress,
        "images": task.images,
        "failed_images": task.failed,
    });
    if let Some(error) = &task.error {
        object["error"] = error.as_str().into();
    }
    if let Some(finished) = task.finished {
        object["finished"] = finished.to_naive_text().into();
    }
    object
}

fn time(body: &Map<String, Value>, name: &str) -> Result<WallTime, ApiError> {
    let time = body_time(body, name)?.flatten();
    time.ok_or_else(|| ApiError::invalid(format!("{name} is missing")))
}

fn read(body: &Map<String, Value>) -> Result<TaskRequest, ApiError> {
    let period_us = input::seconds(body, "period")?.flatten();
    Ok(TaskRequest {
        start: time(body, "start")?,
        end: time(body, "end")?,
        period_us: period_us.ok_or_else(|| ApiError::invalid("period is missing"))?,
    })
}

pub(crate) async fn create_task(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    let request = read(&body)?;
    let account = caller.grant.account;
    let task = state.gallery.create_task(account, channel, request).await?;
    Ok((StatusCode::CREATED, Json(show(&task))))
}

pub(crate) async fn list_tasks(
    State(state): State<AppState>,
    caller: Caller,
    uri: Uri,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    let list = ListRequest::read(&uri, &params, DEFAULT_LIMIT, MAX_LIMIT)?;
    let order = match params.get("order_by") {
        None | Some("" | "created") => Order::Ascending,
        Some("-created") => Order::Descending,
        Some(_) => {
            let text = "order_by is neither created nor -created";
            return Err(ApiError::invalid(text));
        }
    };
    let page = state.gallery.list_tasks(channel, order, list.slice).await?;
    let objects = page.items.iter().map(show);
    Ok(list.answer(objects.collect(), page.total, None))
}

/// A task that the caller may use with the route's right.
async fn load(state: &AppState, caller: &Caller, id: &str) -> Result<Task, ApiError> {
    let id: JobId = path_id(id, "task")?;
    let task = state.gallery.load_task(id).await?;
    caller
        .check_hidden(state, task.channel, format!("image generation task {id}"))
        .await?;
    Ok(task)
}

pub(crate) async fn show_task(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(show(&load(&state, &caller, &id).await?)))
}

/// The task stops and is forgotten; pictures that it stored stay.
pub(crate) async fn delete_task(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let task = load(&state, &caller, &id).await?;
    state.jobs.delete(task.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
