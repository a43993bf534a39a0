//! Forms with files (`multipart/form-data`, RFC 7578), read from a bounded body in memory.

use crate::AppState;
use crate::body::{Reserved, read_bounded};
use crate::error::ApiError;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use bytes::Bytes;

/// Longest form in bytes.
const MAX_FORM_BYTES: usize = 10 << 20;
/// Most parts of a form.
const MAX_PARTS: usize = 8;
/// Longest boundary (RFC 2046 section 5.1.1).
const MAX_BOUNDARY_BYTES: usize = 70;

/// The parts of a form, with the memory that they use.
#[derive(Debug)]
pub(crate) struct FormData(pub(crate) Vec<Part>, pub(crate) Reserved);

/// A part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Name of the field.
    pub(crate) name: String,
    /// Its bytes, a slice of the body.
    pub(crate) data: Bytes,
}

impl FromRequest<AppState> for FormData {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let boundary = content_type.and_then(boundary).ok_or_else(|| {
            ApiError::invalid("the body is not multipart/form-data with a boundary")
        })?;
        let (bytes, reserved) = read_bounded(request, state, MAX_FORM_BYTES).await?;
        let parts = parse(&boundary, &bytes).map_err(ApiError::invalid)?;
        Ok(Self(parts, reserved))
    }
}

/// The boundary out of a `Content-Type`.
fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary")?;
    let is_usable = (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len());
    is_usable.then_some(boundary)
}

/// A parameter of a header, quoted or not. Quoted pairs do not occur in what browsers and libraries send.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    parameters.split(';').find_map(|one| {
        let (key, value) = one.split_once('=')?;
        let is_it = key.trim().eq_ignore_ascii_case(name);
        is_it.then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Cuts a body at its delimiters. The error text is for the client.
fn parse(boundary: &str, body: &Bytes) -> Result<Vec<Part>, &'static str> {
    const BROKEN: &str = "the form breaks off: a delimiter is missing";
    let delimiter = format!("\r\n--{boundary}");
    let first = &delimiter.as_bytes()[2..];
    let mut at = match find(body, 0, delimiter.as_bytes()) {
        _ if body.starts_with(first) => first.len(),
        Some(at) => at + delimiter.len(),
        None => return Err(BROKEN),
    };
    let mut parts = Vec::new();
    while !body[at..].starts_with(b"--") {
        if parts.len() == MAX_PARTS {
            return Err("the form has too many parts");
        }
        // The rest of the delimiter's line is padding.
        let headers = find(body, at, b"\r\n").ok_or(BROKEN)? + 2;
        // A part without headers has an empty line at once.
        let headers_end = find(body, headers - 2, b"\r\n\r\n").ok_or(BROKEN)?;
        let data = headers_end + 4;
        let end = find(body, data - 2, delimiter.as_bytes()).ok_or(BROKEN)?;
        let name = field_name(body.get(headers..headers_end).unwrap_or_default());
        parts.push(Part {
            name: name.ok_or("a part of the form has no name")?,
            data: body.slice(data.min(end)..end),
        });
        at = end + delimiter.len();
    }
    Ok(parts)
}

/// `name` of `Content-Disposition: form-data; name="…"` (RFC 7578 section 4.2).
fn field_name(headers: &[u8]) -> Option<String> {
    let headers = std::str::from_utf8(headers).ok()?;
    headers.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        if !key.trim().eq_ignore_ascii_case("content-disposition") {
            return None;
        }
        let (_, parameters) = value.split_once(';')?;
        parameter(parameters, "name")
    })
}

/// Where `needle` begins in `body`, not before `from`.
fn find(body: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    let mut at = from;
    loop {
        at += body.get(at..)?.iter().position(|byte| *byte == needle[0])?;
        if body[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str) -> Result<Vec<(String, String)>, &'static str> {
        let parts = parse("XX", &Bytes::copy_from_slice(body.as_bytes()))?;
        let text = |part: Part| (part.name, String::from_utf8_lossy(&part.data).into_owned());
        Ok(parts.into_iter().map(text).collect())
    }

    #[test]
    fn boundaries_are_read_in_both_forms() {
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(boundary("multipart/form-data; boundary=a-b"), is("a-b"));
        assert_eq!(
            boundary("Multipart/Form-Data; charset=x; Boundary=\"a b\""),
            is("a b")
        );
        for text in [
            "multipart/mixed; boundary=a",
            "multipart/form-data",
            "multipart/form-data; boundary=",
        ] {
            assert_eq!(boundary(text), None, "{text}");
        }
        assert_eq!(
            boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))),
            None
        );
    }

    #[test]
    fn parts_are_cut_at_their_delimiters() {
        let body = "--XX\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"a.jpg\"\r\n\
                    Content-Type: image/jpeg\r\n\r\n\r\n--XY\r\n\r\n--XX \r\n\
                    content-disposition: form-data; name=file\r\n\r\n{}\r\n--XX--\r\n";
        let expected = [("picture", "\r\n--XY\r\n"), ("file", "{}")];
        let expected = expected.map(|(name, data)| (name.to_owned(), data.to_owned()));
        assert_eq!(parts(body), Ok(expected.to_vec()));
        assert_eq!(parts("preamble\r\n--XX--"), Ok(vec![]));
        let empty = "--XX\r\ncontent-disposition: form-data; name=a\r\n\r\n\r\n--XX--";
        assert_eq!(parts(empty), Ok(vec![("a".to_owned(), String::new())]));
    }

    #[test]
    fn no_prefix_of_a_form_is_a_form() {
        let body = "--XX\r\ncontent-disposition: form-data; name=a\r\n\r\nbody\r\n--XX--";
        for end in 0..body.len() {
            let prefix = body.get(..end).unwrap();
            assert!(parts(prefix).is_err(), "{prefix}");
        }
        assert!(parts("--XX\r\n\r\nx\r\n--XX--").is_err(), "no name");
        let many = "--XX\r\ncontent-disposition: form-data; name=a\r\n\r\n\r\n".repeat(9);
        assert!(parts(&format!("{many}--XX--")).is_err());
    }
}
