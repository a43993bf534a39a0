//! The member `near` of a search: nearest neighbours by vectors.

use super::answer::{Found, SearchMeta};
use super::search::{Where, order};
use super::{count, member, only_known};
use crate::AppState;
use crate::error::ApiError;
use axum::Json;
use framewell_catalog::Order;
use framewell_catalog::meta::Document;
use framewell_insight::{MAX_NEIGHBOURS, NearQuery, read_vector};
use serde_json::{Map, Value};

/// Documents where nobody asks for another number.
const DEFAULT_K: u64 = 10;

/// Members of a search that say how to go on, which a search for vectors does not.
const WITHOUT: [&str; 3] = ["cursor", "limit", "total"];

/// Answers a search for vectors.
pub(super) async fn answer(
    state: &AppState,
    within: &Where,
    near: &Value,
    body: &Map<String, Value>,
) -> Result<Json<Found>, ApiError> {
    if let Some(name) = WITHOUT.iter().find(|name| member(body, name).is_some()) {
        return Err(ApiError::invalid(format!(
            "{name} does not go with near, which has k"
        )));
    }
    let by_time = match member(body, "sort").and_then(Value::as_str) {
        Some("score") => None,
        Some(_) => Some(order(body)?),
        None => None,
    };
    let query = read(near)?;
    let found = state.insight.near(within.scope(), &query).await?;
    let mut scored = found.found;
    if let Some(order) = by_time {
        let moment = |(_, document): &(f64, Document)| document.timestamp;
        match order {
            Order::Ascending => scored.sort_by_key(moment),
            Order::Descending => scored.sort_by_key(|one| std::cmp::Reverse(moment(one))),
        }
    }
    let meta = SearchMeta {
        next: None,
        total: None,
        exact: Some(found.is_exact),
        compared: Some(found.compared),
        cut: found.is_cut,
    };
    let documents = scored.into_iter();
    Ok(Json(Found {
        documents: documents
            .map(|(score, document)| (Some(score), document))
            .collect(),
        meta,
    }))
}

fn read(near: &Value) -> Result<NearQuery, ApiError> {
    let Some(near) = near.as_object() else {
        return Err(ApiError::invalid("near is not an object"));
    };
    only_known(near, &["vector", "k", "min_score", "exact"])?;
    let vector =
        member(near, "vector").ok_or_else(|| ApiError::invalid("near.vector is missing"))?;
    let min_score = member(near, "min_score").map(|score| {
        let score = score.as_f64().filter(|score| (-1.0..=1.0).contains(score));
        score.ok_or_else(|| ApiError::invalid("near.min_score is not between -1 and 1"))
    });
    let is_exact = match member(near, "exact") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err(ApiError::invalid("near.exact is neither true nor false")),
    };
    let k = count(near, "k", DEFAULT_K, MAX_NEIGHBOURS as u64)?;
    Ok(NearQuery {
        vector: read_vector(vector).map_err(|why| ApiError::invalid(format!("near.{why}")))?,
        most: usize::try_from(k).unwrap_or(MAX_NEIGHBOURS),
        min_score: min_score.transpose()?,
        is_exact,
    })
}
