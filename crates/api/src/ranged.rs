//! Files by byte range (RFC 9110 section 14): 200, 206, 304, 416.

use crate::error::{ApiError, causes};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use std::error::Error;
use std::ops::Range;

/// The bytes of a body, as they are read.
type Parts<E> = BoxStream<'static, Result<Bytes, E>>;

/// A file that can be read from any byte on.
pub(crate) struct RangedFile<'a, E> {
    pub(crate) len: u64,
    /// Strong validator, without quotes.
    pub(crate) etag: &'a str,
    pub(crate) content_type: &'static str,
    /// Opens the body; called once at most.
    pub(crate) open: Box<dyn FnOnce(Range<u64>) -> Parts<E> + Send + 'a>,
}

impl<E: Error + Send + Sync + 'static> RangedFile<'_, E> {
    /// The answer to a request with these headers. A range list gets the whole file, which RFC 9110
    /// allows; nobody asks for one.
    pub(crate) fn respond(self, headers: &HeaderMap) -> Result<Response, ApiError> {
        let etag = format!("\"{}\"", self.etag.trim_matches('"'));
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        if text(header::IF_NONE_MATCH).is_some_and(|tags| matches_tag(tags, &etag)) {
            return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
        }
        // If-Range with another version, or a date (we give none): the whole file.
        let is_current = text(header::IF_RANGE).is_none_or(|tag| tag.trim() == etag);
        let wanted = match text(header::RANGE).filter(|_| is_current) {
            None => Wanted::Whole,
            Some(range) => parse_range(range, self.len),
        };
        let (status, range) = match wanted {
            Wanted::Whole => (StatusCode::OK, 0..self.len),
            Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Wanted::Nothing => return Ok(not_satisfiable(self.len)),
        };
        let mut response = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, self.content_type)
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::ETAG, etag)
            .header(header::CONTENT_LENGTH, range.end - range.start);
        if status == StatusCode::PARTIAL_CONTENT {
            let (first, last) = (range.start, range.end - 1);
            response = response.header(
                header::CONTENT_RANGE,
                format!("bytes {first}-{last}/{}", self.len),
            );
        }
        // The status line is out before the first byte is read: all that is left on an error is to
        // break off, which the client sees by the length.
        let body = (self.open)(range).inspect_err(|error| {
            let causes = causes(error).unwrap_or_default();
            tracing::warn!(causes, "a file broke off: {error}");
        });
        response
            .body(Body::from_stream(body))
            .map_err(|_| ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

fn not_satisfiable(len: u64) -> Response {
    let mut error = ApiError::of_status(StatusCode::RANGE_NOT_SATISFIABLE);
    error.message = format!("the range lies outside the {len} bytes of the file");
    let mut response = error.into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{len}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// Whether `If-None-Match` names this version.
pub(crate) fn matches_tag(tags: &str, etag: &str) -> bool {
    tags.split(',')
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag)
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// One `bytes=` range; anything that cannot be understood is ignored, as RFC 9110 asks.
fn parse_range(text: &str, len: u64) -> Wanted {
    let Some((first, last)) = text
        .trim()
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let range = match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(first), "") => first..len,
        (Ok(first), last) => match last.parse::<u64>() {
            Ok(last) if last >= first => first..last.saturating_add(1).min(len),
            _ => return Wanted::Whole,
        },
        (Err(_), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(suffix) => len.saturating_sub(suffix)..len,
            Err(_) => return Wanted::Whole,
        },
        (Err(_), _) => return Wanted::Whole,
    };
    if range.is_empty() {
        return Wanted::Nothing;
    }
    Wanted::Part(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use http_body_util::BodyExt;

    const DATA: &[u8] = b"0123456789";

    async fn get(headers: &[(header::HeaderName, &str)]) -> (StatusCode, HeaderMap, Bytes) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name, value.parse().unwrap());
        }
        let open = |range: Range<u64>| {
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            futures::stream::once(async move {
                Ok::<_, std::io::Error>(Bytes::from_static(&DATA[range]))
            })
            .boxed()
        };
        let file = RangedFile {
            len: 10,
            etag: "v1",
            content_type: "video/mp4",
            open: Box::new(open),
        };
        let response = file.respond(&map).unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, bytes)
    }

    #[tokio::test]
    async fn ranges_answer_the_bytes_they_name() {
        for (range, content_range, bytes) in [
            ("bytes=0-3", "bytes 0-3/10", "0123"),
            ("bytes=4-", "bytes 4-9/10", "456789"),
            ("bytes=-2", "bytes 8-9/10", "89"),
            ("bytes=-20", "bytes 0-9/10", "0123456789"),
            ("bytes=0-100000000", "bytes 0-9/10", "0123456789"),
        ] {
            let (status, headers, body) = get(&[(header::RANGE, range)]).await;
            assert_eq!(status, StatusCode::PARTIAL_CONTENT, "{range}");
            assert_eq!(headers[header::CONTENT_RANGE], content_range);
            assert_eq!(headers[header::CONTENT_LENGTH], bytes.len().to_string());
            assert_eq!(body, bytes.as_bytes());
        }
    }

    #[tokio::test]
    async fn a_range_outside_is_refused_and_nonsense_is_ignored() {
        for range in ["bytes=10-", "bytes=-0", "bytes=20-30"] {
            let (status, headers, _) = get(&[(header::RANGE, range)]).await;
            assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
            assert_eq!(headers[header::CONTENT_RANGE], "bytes */10");
        }
        for range in ["lines=1-2", "bytes=5-2", "bytes=a-b", "bytes=0-1,4-5"] {
            let (status, headers, body) = get(&[(header::RANGE, range)]).await;
            assert_eq!((status, body.len()), (StatusCode::OK, 10), "{range}");
            assert_eq!(headers[header::ACCEPT_RANGES], "bytes");
        }
    }

    #[tokio::test]
    async fn validators_decide_between_part_whole_and_nothing() {
        let part = (header::RANGE, "bytes=0-0");
        let current = get(&[part.clone(), (header::IF_RANGE, "\"v1\"")]).await;
        assert_eq!(current.0, StatusCode::PARTIAL_CONTENT);
        let old = get(&[part, (header::IF_RANGE, "\"v0\"")]).await;
        assert_eq!(old.0, StatusCode::OK);
        let cached = get(&[(header::IF_NONE_MATCH, "\"v0\", \"v1\"")]).await;
        assert_eq!((cached.0, cached.2.len()), (StatusCode::NOT_MODIFIED, 0));
    }
}
