//! `/v1/metadata/{id}`: one document.

use super::answer::DocumentView;
use super::frames::Frames;
use super::read_time;
use super::request::PatchBody;
use crate::AppState;
use crate::auth::Caller;
use crate::body::MetaBody;
use crate::error::ApiError;
use crate::native::types::ErrorBody;
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use framewell_catalog::meta::Document;
use framewell_insight::feed::show_document;
use framewell_insight::{Outcome, Patch, parse_native_patch};
use framewell_model::ChannelId;
use serde_json::Value;

/// Get a document
#[utoipa::path(
    get,
    path = "/v1/metadata/{id}",
    tag = "metadata",
    params(
        ("id" = String, Path, description = "Id of the document"),
        ("channel" = Option<i64>, Query, description = "Its channel; needed where several channels of the token have a document of this id"),
    ),
    responses(
        (status = 200, description = "The document", body = DocumentView),
        (status = 400, description = "Several channels have a document of this id", body = ErrorBody),
        (status = 404, description = "No such document behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn show_one(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let document = load(&state, &caller, &id, &params).await?;
    Ok(Json(show_document(&document)))
}

/// Change a document
///
/// Members of `long`, `float` and `string` are merged; every other member takes the place of the old one;
/// `null` removes.
#[utoipa::path(
    patch,
    path = "/v1/metadata/{id}",
    tag = "metadata",
    params(
        ("id" = String, Path, description = "Id of the document"),
        ("channel" = Option<i64>, Query, description = "Its channel; needed where several channels of the token have a document of this id"),
    ),
    request_body(content = PatchBody, description = "What changes"),
    responses(
        (status = 200, description = "The document as it is now", body = DocumentView),
        (status = 400, description = "A member that cannot be; the message names it", body = ErrorBody),
        (status = 404, description = "No such document behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn change_one(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    MetaBody(body, _reserved): MetaBody,
) -> Result<Json<Value>, ApiError> {
    let document = load(&state, &caller, &id, &params).await?;
    let mut patch = parse_native_patch(&id, &body, read_time).map_err(ApiError::invalid)?;
    place(&state, &document, &mut patch).await?;
    let channel = document.channel;
    let outcomes = state.insight.merge(channel, vec![Ok(patch)]).await?;
    match outcomes.into_iter().next() {
        Some(Outcome::Refused(why)) => Err(ApiError::invalid(why)),
        Some(Outcome::Done(_)) => {
            let now = load_of(&state, &[channel], &id).await?;
            Ok(Json(show_document(&now)))
        }
        _ => Err(missing(&id)),
    }
}

/// Delete a document
#[utoipa::path(
    delete,
    path = "/v1/metadata/{id}",
    tag = "metadata",
    params(
        ("id" = String, Path, description = "Id of the document"),
        ("channel" = Option<i64>, Query, description = "Its channel; needed where several channels of the token have a document of this id"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such document behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn delete_one(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode, ApiError> {
    let document = load(&state, &caller, &id, &params).await?;
    let deleted = state
        .insight
        .delete(document.channel, vec![Ok(id.clone())])
        .await?;
    match deleted.first() {
        Some(Outcome::Done(_)) => Ok(StatusCode::NO_CONTENT),
        _ => Err(missing(&id)),
    }
}

fn missing(id: &str) -> ApiError {
    let shown: String = id.chars().take(130).collect();
    ApiError::not_found(format_args!("document {shown:?}"))
}

async fn load(
    state: &AppState,
    caller: &Caller,
    id: &str,
    params: &Params,
) -> Result<Document, ApiError> {
    params.only_known(&["channel"])?;
    let channels = match params.number::<ChannelId>("channel")? {
        Some(channel) => {
            caller.check(state, channel).await?;
            vec![channel]
        }
        None => state.access.channels(&caller.grant).await?,
    };
    load_of(state, &channels, id).await
}

async fn load_of(state: &AppState, channels: &[ChannelId], id: &str) -> Result<Document, ApiError> {
    if channels.is_empty() || id.contains('\0') {
        return Err(missing(id));
    }
    let found = state
        .catalog
        .load_documents(channels, &[id.to_owned()])
        .await?;
    let count = found.len();
    let mut found = found.into_iter();
    match (found.next(), count) {
        (Some(document), 1) => Ok(document),
        (None, _) => Err(missing(id)),
        _ => Err(ApiError::invalid(format!(
            "{count} channels have a document of this id; say which with channel="
        ))),
    }
}

/// Checks a new frame, and gives the document its time if it says none.
async fn place(state: &AppState, before: &Document, patch: &mut Patch) -> Result<(), ApiError> {
    let Some(Some(frame)) = &mut patch.native.frame else {
        return Ok(());
    };
    let mut frames = Frames::new(state, before.channel);
    let captured = frames.captured(frame.id, patch.timestamp).await?;
    frame.captured = captured.map_err(ApiError::invalid)?;
    if patch.timestamp.is_none() {
        patch.timestamp = frame.captured;
    }
    Ok(())
}
