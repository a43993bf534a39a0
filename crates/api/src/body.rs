//! JSON bodies whatever their `Content-Type` (contract section 2.4), bounded in size and time.

use crate::AppState;
use crate::error::ApiError;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use framewell_model::ErrorKind;
use serde_json::{Map, Value};

/// A JSON object; an empty body counts as `{}`.
#[derive(Debug)]
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

/// Any JSON value of up to the metadata limit.
#[derive(Debug)]
pub(crate) struct MetaBody(pub(crate) Value);

impl FromRequest<AppState> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let bytes = read(request, state, state.config.body_limit).await?;
        parse_object(&bytes).map(Self)
    }
}

impl FromRequest<AppState> for MetaBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let bytes = read(request, state, state.config.meta_body_limit).await?;
        Ok(Self(parse(&bytes)?))
    }
}

/// A JSON object of up to the metadata limit; an empty body counts as `{}`.
#[derive(Debug)]
pub(crate) struct MetaObject(pub(crate) Map<String, Value>);

impl FromRequest<AppState> for MetaObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let bytes = read(request, state, state.config.meta_body_limit).await?;
        parse_object(&bytes).map(Self)
    }
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

async fn read(request: Request, state: &AppState, limit: usize) -> Result<Bytes, ApiError> {
    let too_large = || {
        let mut error = ApiError::of_status(StatusCode::PAYLOAD_TOO_LARGE);
        error.message = format!("the body is larger than {limit} bytes");
        error
    };
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|len| len > limit) {
        return Err(too_large());
    }
    let reading = to_bytes(Body::new(request.into_body()), limit);
    match tokio::time::timeout(state.config.body_timeout, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::invalid("the body broke off")),
        Err(_) => Err(ApiError::new(
            ErrorKind::InvalidArgument,
            "the body took too long to arrive",
        )
        .with_status(StatusCode::REQUEST_TIMEOUT)),
    }
}

/// Whether reading stopped at the limit rather than at a broken connection.
fn is_length_limit(error: &axum::Error) -> bool {
    use std::error::Error;
    let mut next = error.source();
    while let Some(source) = next {
        if source.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        next = source.source();
    }
    false
}
