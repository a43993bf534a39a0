//! One RTMP reader: handshake, `connect`, `createStream`, `play`, and what comes then.

use super::{Seen, elapsed_ms};
use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use framewell_wire::rtmp::amf0::{self, Value};
use framewell_wire::rtmp::chunk::{ChunkReader, Message, kind, write_message};
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use url::Url;

/// Bytes of C1, S1, C2 and S2 (RTMP 1.0 section 5.2).
const HANDSHAKE: usize = 1_536;
const MAX_MESSAGE: usize = 8 << 20;
const READ_BYTES: usize = 256 << 10;
/// Bytes in front of the NAL units of a picture (FLV: kind and codec, type, composition time).
const TAG_HEADER: usize = 5;
/// FLV's type of a tag that carries pictures, not parameters.
const NAL_UNITS: u8 = 1;

struct Connection {
    stream: TcpStream,
    chunks: ChunkReader,
    bytes: BytesMut,
}

/// Reads until the server ends it.
pub(super) async fn read(url: String, seen: Rc<Seen>) -> Result<()> {
    let began = Instant::now();
    let url = Url::parse(&url)?;
    let mut connection = Connection::open(&url).await?;
    let (app, name) = url
        .path()
        .trim_start_matches('/')
        .split_once('/')
        .context("no app")?;
    let name = url
        .query()
        .map_or_else(|| name.to_owned(), |query| format!("{name}?{query}"));
    let place = Value::object([
        ("app", Value::text(app)),
        ("tcUrl", Value::text(url.as_str())),
    ]);
    let command = |name: &str, id: f64| vec![Value::text(name), Value::Number(id)];
    let mut connect = command("connect", 1.0);
    connect.push(place);
    connection.command(0, &connect).await?;
    connection.result(1.0).await?;
    let mut create = command("createStream", 2.0);
    create.push(Value::Null);
    connection.command(0, &create).await?;
    connection.result(2.0).await?;
    let mut play = command("play", 3.0);
    play.extend([Value::Null, Value::text(name)]);
    // The first stream that a connection makes is number 1, everywhere.
    connection.command(1, &play).await?;
    connection.play(&seen, began).await
}

impl Connection {
    async fn open(url: &Url) -> Result<Self> {
        let host = url.host_str().context("no host")?;
        let mut stream = TcpStream::connect((host, url.port().unwrap_or(1935))).await?;
        stream.set_nodelay(true)?;
        let mut hello = vec![0; 1 + HANDSHAKE];
        hello[0] = 3;
        stream.write_all(&hello).await?;
        let mut answer = vec![0; 1 + 2 * HANDSHAKE];
        stream.read_exact(&mut answer).await?;
        ensure!(answer[0] == 3, "version {} of RTMP", answer[0]);
        stream.write_all(&answer[1..=HANDSHAKE]).await?;
        Ok(Self {
            stream,
            chunks: ChunkReader::new(MAX_MESSAGE),
            bytes: BytesMut::with_capacity(READ_BYTES),
        })
    }

    async fn command(&mut self, stream: u32, values: &[Value]) -> Result<()> {
        let message = Message {
            kind: kind::COMMAND,
            timestamp: 0,
            stream,
            body: Bytes::from(amf0::encode_all(values)),
        };
        let mut out = Vec::new();
        // What a side may send until it says otherwise.
        write_message(&mut out, 3, &message, 128);
        Ok(self.stream.write_all(&out).await?)
    }

    /// The next message, and how many bytes were read for it.
    async fn message(&mut self) -> Result<(Message, usize)> {
        let mut read = 0;
        loop {
            if let Some(message) = self.chunks.next(&mut self.bytes)? {
                return Ok((message, read));
            }
            self.bytes.reserve(READ_BYTES);
            let count = self.stream.read_buf(&mut self.bytes).await?;
            ensure!(count > 0, "the connection was closed");
            read += count;
        }
    }

    /// Waits for the answer to a command.
    async fn result(&mut self, id: f64) -> Result<()> {
        loop {
            let (message, _) = self.message().await?;
            if message.kind != kind::COMMAND {
                continue;
            }
            let values = amf0::decode_all(&message.body)?;
            let is_this = values.get(1).and_then(Value::as_number) == Some(id);
            match values.first().and_then(Value::as_text) {
                Some("_result") if is_this => return Ok(()),
                Some("_error") => bail!("refused: {values:?}"),
                _ => {}
            }
        }
    }

    async fn play(&mut self, seen: &Seen, began: Instant) -> Result<()> {
        let mut has_begun = false;
        loop {
            let (message, read) = self.message().await?;
            seen.count(&seen.bytes, read as u64);
            let is_picture = message.kind == kind::VIDEO && message.body.get(1) == Some(&NAL_UNITS);
            if is_picture {
                if !std::mem::replace(&mut has_begun, true) {
                    seen.firsts_ms.borrow_mut().push(elapsed_ms(began));
                }
                seen.count(&seen.pictures, 1);
                seen.note_clock(message.body.get(TAG_HEADER..).unwrap_or_default());
            } else if message.kind == kind::USER_CONTROL && message.body.starts_with(&[0, 6]) {
                self.answer_ping(&message.body).await?;
            }
        }
    }

    /// A ping is answered with its time (RTMP 1.0 section 7.1.7).
    async fn answer_ping(&mut self, ping: &[u8]) -> Result<()> {
        let pong = Message {
            kind: kind::USER_CONTROL,
            timestamp: 0,
            stream: 0,
            body: Bytes::from([&[0, 7], &ping[2..]].concat()),
        };
        let mut out = Vec::new();
        write_message(&mut out, 2, &pong, 128);
        Ok(self.stream.write_all(&out).await?)
    }
}
