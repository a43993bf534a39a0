//! One error for all handlers; the two faces render it in their own words.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use framewell_access::places::NoPlace;
use framewell_model::{ErrorKind, HasKind, WallTime};
use serde_json::{Map, Value};
use std::error::Error;

/// What a failed request answers. Handlers return it; the face layer writes the JSON.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub(crate) status: StatusCode,
    /// Native `error.code`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Further members of the native error object.
    pub(crate) details: Map<String, Value>,
    /// Causes for the log, never for the client.
    pub(crate) causes: Option<String>,
}

impl ApiError {
    /// An error of this kind.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(kind.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: kind.label(),
            message: message.into(),
            details: Map::new(),
            causes: None,
        }
    }

    /// The caller's input is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// The thing does not exist, or the caller may not know that it does.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("{what} does not exist"))
    }

    /// The credential is good, for something else.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::PermissionDenied, message)
    }

    /// What a bare status code of the HTTP library means.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (kind, code, message) = match status {
            StatusCode::NOT_FOUND => (ErrorKind::NotFound, None, "no such route"),
            StatusCode::METHOD_NOT_ALLOWED => (
                ErrorKind::InvalidArgument,
                Some("method_not_allowed"),
                "this route does not take that method",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => (
                ErrorKind::InvalidArgument,
                Some("too_large"),
                "the body is too large",
            ),
            s if s.is_client_error() => (
                ErrorKind::InvalidArgument,
                None,
                "the request cannot be understood",
            ),
            _ => (
                ErrorKind::Internal,
                None,
                "the server failed; the request id finds it in the log",
            ),
        };
        let mut error = Self::new(kind, message).with_status(status);
        error.code = code.unwrap_or(error.code);
        error
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a member to the native error object.
    pub(crate) fn with_detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Says where the nearest footage is: the end of what lies before, the start of what lies after.
    pub(crate) fn with_nearest(
        mut self,
        before: Option<WallTime>,
        after: Option<WallTime>,
    ) -> Self {
        for (name, words, time) in [
            ("nearest_before", "the nearest before it is at", before),
            ("nearest_after", "the nearest after it is at", after),
        ] {
            if let Some(time) = time {
                self.message = format!("{}; {words} {time}", self.message);
                self = self.with_detail(name, time.to_rfc3339());
            }
        }
        self
    }

    /// The contract's `errorType` (section 2.7).
    pub(crate) fn compat_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "invalid_auth",
            403 => "access_deny",
            404 => "not_found",
            405 => "method_not_allowed",
            409 => "conflict",
            400..=499 => "invalid_param",
            503 | 504 => "unavailable",
            _ => "internal",
        }
    }
}

impl<E: HasKind> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}

impl ApiError {
    /// The same as `From`, for an error that somebody else keeps.
    pub(crate) fn of<E: HasKind>(error: &E) -> Self {
        let mut api = Self::new(error.kind(), error.to_string());
        api.causes = causes(error);
        api
    }
}

/// The chain of sources, joined for one log line.
pub(crate) fn causes(error: &dyn Error) -> Option<String> {
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(source) = next {
        texts.push(source.to_string());
        next = source.source();
    }
    (!texts.is_empty()).then(|| texts.join(": "))
}

impl ApiError {
    /// No place for what runs long, with the number that was the limit.
    pub(crate) fn no_place(error: NoPlace) -> Self {
        let limit = error.limit();
        Self::from(error).with_detail("limit", limit)
    }
}

impl IntoResponse for ApiError {
    /// An empty body with this error in the extensions: the face layer, which knows the path and the
    /// request id, writes the JSON.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
