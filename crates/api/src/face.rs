//! Around every request: a request id, one log line without secrets, and errors as the JSON of the
//! face that was called.

use crate::error::ApiError;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Names a request in answers and in the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The layer.
pub(crate) async fn dress(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let method = request.method().clone();
    // The path only: queries carry tokens and tickets.
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let has_long_body = has_long_body(request.headers());
    let started = Instant::now();
    let mut response = next.run(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        response = render(response, &path, &id);
        if has_long_body {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
    }
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    count(&method, route, status, elapsed);
    let duration_ms = elapsed.as_millis();
    tracing::debug!(%method, path, status, duration_ms, request.id = %id, "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Whether a refusal may leave so much of the body unread that the connection ends. The client has to
/// know, or it sends the next request into a connection that is being closed.
fn has_long_body(headers: &HeaderMap) -> bool {
    const SHORT_BYTES: u64 = 8 << 10;
    let announced = headers.get(header::CONTENT_LENGTH);
    match announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok()) {
        Some(length) => length > SHORT_BYTES,
        None => headers.contains_key(header::TRANSFER_ENCODING),
    }
}

/// Counts by route template, never by path: ids would make a series each.
fn count(method: &Method, route: String, status: u16, elapsed: Duration) {
    let method = match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    metrics::counter!("framewell_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("framewell_http_request_seconds", "method" => method, "route" => route)
        .record(elapsed.as_secs_f64());
}

/// The client's own id if it is a plain short word, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let is_plain = |text: &&str| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(is_plain)
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn render(mut response: Response, path: &str, id: &str) -> Response {
    let status = response.status();
    let error = response
        .extensions_mut()
        .remove::<ApiError>()
        .unwrap_or_else(|| ApiError::of_status(status));
    log(&error, path, id);
    let body = if is_compatible(path) {
        json!({
            "status": status.as_u16(),
            "errorType": error.compat_type(),
            "errorDetail": error.message,
        })
    } else {
        let mut object = error.details;
        object.insert("code".into(), error.code.into());
        object.insert("message".into(), error.message.into());
        object.insert("request_id".into(), id.into());
        json!({ "error": object })
    };
    let mut rendered = (status, axum::Json(body)).into_response();
    if let Some(seconds) = retry_after_s(status) {
        rendered
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    rendered
}

/// When the same request may succeed, in seconds (RFC 9110 section 10.2.3): a busy queue empties soon,
/// a camera or database that is away takes longer.
const fn retry_after_s(status: StatusCode) -> Option<u16> {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(1),
        StatusCode::SERVICE_UNAVAILABLE => Some(2),
        _ => None,
    }
}

/// Everything but the native face speaks the contract's errors, unknown routes included: old clients
/// read `errorDetail` without a guard.
fn is_compatible(path: &str) -> bool {
    !(path == "/v1" || path.starts_with("/v1/"))
}

fn log(error: &ApiError, path: &str, id: &str) {
    let (message, causes) = (&error.message, error.causes.as_deref().unwrap_or("-"));
    let status = error.status.as_u16();
    if status == 500 {
        tracing::error!(path, status, request.id = %id, causes, "request failed: {message}");
    } else if error.status.is_server_error() {
        tracing::warn!(path, status, request.id = %id, causes, "request failed: {message}");
    } else {
        tracing::debug!(path, status, request.id = %id, causes, "request refused: {message}");
    }
}
