//! One RTSP reader over TCP: the video track, packet by packet.

use super::{CLOCK_WITHIN, Seen, elapsed_ms};
use anyhow::{Context, Result, bail, ensure};
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant};
use url::Url;

/// Servers that count requests want to hear of a reader now and then.
const ALIVE: Duration = Duration::from_secs(20);
const READ_BYTES: usize = 256 << 10;

struct Connection {
    stream: TcpStream,
    /// Read and not used yet.
    bytes: Vec<u8>,
    sequence: u32,
    url: String,
    session: Option<String>,
}

/// Reads until the server ends it.
pub(super) async fn read(url: String, seen: Rc<Seen>) -> Result<()> {
    let began = Instant::now();
    let mut connection = Connection::open(&url).await?;
    let description = connection
        .call("DESCRIBE", &url, "Accept: application/sdp\r\n")
        .await?;
    let track = connection.video_track(&description)?;
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
    let answer = connection.call("SETUP", &track, transport).await?;
    let session = answer.header("session").context("no session")?;
    connection.session = session.split(';').next().map(str::to_owned);
    let base = description
        .header("content-base")
        .unwrap_or(&url)
        .to_owned();
    connection
        .send("PLAY", &base, "Range: npt=now-\r\n")
        .await?;
    connection.play(&seen, began).await
}

/// Head and body of an answer.
struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut named = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }
}

impl Connection {
    async fn open(url: &str) -> Result<Self> {
        let parsed = Url::parse(url)?;
        let address = (
            parsed.host_str().context("no host")?,
            parsed.port().unwrap_or(554),
        );
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            bytes: Vec::with_capacity(READ_BYTES),
            sequence: 0,
            url: url.to_owned(),
            session: None,
        })
    }

    async fn send(&mut self, method: &str, url: &str, headers: &str) -> Result<()> {
        self.sequence += 1;
        let session = self.session.as_ref();
        let session = session.map_or_else(String::new, |id| format!("Session: {id}\r\n"));
        let text = format!(
            "{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{session}{headers}\r\n",
            self.sequence
        );
        Ok(self.stream.write_all(text.as_bytes()).await?)
    }

    async fn call(&mut self, method: &str, url: &str, headers: &str) -> Result<Answer> {
        self.send(method, url, headers).await?;
        loop {
            if let Some(end) = find(&self.bytes, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
                let mut answer = Answer {
                    head,
                    body: String::new(),
                };
                let length = answer.header("content-length").map_or(Ok(0), str::parse)?;
                let whole = end + 4 + length;
                if self.bytes.len() >= whole {
                    answer.body = String::from_utf8_lossy(&self.bytes[end + 4..whole]).into_owned();
                    self.bytes.drain(..whole);
                    let status = answer.head.lines().next().unwrap_or_default();
                    ensure!(status.contains(" 200 "), "{method}: {status}");
                    return Ok(answer);
                }
            }
            let count = self.stream.read_buf(&mut self.bytes).await?;
            ensure!(count > 0, "{method}: the connection was closed");
        }
    }

    fn video_track(&self, description: &Answer) -> Result<String> {
        let mut sections = description.body.split("\nm=");
        let video = sections.find(|section| section.starts_with("video"));
        let video = video.context("no video")?;
        let mut lines = video.lines();
        let control = lines.find_map(|line| line.strip_prefix("a=control:"));
        let control = control.context("no control")?.trim();
        if control.starts_with("rtsp://") {
            return Ok(control.to_owned());
        }
        let base = description.header("content-base").unwrap_or(&self.url);
        Ok(format!("{}/{control}", base.trim_end_matches('/')))
    }

    async fn play(&mut self, seen: &Seen, began: Instant) -> Result<()> {
        let mut packets = Packets::default();
        let mut alive = Instant::now();
        loop {
            let used = packets.take(&self.bytes, seen, began);
            self.bytes.drain(..used);
            self.bytes.reserve(READ_BYTES);
            let count = self.stream.read_buf(&mut self.bytes).await?;
            if count == 0 {
                bail!("the stream ended");
            }
            seen.count(&seen.bytes, count as u64);
            if alive.elapsed() > ALIVE {
                alive = Instant::now();
                let url = self.url.clone();
                self.send("GET_PARAMETER", &url, "").await?;
            }
        }
    }
}

#[derive(Default)]
struct Packets {
    last: Option<u16>,
}

impl Packets {
    /// Looks at what is whole; how many bytes that was.
    fn take(&mut self, bytes: &[u8], seen: &Seen, began: Instant) -> usize {
        let mut at = 0;
        while let [first, channel, high, low, ..] = bytes[at..] {
            if first != b'$' {
                // An answer between packets.
                match find(&bytes[at..], b"\r\n\r\n") {
                    Some(end) => at += end + 4,
                    None => break,
                }
                continue;
            }
            let end = at + 4 + usize::from(u16::from_be_bytes([high, low]));
            let Some(packet) = bytes.get(at + 4..end) else {
                break;
            };
            if channel == 0 && packet.len() > 12 {
                self.packet(packet, seen, began);
            }
            at = end;
        }
        at
    }

    fn packet(&mut self, packet: &[u8], seen: &Seen, began: Instant) {
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        match self.last.replace(number) {
            None => seen.firsts_ms.borrow_mut().push(elapsed_ms(began)),
            Some(last) => {
                let lost = number.wrapping_sub(last).wrapping_sub(1);
                seen.count(&seen.lost_packets, u64::from(lost));
            }
        }
        if packet[1] & 0x80 != 0 {
            seen.count(&seen.pictures, 1);
        }
        let payload = &packet[12..packet.len().min(12 + CLOCK_WITHIN)];
        // The clock is small, so it is not looked for in full packets of slices.
        let may_have_clock = packet.len() < CLOCK_WITHIN || payload[0] & 0x1f == 24;
        if may_have_clock {
            seen.note_clock(payload);
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
