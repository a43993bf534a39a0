//! `POST /v1/metadata/buckets`: counts by time.

use super::answer::{BucketPage, BucketView, SpreadView};
use super::request::BucketsBody;
use super::search::Where;
use super::{member, only_known};
use crate::AppState;
use crate::auth::Caller;
use crate::body::MetaObject;
use crate::error::ApiError;
use crate::native::read_span;
use crate::native::types::ErrorBody;
use axum::Json;
use axum::extract::State;
use framewell_catalog::meta::{Bucket, BucketQuery, Measured, Spread, Value as Typed};
use framewell_insight::MAX_NAME_BYTES;
use serde_json::{Map, Value};

const MEMBERS: [&str; 8] = [
    "channels", "start", "end", "filter", "text", "interval", "by", "field",
];

/// Count metadata documents by time
///
/// In intervals, all together or by label, with the smallest, the largest and the mean of a number. Intervals
/// without documents are left out; 10,000 buckets at most.
#[utoipa::path(
    post,
    path = "/v1/metadata/buckets",
    tag = "metadata",
    request_body(content = BucketsBody, description = "What to count"),
    responses(
        (status = 200, description = "Counts", body = BucketPage),
        (status = 400, description = "A member that cannot be, or too many buckets; the message says which", body = ErrorBody),
        (status = 403, description = "The token may not use metadata", body = ErrorBody),
        (status = 404, description = "A named channel is not behind this token", body = ErrorBody),
        (status = 503, description = "The count took too long; ask for less time", body = ErrorBody),
    ),
)]
pub(crate) async fn count_documents(
    State(state): State<AppState>,
    caller: Caller,
    MetaObject(body, _reserved): MetaObject,
) -> Result<Json<BucketPage>, ApiError> {
    only_known(&body, &MEMBERS)?;
    let within = Where::read(&state, &caller, &body).await?;
    let query = BucketQuery {
        scope: within.scope(),
        interval_us: interval(&body)?,
        is_by_label: is_by_label(&body)?,
        measured: measured(&body)?,
    };
    let buckets = state.insight.count_by_time(&query).await?;
    let show = |bucket| show(bucket, query.interval_us);
    Ok(Json(BucketPage {
        buckets: buckets.into_iter().map(show).collect(),
    }))
}

fn interval(body: &Map<String, Value>) -> Result<i64, ApiError> {
    let text = member(body, "interval").and_then(Value::as_str);
    let interval = text
        .and_then(read_span)
        .filter(|interval| *interval >= 1_000);
    interval.ok_or_else(|| ApiError::invalid("interval is not a span of 1ms or more, such as 5m"))
}

fn is_by_label(body: &Map<String, Value>) -> Result<bool, ApiError> {
    match member(body, "by").map(Value::as_str) {
        None => Ok(false),
        Some(Some("label")) => Ok(true),
        _ => Err(ApiError::invalid("by is not label")),
    }
}

fn measured(body: &Map<String, Value>) -> Result<Option<Measured>, ApiError> {
    let Some(field) = member(body, "field") else {
        return Ok(None);
    };
    let named = |text: &str, prefix: &str| {
        let name = text.strip_prefix(prefix)?;
        ((1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains('\0'))
            .then(|| name.to_owned())
    };
    let read = |text: &str| match text {
        "objects.score" => Some(Measured::Score),
        _ => named(text, "long.")
            .map(Measured::Long)
            .or_else(|| named(text, "float.").map(Measured::Float)),
    };
    field
        .as_str()
        .and_then(read)
        .map(Some)
        .ok_or_else(|| ApiError::invalid("field is not long.<name>, float.<name> or objects.score"))
}

fn show(bucket: Bucket, interval_us: i64) -> BucketView {
    BucketView {
        end: bucket.start.plus_micros(interval_us).to_rfc3339(),
        start: bucket.start.to_rfc3339(),
        label: bucket.label,
        documents: bucket.documents,
        objects: bucket.objects,
        field: bucket.spread.map(|spread| {
            let Spread {
                count,
                min,
                max,
                avg,
            } = spread;
            SpreadView {
                count,
                min: number(&min),
                max: number(&max),
                avg,
            }
        }),
    }
}

fn number(value: &Typed) -> Value {
    match value {
        Typed::Long(number) => (*number).into(),
        Typed::Float(number) => (*number).into(),
        Typed::Text(_) | Typed::Time(_) => Value::Null,
    }
}
