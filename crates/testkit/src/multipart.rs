//! Reading `multipart/mixed` (RFC 2046 section 5.1) as a strict client does, also while it is sent.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    headers: Vec<(String, String)>,
    /// Exactly as many bytes as `Content-Length` says.
    pub body: Bytes,
}

impl Part {
    /// A header; the empty text if it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

/// Takes bytes as they arrive, gives parts.
#[derive(Debug)]
pub struct PartReader {
    delimiter: String,
    buffer: BytesMut,
    is_over: bool,
}

impl PartReader {
    /// For a body with this `Content-Type`.
    pub fn new(content_type: &str) -> Result<Self> {
        let boundary = content_type
            .strip_prefix("multipart/mixed; boundary=")
            .with_context(|| format!("{content_type:?} has no boundary"))?;
        Ok(Self {
            delimiter: format!("--{boundary}"),
            buffer: BytesMut::new(),
            is_over: false,
        })
    }

    /// Takes what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next part that is here whole. An error if the bytes are no multipart body.
    pub fn next_part(&mut self) -> Result<Option<Part>> {
        if self.is_over {
            ensure!(self.buffer.is_empty(), "bytes behind the end");
            return Ok(None);
        }
        let end = format!("{}--\r\n", self.delimiter);
        if self.buffer.starts_with(end.as_bytes()) {
            self.buffer.advance(end.len());
            self.is_over = true;
            return self.next_part();
        }
        let Some(head_len) = find(&self.buffer, b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&self.buffer[..head_len]).context("headers")?;
        let mut lines = head.split("\r\n");
        ensure!(
            lines.next() == Some(&self.delimiter),
            "no delimiter: {head:?}"
        );
        let headers = lines.map(header).collect::<Result<Vec<_>>>()?;
        let part = Part {
            headers,
            body: Bytes::new(),
        };
        let length: usize = part.header("content-length").parse().context("length")?;
        let body_at = head_len + 4;
        if self.buffer.len() < body_at + length + 2 {
            return Ok(None);
        }
        self.buffer.advance(body_at);
        let body = self.buffer.split_to(length).freeze();
        ensure!(
            self.buffer.starts_with(b"\r\n"),
            "the length of a part is wrong"
        );
        self.buffer.advance(2);
        Ok(Some(Part { body, ..part }))
    }

    /// Whether the closing delimiter has come.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }
}

/// All parts of a whole body; an error if it does not end as it should.
pub fn parts_of(content_type: &str, body: &[u8]) -> Result<Vec<Part>> {
    let mut reader = PartReader::new(content_type)?;
    reader.push(body);
    let mut parts = Vec::new();
    while let Some(part) = reader.next_part()? {
        parts.push(part);
    }
    if !reader.is_over() {
        bail!("the body stops before its end");
    }
    Ok(parts)
}

fn header(line: &str) -> Result<(String, String)> {
    let (name, value) = line
        .split_once(": ")
        .with_context(|| format!("{line:?} is no header"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/mixed; boundary=b";
    const BODY: &[u8] = b"--b\r\nx-a: 1\r\ncontent-length: 6\r\n\r\n\r\n--b\0\r\n--b\r\ncontent-length: 0\r\n\r\n\r\n--b--\r\n";

    #[test]
    fn parts_come_whole_however_the_bytes_arrive() {
        let whole = parts_of(TYPE, BODY).unwrap();
        assert_eq!(whole.len(), 2);
        assert_eq!(
            (whole[0].header("X-A"), &whole[0].body[..]),
            ("1", &b"\r\n--b\0"[..])
        );
        let mut reader = PartReader::new(TYPE).unwrap();
        let mut parts = Vec::new();
        for byte in BODY {
            reader.push(&[*byte]);
            parts.extend(reader.next_part().unwrap());
        }
        assert!(reader.is_over());
        assert_eq!(parts, whole);
    }

    #[test]
    fn what_is_cut_or_wrong_is_an_error() {
        assert!(parts_of(TYPE, &BODY[..BODY.len() - 3]).is_err());
        assert!(parts_of("multipart/mixed; boundary=c", BODY).is_err());
        assert!(parts_of("text/plain", BODY).is_err());
        let wrong = b"--b\r\ncontent-length: 1\r\n\r\nxy\r\n--b--\r\n";
        assert!(parts_of(TYPE, wrong).is_err());
    }
}
