//! JSON bodies whatever their `Content-Type` (contract section 2.4), bounded in size and time.

use crate::AppState;
use crate::config::BodyBudget;
use crate::error::ApiError;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::{Bytes, BytesMut};
use framewell_model::ErrorKind;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;

/// A JSON object; an empty body counts as `{}`.
#[derive(Debug)]
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

/// Any JSON value of up to the metadata limit, with the memory that it may use.
#[derive(Debug)]
pub(crate) struct MetaBody(pub(crate) Value, pub(crate) Reserved);

/// A JSON object of up to the metadata limit, with the memory that it may use; an empty body counts as
/// `{}`.
#[derive(Debug)]
pub(crate) struct MetaObject(pub(crate) Map<String, Value>, pub(crate) Reserved);

/// What a body holds of [`crate::BodyBudget`]; `None` for short ones.
pub(crate) type Reserved = Option<OwnedSemaphorePermit>;

/// Bodies up to this many bytes cost nothing: there are at most as many as connections.
const FREE_BYTES: usize = 16 << 10;

impl FromRequest<AppState> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (bytes, _) = read(request, state, state.config.body_limit, None).await?;
        parse_object(&bytes).map(Self)
    }
}

impl FromRequest<AppState> for MetaBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (bytes, reserved) = read_meta(request, state).await?;
        Ok(Self(parse(&bytes)?, reserved))
    }
}

impl FromRequest<AppState> for MetaObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (bytes, reserved) = read_meta(request, state).await?;
        Ok(Self(parse_object(&bytes)?, reserved))
    }
}

/// A body of up to `limit` bytes, of any kind, in the memory of metadata bodies.
pub(crate) async fn read_bounded(
    request: Request,
    state: &AppState,
    limit: usize,
) -> Result<(Bytes, Reserved), ApiError> {
    read(request, state, limit, Some(&state.config.meta_memory)).await
}

async fn read_meta(request: Request, state: &AppState) -> Result<(Bytes, Reserved), ApiError> {
    read_bounded(request, state, state.config.meta_body_limit).await
}

fn parse_object(bytes: &Bytes) -> Result<Map<String, Value>, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match parse(bytes)? {
        Value::Object(object) => Ok(object),
        _ => Err(ApiError::invalid("the body is not a JSON object")),
    }
}

fn parse(bytes: &Bytes) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ApiError::invalid(format!(
            "the body is not JSON (line {line}, column {column})"
        ))
    })
}

async fn read(
    request: Request,
    state: &AppState,
    limit: usize,
    budget: Option<&BodyBudget>,
) -> Result<(Bytes, Reserved), ApiError> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|len| len > limit) {
        return Err(too_large(limit));
    }
    let reading = collect(Body::new(request.into_body()), limit, budget);
    match tokio::time::timeout(state.config.body_timeout, reading).await {
        Ok(read) => read,
        Err(_) => Err(ApiError::new(
            ErrorKind::InvalidArgument,
            "the body took too long to arrive",
        )
        .with_status(StatusCode::REQUEST_TIMEOUT)),
    }
}

/// Reads to the end. Memory is taken as bytes arrive, so a client that only announces a long body keeps
/// nobody out.
async fn collect(
    mut body: Body,
    limit: usize,
    budget: Option<&BodyBudget>,
) -> Result<(Bytes, Reserved), ApiError> {
    let mut bytes = BytesMut::new();
    let mut reserved: Reserved = None;
    let mut paid = FREE_BYTES;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::invalid("the body broke off"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let len = bytes.len() + data.len();
        if len > limit {
            return Err(too_large(limit));
        }
        if let Some(budget) = budget
            && len > paid
        {
            let more = (len - paid).div_ceil(FREE_BYTES) * FREE_BYTES;
            let permit = budget.take(more).ok_or_else(too_many)?;
            paid += more;
            match &mut reserved {
                Some(reserved) => reserved.merge(permit),
                None => reserved = Some(permit),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.freeze(), reserved))
}

fn too_large(limit: usize) -> ApiError {
    let mut error = ApiError::of_status(StatusCode::PAYLOAD_TOO_LARGE);
    error.message = format!("the body is larger than {limit} bytes");
    error
}

fn too_many() -> ApiError {
    ApiError::new(
        ErrorKind::Unavailable,
        "too many long bodies are being worked on; send this one again, or shorter ones",
    )
}
