//! The chunk stream (RTMP 1.0 section 5.3): messages cut into pieces, pieces of several messages mixed.

use super::ProtocolError;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::BTreeMap;

/// Chunk streams at once: clients use five or so.
const MAX_STREAMS: usize = 32;
/// Until a side says otherwise (RTMP 1.0 section 5.4.1).
const DEFAULT_CHUNK: usize = 128;
/// No message is longer, so no chunk need be (RTMP 1.0 section 5.4.1).
const MAX_CHUNK: usize = 0x00ff_ffff;
/// A time that does not fit into three bytes follows in four (RTMP 1.0 section 5.3.1.3).
const EXTENDED: u32 = 0x00ff_ffff;
/// What is set aside for a message before its bytes come.
const MAX_RESERVED: usize = 64 << 10;
/// Unfinished messages of all chunk streams together, beside the longest one.
const SPARE_BYTES: usize = 256 << 10;

/// Types of messages (RTMP 1.0 sections 5.4 and 7.1).
pub mod kind {
    /// How long the chunks of the sender are from now on.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// An unfinished message will not go on.
    pub const ABORT: u8 = 2;
    /// So many bytes have come.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// Begin and end of streams, pings.
    pub const USER_CONTROL: u8 = 4;
    /// After how many bytes the sender wants to hear that they came.
    pub const WINDOW_SIZE: u8 = 5;
    /// How many bytes may be on the way.
    pub const PEER_BANDWIDTH: u8 = 6;
    /// Sound.
    pub const AUDIO: u8 = 8;
    /// Pictures.
    pub const VIDEO: u8 = 9;
    /// A command in AMF3.
    pub const COMMAND_AMF3: u8 = 17;
    /// What an encoder says about its stream.
    pub const DATA: u8 = 18;
    /// A command in AMF0.
    pub const COMMAND: u8 = 20;
}

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One of [`kind`], or another number.
    pub kind: u8,
    /// Milliseconds, modulo 2^32.
    pub timestamp: u32,
    /// The message stream it belongs to; 0 for the connection itself.
    pub stream: u32,
    /// What it says.
    pub body: Bytes,
}

/// What a chunk's header says, or those before it said.
#[derive(Debug, Clone, Copy, Default)]
struct Fields {
    /// As it was written: a time after a header of 11 bytes, else a difference.
    time: u32,
    length: usize,
    kind: u8,
    message_stream: u32,
    is_extended: bool,
}

/// What is known of a chunk stream from the chunks before.
#[derive(Debug, Default)]
struct Stream {
    fields: Fields,
    timestamp: u32,
    body: BytesMut,
    is_open: bool,
}

/// Reads chunks. It handles `Set Chunk Size` and `Abort` itself.
#[derive(Debug)]
pub struct ChunkReader {
    chunk: usize,
    max_message: usize,
    streams: BTreeMap<u32, Stream>,
    /// Bytes of unfinished messages.
    waiting: usize,
    /// The chunk that is being read, and how much of it is missing.
    current: Option<(u32, usize)>,
}

/// A chunk's basic header.
struct Header {
    format: u8,
    id: u32,
    /// Of the basic header.
    length: usize,
}

impl ChunkReader {
    /// Refuses messages of more than `max_message` bytes.
    pub const fn new(max_message: usize) -> Self {
        Self {
            chunk: DEFAULT_CHUNK,
            max_message,
            streams: BTreeMap::new(),
            waiting: 0,
            current: None,
        }
    }

    /// Allows longer messages: those of a client that has shown that it may send them.
    pub const fn set_max_message(&mut self, bytes: usize) {
        self.max_message = bytes;
    }

    /// The next whole message, or `None` until more bytes come.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Message>, ProtocolError> {
        loop {
            let (id, missing) = match self.current {
                Some(current) => current,
                None => match self.begin_chunk(input)? {
                    Some(begun) => begun,
                    None => return Ok(None),
                },
            };
            let stream = self.streams.get_mut(&id).expect("begun");
            let taken = missing.min(input.len());
            stream.body.extend_from_slice(&input[..taken]);
            input.advance(taken);
            self.waiting += taken;
            if self.waiting > self.max_message + SPARE_BYTES {
                return Err(ProtocolError::TooMany);
            }
            if taken < missing {
                self.current = Some((id, missing - taken));
                return Ok(None);
            }
            self.current = None;
            if stream.body.len() < stream.fields.length {
                continue;
            }
            stream.is_open = false;
            let message = Message {
                kind: stream.fields.kind,
                timestamp: stream.timestamp,
                stream: stream.fields.message_stream,
                body: std::mem::take(&mut stream.body).freeze(),
            };
            self.waiting -= message.body.len();
            if !self.take_control(&message)? {
                return Ok(Some(message));
            }
        }
    }

    /// Reads a chunk's header, if all of it is there.
    fn begin_chunk(&mut self, input: &mut BytesMut) -> Result<Option<(u32, usize)>, ProtocolError> {
        let Some(header) = basic_header(input) else {
            return Ok(None);
        };
        self.check_order(&header)?;
        let before = self.streams.get(&header.id);
        let before = before.map_or_else(Fields::default, |stream| stream.fields);
        let Some((fields, read)) = read_fields(input, &header, before) else {
            return Ok(None);
        };
        if fields.length > self.max_message {
            return Err(ProtocolError::TooLong(fields.length));
        }
        input.advance(read);
        let stream = self.streams.entry(header.id).or_default();
        if !stream.is_open {
            stream.timestamp = match header.format {
                0 => fields.time,
                _ => stream.timestamp.wrapping_add(fields.time),
            };
            stream.body = BytesMut::with_capacity(fields.length.min(MAX_RESERVED));
            stream.is_open = true;
        }
        stream.fields = fields;
        let missing = fields.length - stream.body.len();
        Ok(Some((header.id, self.chunk.min(missing))))
    }

    /// Whether a chunk may come now.
    fn check_order(&self, header: &Header) -> Result<(), ProtocolError> {
        match self.streams.get(&header.id) {
            None if header.format != 0 => Err(ProtocolError::Chunk("its stream has not begun")),
            None if self.streams.len() >= MAX_STREAMS => Err(ProtocolError::TooMany),
            Some(stream) if stream.is_open && header.format != 3 => {
                Err(ProtocolError::Chunk("its message has not ended"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the message was for the reader itself.
    fn take_control(&mut self, message: &Message) -> Result<bool, ProtocolError> {
        let number = || {
            let bytes = message.body.get(..4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        match message.kind {
            kind::SET_CHUNK_SIZE => {
                let size = number().and_then(|size| usize::try_from(size).ok());
                self.chunk = size
                    .filter(|size| (1..=0x7fff_ffff).contains(size))
                    .ok_or(ProtocolError::Chunk("its size is out of range"))?
                    .min(MAX_CHUNK);
                Ok(true)
            }
            kind::ABORT => {
                if let Some(stream) = number().and_then(|id| self.streams.get_mut(&id)) {
                    self.waiting -= stream.body.len();
                    stream.body = BytesMut::new();
                    stream.is_open = false;
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

/// One to three bytes (RTMP 1.0 section 5.3.1.1).
fn basic_header(input: &BytesMut) -> Option<Header> {
    let first = *input.first()?;
    let (id, length) = match first & 0x3f {
        0 => (64 + u32::from(*input.get(1)?), 2),
        1 => {
            let (low, high) = (u32::from(*input.get(1)?), u32::from(*input.get(2)?));
            (64 + low + (high << 8), 3)
        }
        id => (u32::from(id), 1),
    };
    Some(Header {
        format: first >> 6,
        id,
        length,
    })
}

/// The fields behind the basic header, and how long both are; what is left out is as it was. `None` until
/// more bytes come.
fn read_fields(input: &BytesMut, header: &Header, before: Fields) -> Option<(Fields, usize)> {
    let mut fields = before;
    let size = [11, 7, 3, 0][usize::from(header.format)];
    let mut read = header.length + size;
    let message = input.get(header.length..read)?;
    if let [a, b, c, ..] = *message {
        fields.time = u32::from_be_bytes([0, a, b, c]);
    }
    if let [_, _, _, a, b, c, kind, ..] = *message {
        fields.length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        fields.kind = kind;
    }
    if let [.., a, b, c, d] = *message
        && header.format == 0
    {
        fields.message_stream = u32::from_le_bytes([a, b, c, d]);
    }
    if header.format != 3 {
        fields.is_extended = fields.time == EXTENDED;
    }
    if fields.is_extended {
        let extended = input.get(read..read + 4)?;
        let extended = u32::from_be_bytes(extended.try_into().ok()?);
        // Some encoders leave it out of continuations: then these are bytes of the message.
        if header.format != 3 || extended == fields.time {
            read += 4;
        }
        if header.format != 3 {
            fields.time = extended;
        }
    }
    Some((fields, read))
}

/// Size of the chunks that we send.
pub const SENT_CHUNK: usize = 64 << 10;

/// Puts the header of a message's first chunk into `out`: 12 bytes, 16 with an extended time.
pub fn write_first_header(out: &mut Vec<u8>, id: u8, message: &Outgoing) {
    let field = message.timestamp.min(EXTENDED);
    let length = u32::try_from(message.length).unwrap_or(u32::MAX);
    out.push(id & 0x3f);
    out.extend_from_slice(&field.to_be_bytes()[1..]);
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.push(message.kind);
    out.extend(message.stream.to_le_bytes());
    write_extended(out, message.timestamp);
}

/// The header of each further chunk.
pub fn write_next_header(out: &mut Vec<u8>, id: u8, timestamp: u32) {
    out.push(0xc0 | id & 0x3f);
    write_extended(out, timestamp);
}

fn write_extended(out: &mut Vec<u8>, timestamp: u32) {
    if timestamp >= EXTENDED {
        out.extend(timestamp.to_be_bytes());
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing {
    /// One of [`kind`].
    pub kind: u8,
    /// Milliseconds, modulo 2^32.
    pub timestamp: u32,
    /// The message stream it belongs to.
    pub stream: u32,
    /// Of the whole message.
    pub length: usize,
}

/// Writes a whole message in chunks of `chunk` bytes.
pub fn write_message(out: &mut Vec<u8>, id: u8, message: &Message, chunk: usize) {
    let header = Outgoing {
        kind: message.kind,
        timestamp: message.timestamp,
        stream: message.stream,
        length: message.body.len(),
    };
    write_first_header(out, id, &header);
    for (number, piece) in message.body.chunks(chunk).enumerate() {
        if number > 0 {
            write_next_header(out, id, message.timestamp);
        }
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(reader: &mut ChunkReader, bytes: &[u8], piece: usize) -> Vec<Message> {
        let mut input = BytesMut::new();
        let mut messages = Vec::new();
        for bytes in bytes.chunks(piece.max(1)) {
            input.extend_from_slice(bytes);
            while let Some(message) = reader.next(&mut input).unwrap() {
                messages.push(message);
            }
        }
        assert!(input.is_empty());
        messages
    }

    #[test]
    fn short_headers_repeat_what_was_before() {
        // Example 1 of RTMP 1.0 section 5.3.2.1: 32 bytes of audio every 20 ms.
        let mut bytes = vec![0x03, 0, 3, 0xe8, 0, 0, 32, 8, 0x39, 0x30, 0, 0];
        bytes.extend([1; 32]);
        bytes.extend([0x83, 0, 0, 20]);
        bytes.extend([2; 32]);
        for value in [3, 4] {
            bytes.push(0xc3);
            bytes.extend([value; 32]);
        }
        for piece in [1, 7, 1_000] {
            let messages = read_all(&mut ChunkReader::new(1_000), &bytes, piece);
            let times: Vec<_> = messages.iter().map(|m| m.timestamp).collect();
            assert_eq!(times, [1_000, 1_020, 1_040, 1_060]);
            assert!(messages.iter().all(|m| m.stream == 12_345 && m.kind == 8));
            assert_eq!(&messages[3].body[..], &[4; 32]);
        }
    }

    #[test]
    fn messages_of_two_streams_mix() {
        let mut bytes = vec![0x04, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0];
        bytes.extend([1; 128]);
        bytes.extend([0x05, 0, 0, 9, 0, 0, 2, 8, 1, 0, 0, 0, 7, 7]);
        bytes.push(0xc4);
        bytes.extend([1; 72]);
        let messages = read_all(&mut ChunkReader::new(1_000), &bytes, 50);
        assert_eq!((messages[0].kind, messages[0].body.len()), (8, 2));
        assert_eq!((messages[1].kind, messages[1].body.len()), (9, 200));
    }

    #[test]
    fn limits_hold() {
        let refuse = |bytes: &[u8]| {
            let mut reader = ChunkReader::new(1_000);
            let mut input = BytesMut::from(bytes);
            loop {
                match reader.next(&mut input) {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(error) => return Some(error),
                }
            }
        };
        let long = [0x04, 0, 0, 0, 0, 4, 0, 9, 1, 0, 0, 0];
        assert_eq!(refuse(&long), Some(ProtocolError::TooLong(1_024)));
        assert!(matches!(refuse(&[0xc4, 0]), Some(ProtocolError::Chunk(_))));
        let zero = [0x02, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!(refuse(&zero), Some(ProtocolError::Chunk(_))));
        let mut many = Vec::new();
        for id in 2..40 {
            many.extend([id, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0]);
        }
        assert_eq!(refuse(&many), Some(ProtocolError::TooMany));
        // A message that begins anew before it has ended.
        let mut twice = vec![0x04, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0];
        twice.extend([1; 128]);
        twice.extend([0x04, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0]);
        assert!(matches!(refuse(&twice), Some(ProtocolError::Chunk(_))));
    }

    #[test]
    fn an_extended_time_may_be_missing_from_continuations() {
        let time = 0x0100_0000_u32;
        let mut header = vec![0x04, 0xff, 0xff, 0xff, 0, 0, 200, 9, 1, 0, 0, 0];
        header.extend(time.to_be_bytes());
        header.extend([5; 128]);
        for extended in [&time.to_be_bytes()[..], &[]] {
            let mut bytes = header.clone();
            bytes.push(0xc4);
            bytes.extend(extended);
            bytes.extend([5; 72]);
            let messages = read_all(&mut ChunkReader::new(1_000), &bytes, 1_000);
            assert_eq!(messages[0].timestamp, time);
            assert_eq!(&messages[0].body[..], &[5; 200]);
        }
    }

    #[test]
    fn an_aborted_message_is_forgotten() {
        let mut bytes = vec![0x04, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0];
        bytes.extend([1; 128]);
        bytes.extend([0x02, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 4]);
        bytes.extend([0x04, 0, 0, 1, 0, 0, 1, 9, 1, 0, 0, 0, 9]);
        let messages = read_all(&mut ChunkReader::new(1_000), &bytes, 1_000);
        assert_eq!(messages.len(), 1);
        assert_eq!(&messages[0].body[..], &[9]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            bodies in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..600), any::<u32>()), 1..6),
            piece in 1_usize..300,
        ) {
            let messages: Vec<_> = bodies
                .into_iter()
                .map(|(body, timestamp)| Message { kind: 9, timestamp, stream: 1, body: body.into() })
                .collect();
            let mut bytes = Vec::new();
            for message in &messages {
                write_message(&mut bytes, 6, message, DEFAULT_CHUNK);
            }
            prop_assert_eq!(read_all(&mut ChunkReader::new(1_000), &bytes, piece), messages);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let mut reader = ChunkReader::new(500);
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = reader.next(&mut input) {}
        }
    }
}
