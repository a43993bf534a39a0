//! `POST /v1/metadata`: many documents at once, a result for each.

use super::answer::{WriteMeta, WriteResult, WriteResults};
use super::frames::Frames;
use super::request::DocumentBody;
use super::{channel_id, member, only_known, read_time};
use crate::AppState;
use crate::auth::Caller;
use crate::body::MetaBody;
use crate::error::ApiError;
use crate::native::types::ErrorBody;
use crate::params::Params;
use axum::Json;
use axum::extract::State;
use framewell_insight::{
    InputDocument, MAX_BATCH, NativeDocument, Outcome, Parsed, parse_native_document,
};
use framewell_model::{ChannelId, Principal};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Write metadata documents
///
/// Up to 10,000 documents of any channels of the token, with a result for each: a bad one does not stop the
/// others. A document with an `id` that its channel has takes the place of the old one, so a write may be
/// repeated. Coordinates are parts of the picture, 0 to 1. `frame` is what the header `Framewell-Frame` of a
/// picture says; it has to be the channel's, and says the time if there is no `timestamp`.
#[utoipa::path(
    post,
    path = "/v1/metadata",
    tag = "metadata",
    params(
        ("channel" = Option<i64>, Query, description = "Channel of the documents that name none; a channel token means its own"),
    ),
    request_body(content = Vec<DocumentBody>, description = "An array of documents, or an object with the member `documents`"),
    responses(
        (status = 200, description = "What became of each document, in their order", body = WriteResults),
        (status = 400, description = "The body is no array of documents, or of too many", body = ErrorBody),
        (status = 401, description = "No good token", body = ErrorBody),
        (status = 403, description = "The token may not use metadata", body = ErrorBody),
        (status = 413, description = "The body is larger than 16 MiB", body = ErrorBody),
        (status = 503, description = "Too many long bodies at once", body = ErrorBody),
    ),
)]
pub(crate) async fn write_documents(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    MetaBody(body, _reserved): MetaBody,
) -> Result<Json<WriteResults>, ApiError> {
    params.only_known(&["channel"])?;
    let default = match params.number::<ChannelId>("channel")? {
        Some(named) => Some(named),
        None => match caller.grant.principal {
            Principal::Channel(own) => Some(own),
            _ => None,
        },
    };
    let elements = elements(body)?;
    let open = state.access.channels(&caller.grant).await?;
    let open: BTreeSet<ChannelId> = open.into_iter().collect();
    let mut results = Vec::with_capacity(elements.len());
    let mut by_channel: BTreeMap<ChannelId, Vec<(usize, Value)>> = BTreeMap::new();
    for (index, element) in elements.into_iter().enumerate() {
        match channel_of(&element, default, &open) {
            Ok(channel) => by_channel
                .entry(channel)
                .or_default()
                .push((index, element)),
            Err(why) => results.push(WriteResult::refused(index, None, why)),
        }
    }
    results.extend(store(&state, by_channel).await?);
    results.sort_by_key(|result| result.index);
    let errors = results
        .iter()
        .filter(|result| result.error.is_some())
        .count();
    let meta = WriteMeta {
        errors,
        total: results.len(),
    };
    Ok(Json(WriteResults { results, meta }))
}

/// Stores the documents of each channel. One that fails does not take the results of the others away: what
/// they say is stored already. An error only if nothing was stored at all, so that all may be sent again.
async fn store(
    state: &AppState,
    by_channel: BTreeMap<ChannelId, Vec<(usize, Value)>>,
) -> Result<Vec<WriteResult>, ApiError> {
    let mut ready = Vec::with_capacity(by_channel.len());
    for (channel, elements) in by_channel {
        let (indices, elements): (Vec<usize>, Vec<Value>) = elements.into_iter().unzip();
        ready.push((channel, indices, read(state, channel, &elements).await));
    }
    let (mut results, mut failure, mut is_any_good) = (Vec::new(), None, false);
    for (channel, indices, documents) in ready {
        let outcomes = match documents {
            Ok(documents) => state
                .insight
                .post(channel, documents)
                .await
                .map_err(ApiError::from),
            Err(error) => Err(error),
        };
        match outcomes {
            Ok(outcomes) => {
                is_any_good = true;
                let told = indices.into_iter().zip(outcomes);
                results.extend(told.map(|(index, outcome)| result(index, channel, outcome)));
            }
            Err(error) => {
                let causes = error.causes.as_deref().unwrap_or("-");
                let (id, message) = (channel.get(), &error.message);
                tracing::warn!(channel.id = id, causes, "no document was stored: {message}");
                let failed = indices.into_iter();
                results.extend(failed.map(|index| WriteResult::failed(index, channel, &error)));
                failure.get_or_insert(error);
            }
        }
    }
    match failure {
        Some(error) if !is_any_good => Err(error),
        _ => Ok(results),
    }
}

fn elements(body: Value) -> Result<Vec<Value>, ApiError> {
    let elements = match body {
        Value::Array(elements) => elements,
        Value::Object(mut object) => {
            only_known(&object, &["documents"])?;
            match object.remove("documents") {
                Some(Value::Array(elements)) => elements,
                _ => return Err(ApiError::invalid("documents is not an array")),
            }
        }
        _ => return Err(ApiError::invalid("the body is not an array of documents")),
    };
    if elements.len() > MAX_BATCH {
        let count = elements.len();
        return Err(ApiError::invalid(format!(
            "one write takes {MAX_BATCH} documents at most, not {count}"
        ))
        .with_detail("limit", MAX_BATCH));
    }
    Ok(elements)
}

/// Which channel a document is about.
fn channel_of(
    element: &Value,
    default: Option<ChannelId>,
    open: &BTreeSet<ChannelId>,
) -> Result<ChannelId, String> {
    let named = element
        .as_object()
        .and_then(|object| member(object, "channel"));
    let channel = match named {
        Some(named) => channel_id(named).ok_or("channel is not a channel id")?,
        None => default.ok_or("channel is missing: the token opens more than one")?,
    };
    if !open.contains(&channel) {
        return Err(format!("channel {channel} does not exist"));
    }
    Ok(channel)
}

async fn read(
    state: &AppState,
    channel: ChannelId,
    elements: &[Value],
) -> Result<Vec<Parsed<InputDocument>>, ApiError> {
    let mut frames = Frames::new(state, channel);
    let mut documents = Vec::with_capacity(elements.len());
    for element in elements {
        documents.push(match parse_native_document(element, read_time) {
            Ok(document) => placed(&mut frames, document).await?,
            Err(why) => Err(why),
        });
    }
    Ok(documents)
}

/// A document at its own time, or at that of its frame.
async fn placed(
    frames: &mut Frames<'_>,
    document: NativeDocument,
) -> Result<Parsed<InputDocument>, ApiError> {
    let captured = match document.frame() {
        Some(frame) => match frames.captured(frame, document.timestamp).await? {
            Ok(captured) => captured,
            Err(why) => return Ok(Err(why)),
        },
        None => None,
    };
    let timestamp = document.timestamp.or(captured);
    // A document without either was refused when it was read.
    let timestamp = timestamp.ok_or_else(|| ApiError::invalid("timestamp is missing"))?;
    Ok(Ok(document.at(timestamp, captured)))
}

fn result(index: usize, channel: ChannelId, outcome: Outcome) -> WriteResult {
    let done = |id, status| WriteResult {
        index,
        channel: Some(channel.get()),
        id: Some(id),
        status,
        error: None,
    };
    match outcome {
        Outcome::Created(id) => done(id, 201),
        Outcome::Done(id) => done(id, 200),
        Outcome::Refused(why) => WriteResult::refused(index, Some(channel), why),
        Outcome::NotFound(id) => {
            let why = format!("channel {channel} has no document {id:?}");
            WriteResult::refused(index, Some(channel), why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn too_many_elements_are_refused_before_they_are_read() {
        let of = |count| elements(json!({"documents": vec![0; count]}));
        assert_eq!(of(MAX_BATCH).unwrap().len(), MAX_BATCH);
        let refused = of(MAX_BATCH + 1).unwrap_err();
        assert_eq!(
            (refused.status.as_u16(), &refused.details["limit"]),
            (400, &json!(MAX_BATCH))
        );
        assert!(elements(json!({"document": []})).is_err() && elements(json!(5)).is_err());
    }
}
