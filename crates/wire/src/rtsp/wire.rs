//! Cutting what a client sends into messages (RFC 2326 section 4, 10.12). Sans-IO.
//!
//! The bytes come from strangers: everything has a limit, nothing panics, and whatever cannot be
//! understood ends the connection.

use rtsp_types::{Message, Request};

/// Longest request head. A request line with a ticket and a dozen headers needs under 2 KiB.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Longest request body: descriptions of publishers have about 500 bytes, players have nothing to say.
const MAX_BODY_BYTES: usize = 16 << 10;
/// `$`, channel, two bytes of length.
const INTERLEAVED_HEAD_BYTES: usize = 4;

/// Bytes that are no RTSP, or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The head of a request does not end.
    #[error("request head is longer than {MAX_HEAD_BYTES} bytes")]
    HeadTooLong,
    /// A request announces too long a body.
    #[error("request body is longer than {MAX_BODY_BYTES} bytes")]
    BodyTooLong,
    /// Something else than RTSP.
    #[error("bytes that are no rtsp message")]
    Malformed,
}

/// Something a client sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// A whole request.
    Request(Box<Request<Vec<u8>>>),
    /// An interleaved packet: receiver reports of those who play.
    Packet {
        /// Its number.
        channel: u8,
        /// RTP or RTCP.
        data: bytes::Bytes,
    },
    /// A response to nothing: read and dropped.
    Ignored,
}

/// Collects bytes and gives out messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: bytes::BytesMut,
    /// Up to here no end of a head was found, so that a trickle of bytes is not scanned again and again.
    scanned: usize,
}

impl Decoder {
    /// Where the socket's bytes go.
    pub const fn buffer(&mut self) -> &mut bytes::BytesMut {
        &mut self.buffer
    }

    /// The next complete message, if there is one.
    pub fn take(&mut self) -> Result<Option<Incoming>, WireError> {
        self.skip_blank_lines();
        match self.buffer.first() {
            None => Ok(None),
            Some(b'$') => Ok(self.next_interleaved()),
            Some(_) => self.next_message(),
        }
    }

    /// Empty lines between messages are allowed (RFC 2326 section 4.1 by way of RFC 2068).
    fn skip_blank_lines(&mut self) {
        let blank = self
            .buffer
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        self.consume(blank);
    }

    fn next_interleaved(&mut self) -> Option<Incoming> {
        let head = self.buffer.get(..INTERLEAVED_HEAD_BYTES)?;
        let end = INTERLEAVED_HEAD_BYTES + usize::from(u16::from_be_bytes([head[2], head[3]]));
        self.buffer.get(..end)?;
        let channel = head[1];
        let mut packet = self.buffer.split_to(end).freeze();
        self.scanned = 0;
        let data = packet.split_off(INTERLEAVED_HEAD_BYTES);
        Some(Incoming::Packet { channel, data })
    }

    fn next_message(&mut self) -> Result<Option<Incoming>, WireError> {
        let Some(head_end) = self.find_head_end()? else {
            return Ok(None);
        };
        let end = head_end + body_length(&self.buffer[..head_end])?;
        let Some(bytes) = self.buffer.get(..end) else {
            return Ok(None);
        };
        let parsed = Message::<Vec<u8>>::parse(bytes);
        let (message, used) = parsed.map_err(|_| WireError::Malformed)?;
        if used != end {
            return Err(WireError::Malformed);
        }
        self.consume(end);
        Ok(Some(match message {
            Message::Request(request) => Incoming::Request(Box::new(request)),
            Message::Response(_) | Message::Data(_) => Incoming::Ignored,
        }))
    }

    fn find_head_end(&mut self) -> Result<Option<usize>, WireError> {
        const END: &[u8] = b"\r\n\r\n";
        let from = self.scanned.saturating_sub(END.len() - 1);
        let found = self.buffer[from..]
            .windows(END.len())
            .position(|window| window == END);
        let end = found.map(|at| from + at + END.len());
        self.scanned = self.buffer.len();
        if end.unwrap_or(self.buffer.len()) > MAX_HEAD_BYTES {
            return Err(WireError::HeadTooLong);
        }
        // A head whose body is still missing is looked up again, and found at once.
        if let Some(end) = end {
            self.scanned = end - 1;
        }
        Ok(end)
    }

    fn consume(&mut self, len: usize) {
        if len > 0 {
            bytes::Buf::advance(&mut self.buffer, len);
            self.scanned = 0;
        }
    }
}

/// Value of `Content-Length`; 0 if there is none.
fn body_length(head: &[u8]) -> Result<usize, WireError> {
    const NAME: &[u8] = b"content-length";
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        if line[..colon].eq_ignore_ascii_case(NAME) {
            let text = str::from_utf8(&line[colon + 1..]).map_err(|_| WireError::Malformed)?;
            let length: usize = text.trim().parse().map_err(|_| WireError::Malformed)?;
            return if length > MAX_BODY_BYTES {
                Err(WireError::BodyTooLong)
            } else {
                Ok(length)
            };
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(bytes: &[u8]) -> (Vec<Incoming>, Option<WireError>) {
        let mut decoder = Decoder::default();
        decoder.buffer().extend_from_slice(bytes);
        drain(&mut decoder)
    }

    fn drain(decoder: &mut Decoder) -> (Vec<Incoming>, Option<WireError>) {
        let mut found = Vec::new();
        loop {
            match decoder.take() {
                Ok(Some(incoming)) => found.push(incoming),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error)),
            }
        }
    }

    const OPTIONS: &[u8] = b"OPTIONS rtsp://host/live/7 RTSP/1.0\r\nCSeq: 1\r\n\r\n";

    #[test]
    fn requests_and_interleaved_packets_may_be_mixed() {
        let mut bytes = OPTIONS.to_vec();
        bytes.extend_from_slice(b"$\x01\x00\x03abc\r\n\r\n");
        bytes.extend_from_slice(
            b"SET_PARAMETER * RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nbody",
        );
        let (found, error) = feed(&bytes);
        assert_eq!(error, None);
        assert_eq!(found.len(), 3);
        assert!(matches!(&found[0], Incoming::Request(_)));
        let data = bytes::Bytes::from_static(b"abc");
        assert_eq!(found[1], Incoming::Packet { channel: 1, data });
        let Incoming::Request(last) = &found[2] else {
            panic!()
        };
        assert_eq!(last.body(), b"body");
    }

    #[test]
    fn too_long_a_head_or_body_is_refused_before_it_is_stored() {
        let mut endless = b"OPTIONS * RTSP/1.0\r\nX: ".to_vec();
        endless.resize(MAX_HEAD_BYTES + 1, b'x');
        assert_eq!(feed(&endless).1, Some(WireError::HeadTooLong));
        let body = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999999\r\n\r\n";
        assert_eq!(feed(body).1, Some(WireError::BodyTooLong));
    }

    #[test]
    fn a_body_may_come_after_its_head() {
        let mut decoder = Decoder::default();
        let head = b"ANNOUNCE rtsp://h/publish/7 RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\n";
        for piece in [&head[..], b"bo", b"dy"] {
            decoder.buffer().extend_from_slice(piece);
            assert_eq!(decoder.take(), Ok(None));
        }
        decoder.buffer().extend_from_slice(b"!");
        let Ok(Some(Incoming::Request(request))) = decoder.take() else {
            panic!()
        };
        assert_eq!(request.body(), b"body!");
    }

    #[test]
    fn an_http_request_is_malformed() {
        assert_eq!(
            feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").1,
            Some(WireError::Malformed)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            feed(&bytes);
        }

        #[test]
        fn no_almost_rtsp_panics(
            lines in proptest::collection::vec("[ -~\t\r]{0,40}|Content-Length: [0-9]{0,22}|Transport: [ -~]{0,40}|CSeq: 1", 0..8),
            method in "[A-Z_]{1,12}",
            uri in "[!-~]{0,40}",
        ) {
            let text = format!("{method} {uri} RTSP/1.0\r\n{}\r\n\r\n", lines.join("\r\n"));
            feed(text.as_bytes());
        }

        #[test]
        fn how_bytes_arrive_makes_no_difference(cuts in proptest::collection::vec(0usize..120, 0..6)) {
            let mut bytes = OPTIONS.to_vec();
            bytes.extend_from_slice(b"$\x00\x00\x02ab");
            bytes.extend_from_slice(OPTIONS);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let mut decoder = Decoder::default();
            let (mut found, mut from) = (Vec::new(), 0);
            for cut in cuts {
                decoder.buffer().extend_from_slice(&bytes[from..cut]);
                from = cut;
                let (more, error) = drain(&mut decoder);
                prop_assert_eq!(error, None);
                found.extend(more);
            }
            prop_assert_eq!(found, feed(&bytes).0);
        }
    }
}
