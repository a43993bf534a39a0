//! `/v1/channels/{id}/deletions`: what became of footage that is not there any more.

use super::stream_of;
use super::types::{ErrorBody, PageMeta};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use framewell_model::Deletion;
use serde::Serialize;
use utoipa::ToSchema;

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1_000;

/// Footage that was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletionView {
    /// First moment.
    start: String,
    /// First moment after it.
    end: String,
    /// Bytes of its objects.
    bytes: i64,
    /// How many objects.
    segments: i64,
    /// `age`, `bytes`, `pressure` (the disk or the spool was full), `request` or `channel`.
    #[schema(example = "age")]
    reason: &'static str,
    /// When it began to go; it was gone within the hour.
    at: String,
}

/// A page of deletions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletionPage {
    /// Newest first.
    deletions: Vec<DeletionView>,
    meta: PageMeta,
}

/// Show what was deleted of a channel, and why
///
/// Kept for 400 days.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/deletions",
    tag = "channels",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("limit" = Option<u32>, Query, description = "Most entries in one answer, 1 to 1000; 100 if absent"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "Entries, newest first", body = DeletionPage),
        (status = 400, description = "Bad limit or cursor", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn list_deletions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<DeletionPage>, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let limit = params.number::<u64>("limit")?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid(format!("limit is not 1 to {MAX_LIMIT}")));
    }
    let before = params.number::<i64>("cursor")?;
    // One more tells whether there is another page.
    let mut found = state
        .catalog
        .list_deletions(channel, before, limit + 1)
        .await?;
    let has_more = found.len() as u64 > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = found.last().filter(|_| has_more);
    Ok(Json(DeletionPage {
        meta: PageMeta {
            next: next.map(|last| last.number.to_string()),
        },
        deletions: found.iter().map(view).collect(),
    }))
}

fn view(deletion: &Deletion) -> DeletionView {
    DeletionView {
        start: deletion.range.start.to_rfc3339(),
        end: deletion.range.end.to_rfc3339(),
        bytes: deletion.size_bytes,
        segments: deletion.segments,
        reason: deletion.reason.as_str(),
        at: deletion.at.to_rfc3339(),
    }
}
