//! `/api/v4/meta/`: writing metadata documents (contract section 11.2).

use crate::AppState;
use crate::auth::Caller;
use crate::body::MetaBody;
use crate::error::ApiError;
use crate::params::Params;
use crate::vxg::time::read_time;
use axum::Json;
use axum::extract::State;
use framewell_insight::{MAX_BATCH, Outcome, Parsed, parse_document, parse_id, parse_patch};
use serde_json::{Value, json};

/// One document may come without the array around it. Too many are refused before each becomes a
/// result: a body of millions of zeros would take gigabytes.
fn elements(body: Value) -> Result<Vec<Value>, ApiError> {
    match body {
        Value::Array(elements) if elements.len() > MAX_BATCH => Err(ApiError::invalid(format!(
            "one write takes {MAX_BATCH} documents at most"
        ))),
        Value::Array(elements) => Ok(elements),
        element @ Value::Object(_) => Ok(vec![element]),
        _ => Err(ApiError::invalid("the body is not an array of documents")),
    }
}

fn parsed<T>(body: Value, parse: impl Fn(&Value) -> Parsed<T>) -> Result<Vec<Parsed<T>>, ApiError> {
    Ok(elements(body)?.iter().map(parse).collect())
}

/// One result per element, the request itself is 200 whatever became of them.
fn answer(outcomes: Vec<Outcome>) -> Json<Value> {
    let total = outcomes.len();
    let is_error =
        |outcome: &&Outcome| matches!(outcome, Outcome::NotFound(_) | Outcome::Refused(_));
    let errors = outcomes.iter().filter(is_error).count();
    let objects: Vec<Value> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Created(id) => json!({ "status": 201, "id": id }),
            Outcome::Done(id) => json!({ "status": 200, "id": id }),
            Outcome::NotFound(id) => json!({
                "status": 404,
                "id": id,
                "errorType": "not_found",
                "errorDetail": "this channel has no document with that id",
            }),
            Outcome::Refused(why) => json!({
                "status": 400,
                "errorType": "invalid_param",
                "errorDetail": why,
            }),
        })
        .collect();
    Json(json!({
        "objects": objects,
        "meta": { "errors_count": errors, "total_count": total },
    }))
}

pub(crate) async fn post_documents(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    MetaBody(body, _reserved): MetaBody,
) -> Result<Json<Value>, ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    let documents = parsed(body, |element| parse_document(element, read_time))?;
    Ok(answer(state.insight.post(channel, documents).await?))
}

pub(crate) async fn merge_documents(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    MetaBody(body, _reserved): MetaBody,
) -> Result<Json<Value>, ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    let patches = parsed(body, |element| parse_patch(element, read_time))?;
    Ok(answer(state.insight.merge(channel, patches).await?))
}

pub(crate) async fn delete_documents(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    MetaBody(body, _reserved): MetaBody,
) -> Result<Json<Value>, ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    let ids = parsed(body, parse_id)?;
    Ok(answer(state.insight.delete(channel, ids).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_elements_are_refused_before_they_are_read() {
        let of = |count| elements(Value::from(vec![0; count]));
        assert_eq!(of(MAX_BATCH).unwrap().len(), MAX_BATCH);
        assert_eq!(of(MAX_BATCH + 1).unwrap_err().status, 400);
    }
}
