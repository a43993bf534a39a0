//! Bodies of several parts (RFC 2046 section 5.1.3, `multipart/mixed`), written as the parts get ready.

use crate::error::ApiError;
use crate::picture;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Writes parts with one boundary.
#[derive(Debug, Clone)]
pub(crate) struct Multipart {
    boundary: String,
}

impl Multipart {
    /// With a new boundary, which no picture contains: it has 122 random bits.
    pub(crate) fn new() -> Self {
        Self {
            boundary: format!("framewell-{}", Uuid::now_v7().simple()),
        }
    }

    /// Value of `Content-Type` of the whole.
    pub(crate) fn content_type(&self) -> String {
        format!("multipart/mixed; boundary={}", self.boundary)
    }

    /// A part: its delimiter and headers, its body (a handle, not a copy), its last line break.
    /// `Content-Length` is added, so that a reader need not search for the boundary.
    pub(crate) fn part(&self, headers: &HeaderMap, body: Bytes) -> [Bytes; 3] {
        let mut head = format!("--{}\r\n", self.boundary).into_bytes();
        for (name, value) in headers {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        [head.into(), body, Bytes::from_static(b"\r\n")]
    }

    /// What comes behind the last part.
    pub(crate) fn end(&self) -> Bytes {
        format!("--{}--\r\n", self.boundary).into()
    }
}

/// Headers of a part that is a JSON object.
pub(crate) fn json_type() -> HeaderMap {
    let mut headers = HeaderMap::new();
    picture::set(&mut headers, "content-type", "application/json");
    headers
}

/// The members of an error inside a body that goes on; the same as in an error answer, without the
/// request id.
pub(crate) fn error_object(error: ApiError) -> Map<String, Value> {
    let mut object = error.details;
    object.insert("code".into(), error.code.into());
    object.insert("message".into(), error.message.into());
    object
}
