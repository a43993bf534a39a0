//! Replies.

use super::digest::challenges;
use rtsp_types::{Empty, HeaderName, Request, Response, StatusCode, Version, headers};

/// A request that is not granted: the status is the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    /// Instead of the standard's phrase: players show it to people.
    reason: Option<String>,
    /// Options of `Require` that are not there (RFC 2326 section 12.41).
    unsupported: Vec<String>,
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self {
            status,
            reason: None,
            unsupported: Vec::new(),
        }
    }
}

impl Refusal {
    pub(super) fn because(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..status.into()
        }
    }

    pub(super) fn unsupported(options: Vec<String>) -> Self {
        Self {
            unsupported: options,
            ..StatusCode::OptionNotSupported.into()
        }
    }
}

/// An answer to a request.
#[derive(Debug)]
pub(super) struct Reply {
    response: Response<Empty>,
    /// Whole lines of headers that are there more than once, which `rtsp-types` cannot write.
    lines: Vec<String>,
    body: Vec<u8>,
}

/// Methods of this server (RFC 2326 section 10.1).
const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER, ANNOUNCE, RECORD";

impl Reply {
    pub(super) fn ok() -> Self {
        Self::empty(Response::builder(Version::V1_0, StatusCode::Ok).empty())
    }

    /// The answer to a request that is refused, with the headers that its status calls for. `nonce` is
    /// what a client has to answer in a Digest.
    pub(super) fn refusal(refusal: Refusal, nonce: &str) -> Self {
        let mut builder = Response::builder(Version::V1_0, refusal.status);
        if let Some(reason) = refusal.reason {
            builder = builder.reason_phrase(reason);
        }
        let mut reply = Self::empty(builder.empty());
        match refusal.status {
            StatusCode::Unauthorized => {
                // A line each: clients that know one scheme stumble over lists of challenges.
                let challenges = challenges(nonce);
                let lines = challenges.map(|one| format!("WWW-Authenticate: {one}\r\n"));
                reply.lines.extend(lines);
                reply
            }
            StatusCode::MethodNotAllowed => reply.with_methods(headers::ALLOW),
            StatusCode::OptionNotSupported => {
                reply.with(headers::UNSUPPORTED, &refusal.unsupported.join(", "))
            }
            _ => reply,
        }
    }

    fn empty(response: Response<Empty>) -> Self {
        Self {
            response,
            lines: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.response.insert_header(name, value);
        self
    }

    pub(super) fn with_methods(self, name: HeaderName) -> Self {
        self.with(name, METHODS)
    }

    pub(super) fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Adds what every answer has.
    pub(super) fn answering(self, request: &Request<Vec<u8>>) -> Self {
        let mut reply = self.with(headers::SERVER, "framewell");
        if let Some(sequence) = request.header(&headers::CSEQ) {
            reply = reply.with(headers::CSEQ, sequence.as_str());
        }
        reply
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The bytes to send.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        const HEAD_END: &[u8] = b"\r\n\r\n";
        let mut bytes = Vec::new();
        let response = self.response.map_body(|_| self.body);
        response
            .write(&mut bytes)
            .expect("writing into memory does not fail");
        let end = bytes.windows(HEAD_END.len()).position(|at| at == HEAD_END);
        if let Some(end) = end {
            let behind_last_line = end + 2;
            let lines = self.lines.concat().into_bytes();
            bytes.splice(behind_last_line..behind_last_line, lines);
        }
        bytes
    }
}
