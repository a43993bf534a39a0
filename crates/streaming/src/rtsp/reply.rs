//! Replies, and what the connection does after sending one.

use super::fanout::Reader;
use rtsp_types::{Empty, HeaderName, Request, Response, StatusCode, Version, headers};

/// What the connection does next.
#[derive(Debug)]
pub(super) enum Then {
    /// Goes on as before.
    Continue,
    /// Sends these packets.
    Play(Reader),
    /// Sends packets no longer.
    Stop,
}

/// An answer to a request.
#[derive(Debug)]
pub(super) struct Reply {
    response: Response<Empty>,
    body: Vec<u8>,
    then: Then,
}

/// Methods of a play-only server (RFC 2326 section 10.1).
const METHODS: &str =
    "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";

impl Reply {
    pub(super) fn ok() -> Self {
        Self::empty(StatusCode::Ok)
    }

    /// The answer to a request that is refused, with the headers that its status calls for.
    pub(super) fn refusal(status: StatusCode, request: &Request<Vec<u8>>) -> Self {
        let reply = Self::empty(status);
        match status {
            // RFC 2326 section 11 wants a challenge. A ticket cannot be asked for in one, so the
            // scheme is one that no client answers with a password prompt.
            StatusCode::Unauthorized => {
                reply.with(headers::WWW_AUTHENTICATE, "Ticket realm=\"framewell\"")
            }
            StatusCode::MethodNotAllowed => reply.with_methods(headers::ALLOW),
            StatusCode::OptionNotSupported => match request.header(&headers::REQUIRE) {
                Some(required) => reply.with(headers::UNSUPPORTED, required.as_str()),
                None => reply,
            },
            _ => reply,
        }
    }

    fn empty(status: StatusCode) -> Self {
        Self {
            response: Response::builder(Version::V1_0, status).empty(),
            body: Vec::new(),
            then: Then::Continue,
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

    pub(super) fn then(mut self, then: Then) -> Self {
        self.then = then;
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

    /// The bytes to send, and what to do then.
    pub(super) fn into_parts(self) -> (Vec<u8>, Then) {
        let mut bytes = Vec::new();
        let response = self.response.map_body(|_| self.body);
        response
            .write(&mut bytes)
            .expect("writing into memory does not fail");
        (bytes, self.then)
    }
}
