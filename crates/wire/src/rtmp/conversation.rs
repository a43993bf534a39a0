//! The commands of one connection (RTMP 1.0 section 7.2): messages in, wishes and answers out. Sans-IO.

use super::ProtocolError;
use super::amf0::{self, Value};
use super::chunk::{self, Message, kind};
use bytes::Bytes;

/// The message stream that pictures and sound travel in: the first and only one.
pub const MEDIA_STREAM: u32 = 1;
/// After so many bytes a side wants to hear that they came (RTMP 1.0 section 5.4.4).
const WINDOW_BYTES: u32 = 2_500_000;
/// Chunk stream of control messages (RTMP 1.0 section 5.4).
const CHUNKS_CONTROL: u8 = 2;
/// Chunk stream of commands.
const CHUNKS_COMMAND: u8 = 3;
/// User control events (RTMP 1.0 section 7.1.7).
const EVENT_STREAM_BEGIN: u16 = 0;
const EVENT_STREAM_END: u16 = 1;
const EVENT_PING_REQUEST: u16 = 6;
const EVENT_PING_RESPONSE: u16 = 7;

/// What a client wants, beyond what is answered here.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// To send the stream of this name.
    Publish(String),
    /// To be sent the stream of this name.
    Play(String),
    /// To end what it began.
    Stop,
    /// A message of the stream that it publishes.
    Media(Message),
}

/// State of one connection's commands.
#[derive(Debug, Default)]
pub struct Conversation {
    /// The application of `connect`.
    app: Option<String>,
    has_stream: bool,
    received: u32,
    acknowledged: u32,
    window: Option<u32>,
    sent_chunk: Option<usize>,
    output: Vec<u8>,
}

impl Conversation {
    /// Bytes for the client, since the last call.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Where bytes for the client go.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The application of `connect`; empty before it.
    pub fn app(&self) -> &str {
        self.app.as_deref().unwrap_or_default()
    }

    /// Counts bytes that came, and says so as often as the client wants to hear it.
    pub fn received(&mut self, bytes: usize) {
        self.received = self
            .received
            .wrapping_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        let window = self.window.unwrap_or(WINDOW_BYTES).max(1);
        if self.received.wrapping_sub(self.acknowledged) >= window {
            self.acknowledged = self.received;
            let count = self.received.to_be_bytes();
            self.control(kind::ACKNOWLEDGEMENT, &count);
        }
    }

    /// Takes in a message.
    pub fn take(&mut self, message: Message) -> Result<Option<Wish>, ProtocolError> {
        match message.kind {
            kind::COMMAND => self.command(&message.body),
            // AMF3 commands of clients that asked for AMF0: one byte, then AMF0.
            kind::COMMAND_AMF3 => self.command(message.body.get(1..).unwrap_or_default()),
            kind::AUDIO | kind::VIDEO | kind::DATA => Ok(Some(Wish::Media(message))),
            kind::WINDOW_SIZE => {
                if let Some(Ok(size)) = message.body.get(..4).map(TryInto::try_into) {
                    self.window = Some(u32::from_be_bytes(size));
                }
                Ok(None)
            }
            kind::USER_CONTROL => {
                if let Some(ping) = message
                    .body
                    .strip_prefix(&EVENT_PING_REQUEST.to_be_bytes()[..])
                {
                    let time = ping.get(..4).unwrap_or_default().to_vec();
                    self.user_control(EVENT_PING_RESPONSE, &time);
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn command(&mut self, body: &[u8]) -> Result<Option<Wish>, ProtocolError> {
        let values = amf0::decode_all(body)?;
        let name = values.first().and_then(Value::as_text);
        let name = name.ok_or(ProtocolError::Command("a command without a name"))?;
        let transaction = values.get(1).and_then(Value::as_number).unwrap_or(0.0);
        let stream_name = || values.get(3).and_then(Value::as_text).map(str::to_owned);
        match name {
            "connect" => self.connect(transaction, values.get(2)).map(|()| None),
            _ if self.app.is_none() => Err(ProtocolError::Command("a command before connect")),
            "createStream" => {
                self.has_stream = true;
                let stream = Value::Number(f64::from(MEDIA_STREAM));
                self.answer("_result", transaction, &[Value::Null, stream]);
                Ok(None)
            }
            "publish" | "play" if !self.has_stream => {
                Err(ProtocolError::Command("a stream before createStream"))
            }
            "publish" => {
                let name = stream_name().ok_or(ProtocolError::Command("publish without a name"))?;
                Ok(Some(Wish::Publish(name)))
            }
            "play" => {
                let name = stream_name().ok_or(ProtocolError::Command("play without a name"))?;
                Ok(Some(Wish::Play(name)))
            }
            "deleteStream" | "closeStream" | "FCUnpublish" => Ok(Some(Wish::Stop)),
            // Clients wait for some of these.
            "releaseStream" | "FCPublish" | "FCSubscribe" | "getStreamLength" | "_checkbw" => {
                self.answer("_result", transaction, &[Value::Null, Value::Undefined]);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn connect(&mut self, transaction: f64, object: Option<&Value>) -> Result<(), ProtocolError> {
        if self.app.is_some() {
            return Err(ProtocolError::Command("connect a second time"));
        }
        let app = object.and_then(|object| object.get("app"));
        let app = app.and_then(Value::as_text).unwrap_or_default();
        self.app = Some(app.to_owned());
        self.control(kind::WINDOW_SIZE, &WINDOW_BYTES.to_be_bytes());
        // 2: the client may choose between this and what it had.
        let bandwidth = [&WINDOW_BYTES.to_be_bytes()[..], &[2]].concat();
        self.control(kind::PEER_BANDWIDTH, &bandwidth);
        let size = u32::try_from(chunk::SENT_CHUNK).expect("64 KiB");
        self.control(kind::SET_CHUNK_SIZE, &size.to_be_bytes());
        self.sent_chunk = Some(chunk::SENT_CHUNK);
        let server = Value::object([
            ("fmsVer", Value::text("FMS/3,0,1,123")),
            ("capabilities", Value::Number(31.0)),
        ]);
        let status = Value::object([
            ("level", Value::text("status")),
            ("code", Value::text("NetConnection.Connect.Success")),
            ("description", Value::text("connected")),
            ("objectEncoding", Value::Number(0.0)),
            // Enhanced RTMP v2, "Enhancing NetConnection connect Command".
            (
                "fourCcList",
                Value::Array(["avc1", "hvc1", "mp4a"].map(Value::text).into()),
            ),
        ]);
        self.answer("_result", transaction, &[server, status]);
        Ok(())
    }

    /// Tells a publisher to begin.
    pub fn accept_publish(&mut self) {
        self.user_control(EVENT_STREAM_BEGIN, &MEDIA_STREAM.to_be_bytes());
        self.status("status", "NetStream.Publish.Start", "publishing");
    }

    /// Tells a player that the stream comes.
    pub fn accept_play(&mut self) {
        self.user_control(EVENT_STREAM_BEGIN, &MEDIA_STREAM.to_be_bytes());
        self.status("status", "NetStream.Play.Reset", "playing");
        self.status("status", "NetStream.Play.Start", "playing");
        let access = [
            Value::text("|RtmpSampleAccess"),
            Value::Boolean(true),
            Value::Boolean(true),
        ];
        self.message(
            CHUNKS_COMMAND,
            kind::DATA,
            MEDIA_STREAM,
            &amf0::encode_all(&access),
        );
    }

    /// Tells a player that nothing more comes.
    pub fn end_play(&mut self) {
        self.user_control(EVENT_STREAM_END, &MEDIA_STREAM.to_be_bytes());
        self.status(
            "status",
            "NetStream.Play.UnpublishNotify",
            "the stream ended",
        );
    }

    /// Refuses, or ends, what the client asked for.
    pub fn refuse(&mut self, code: &str, description: &str) {
        self.status("error", code, description);
    }

    fn status(&mut self, level: &str, code: &str, description: &str) {
        let object = Value::object([
            ("level", Value::text(level)),
            ("code", Value::text(code)),
            ("description", Value::text(description)),
        ]);
        let values = [
            Value::text("onStatus"),
            Value::Number(0.0),
            Value::Null,
            object,
        ];
        self.message(
            CHUNKS_COMMAND,
            kind::COMMAND,
            MEDIA_STREAM,
            &amf0::encode_all(&values),
        );
    }

    fn answer(&mut self, name: &str, transaction: f64, values: &[Value]) {
        let mut all = vec![Value::text(name), Value::Number(transaction)];
        all.extend_from_slice(values);
        self.message(CHUNKS_COMMAND, kind::COMMAND, 0, &amf0::encode_all(&all));
    }

    fn user_control(&mut self, event: u16, data: &[u8]) {
        let body = [&event.to_be_bytes()[..], data].concat();
        self.control(kind::USER_CONTROL, &body);
    }

    fn control(&mut self, of: u8, body: &[u8]) {
        self.message(CHUNKS_CONTROL, of, 0, body);
    }

    fn message(&mut self, chunks: u8, of: u8, stream: u32, body: &[u8]) {
        // Until our chunk size is set, messages are as short as the first chunk may be.
        let chunk = self.sent_chunk.unwrap_or(128);
        let message = Message {
            kind: of,
            timestamp: 0,
            stream,
            body: Bytes::copy_from_slice(body),
        };
        chunk::write_message(&mut self.output, chunks, &message, chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::ChunkReader;
    use super::*;
    use bytes::BytesMut;

    fn command(values: &[Value]) -> Message {
        Message {
            kind: kind::COMMAND,
            timestamp: 0,
            stream: 0,
            body: amf0::encode_all(values).into(),
        }
    }

    fn answers(conversation: &mut Conversation) -> Vec<Vec<Value>> {
        let mut reader = ChunkReader::new(10_000);
        let mut input = BytesMut::from(&conversation.take_output()[..]);
        let mut all = Vec::new();
        while let Some(message) = reader.next(&mut input).unwrap() {
            if message.kind == kind::COMMAND {
                all.push(amf0::decode_all(&message.body).unwrap());
            }
        }
        assert!(input.is_empty());
        all
    }

    fn connected() -> Conversation {
        let mut conversation = Conversation::default();
        let object = Value::object([("app", Value::text("publish"))]);
        let connect = [Value::text("connect"), Value::Number(1.0), object];
        assert_eq!(conversation.take(command(&connect)).unwrap(), None);
        conversation
    }

    #[test]
    fn a_client_connects_makes_a_stream_and_publishes() {
        let mut conversation = connected();
        let told = answers(&mut conversation);
        assert_eq!(told[0][1], Value::Number(1.0));
        let code = told[0][3].get("code").and_then(Value::as_text);
        assert_eq!(code, Some("NetConnection.Connect.Success"));
        let create = [Value::text("createStream"), Value::Number(4.0), Value::Null];
        conversation.take(command(&create)).unwrap();
        assert_eq!(answers(&mut conversation)[0][3], Value::Number(1.0));
        let publish = [
            Value::text("publish"),
            Value::Number(5.0),
            Value::Null,
            Value::text("7?ticket=x"),
            Value::text("live"),
        ];
        let wish = conversation.take(command(&publish)).unwrap();
        assert_eq!(wish, Some(Wish::Publish("7?ticket=x".to_owned())));
        conversation.accept_publish();
        let told = answers(&mut conversation);
        let code = told[0][3].get("code").and_then(Value::as_text);
        assert_eq!(code, Some("NetStream.Publish.Start"));
    }

    #[test]
    fn commands_out_of_order_end_the_connection() {
        let publish = [
            Value::text("publish"),
            Value::Number(1.0),
            Value::Null,
            Value::text("7"),
        ];
        assert!(Conversation::default().take(command(&publish)).is_err());
        assert!(connected().take(command(&publish)).is_err());
        assert!(connected().take(command(&[Value::Null])).is_err());
        let connect = [Value::text("connect"), Value::Number(1.0)];
        assert!(connected().take(command(&connect)).is_err());
    }

    #[test]
    fn received_bytes_are_acknowledged_as_the_client_wants() {
        let mut conversation = connected();
        conversation.take_output();
        let window = Message {
            kind: kind::WINDOW_SIZE,
            timestamp: 0,
            stream: 0,
            body: Bytes::copy_from_slice(&1_000_u32.to_be_bytes()),
        };
        conversation.take(window).unwrap();
        conversation.received(999);
        assert!(conversation.take_output().is_empty());
        conversation.received(1);
        let told = conversation.take_output();
        assert_eq!(told[7], kind::ACKNOWLEDGEMENT);
        assert_eq!(told[12..], 1_000_u32.to_be_bytes());
    }
}
