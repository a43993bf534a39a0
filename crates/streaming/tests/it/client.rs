//! A raw RTSP client that sees every byte.

use framewell_model::WallTime;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Any single answer or packet comes within this time, or the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    next_sequence: u32,
    pub(crate) session: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// Every `WWW-Authenticate`.
    pub(crate) challenges: Vec<String>,
}

/// An interleaved packet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Packet {
    pub(crate) channel: u8,
    pub(crate) data: Vec<u8>,
}

impl Packet {
    pub(crate) fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.data[2], self.data[3]])
    }

    pub(crate) fn timestamp(&self) -> u32 {
        u32::from_be_bytes(self.data[4..8].try_into().unwrap())
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.data[1] & 0x80 != 0
    }

    /// Without header and extension (RFC 3550 section 5.3.1).
    pub(crate) fn payload(&self) -> &[u8] {
        let extension = self.extension().map_or(0, |data| 4 + data.len());
        &self.data[12 + extension..]
    }

    /// Data of the header extension.
    pub(crate) fn extension(&self) -> Option<&[u8]> {
        if self.data[0] & 0x10 == 0 {
            return None;
        }
        let words = usize::from(u16::from_be_bytes([self.data[14], self.data[15]]));
        Some(&self.data[16..16 + 4 * words])
    }

    /// Of a sender report: capture time and RTP time.
    pub(crate) fn report(&self) -> Option<(WallTime, u32)> {
        let word = |at: usize| u32::from_be_bytes(self.data[at..at + 4].try_into().unwrap());
        (self.data[1] == 200).then(|| {
            let ntp = u64::from(word(8)) << 32 | u64::from(word(12));
            (WallTime::from_ntp(ntp), word(16))
        })
    }

    /// Whether a compound RTCP packet ends with BYE.
    pub(crate) fn is_bye(&self) -> bool {
        self.data.len() >= 8 && self.data[self.data.len() - 7] == 203
    }
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::new(TcpStream::connect(addr).await.unwrap())
    }

    /// With a receive buffer of a few packets, so that the server notices soon who does not read.
    pub(crate) async fn connect_narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 << 10).unwrap();
        Self::new(socket.connect(addr).await.unwrap())
    }

    /// Tries until the server has a place.
    pub(crate) async fn connect_when_there_is_room(addr: SocketAddr) -> Self {
        loop {
            let mut client = Self::connect(addr).await;
            client.send(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").await;
            if client
                .answer()
                .await
                .is_some_and(|answer| answer.status == 200)
            {
                return client;
            }
        }
    }

    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            next_sequence: 1,
            session: None,
        }
    }

    /// Reads more bytes; false at the end of the stream.
    pub(crate) async fn fill(&mut self) -> bool {
        let mut chunk = vec![0; 64 << 10];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk));
        let count = read.await.expect("the server says something").unwrap_or(0);
        self.buffer.extend_from_slice(&chunk[..count]);
        count > 0
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn request(&mut self, method: &str, url: &str, headers: &[&str]) -> Answer {
        let mut text = format!(
            "{method} {url} RTSP/1.0\r\nCSeq: {}\r\n",
            self.next_sequence
        );
        if let Some(session) = &self.session {
            text.push_str(&format!("Session: {session}\r\n"));
        }
        for header in headers {
            text.push_str(&format!("{header}\r\n"));
        }
        self.send(format!("{text}\r\n").as_bytes()).await;
        let answer = self.answer().await.unwrap();
        assert_eq!(answer.headers["cseq"], self.next_sequence.to_string());
        self.next_sequence += 1;
        if let Some(session) = answer.headers.get("session") {
            self.session = session.split(';').next().map(str::to_owned);
        }
        answer
    }

    /// The next answer, dropping packets before it; `None` at the end of the stream.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        loop {
            if self.buffer.first() == Some(&b'$') {
                self.take_packet();
            }
            if self.buffer.first().is_some_and(|byte| *byte != b'$')
                && let Some(answer) = self.take_answer()
            {
                return Some(answer);
            }
            let needs_more = self.buffer.first() != Some(&b'$') || self.packet_end().is_none();
            if needs_more && !self.fill().await {
                return None;
            }
        }
    }

    fn take_answer(&mut self) -> Option<Answer> {
        let end = self
            .buffer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")?
            + 4;
        let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let lines: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let challenges = lines.iter().filter(|(name, _)| name == "www-authenticate");
        let challenges = challenges.map(|(_, value)| value.clone()).collect();
        let headers: BTreeMap<_, _> = lines.into_iter().collect();
        let body: usize = headers
            .get("content-length")
            .map_or(0, |len| len.parse().unwrap());
        let bytes = self.buffer.get(end..end + body)?;
        let body_text = String::from_utf8(bytes.to_vec()).unwrap();
        self.buffer.drain(..end + body);
        Some(Answer {
            status,
            headers,
            body: body_text,
            challenges,
        })
    }

    fn packet_end(&self) -> Option<usize> {
        let head = self.buffer.get(..4)?;
        let end = 4 + usize::from(u16::from_be_bytes([head[2], head[3]]));
        (self.buffer.len() >= end).then_some(end)
    }

    fn take_packet(&mut self) -> Option<Packet> {
        let end = self.packet_end()?;
        let packet = Packet {
            channel: self.buffer[1],
            data: self.buffer[4..end].to_vec(),
        };
        self.buffer.drain(..end);
        Some(packet)
    }

    /// The next interleaved packet; `None` at the end of the stream.
    pub(crate) async fn packet(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.take_packet() {
                return Some(packet);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next RTP packet of a channel.
    pub(crate) async fn rtp(&mut self, channel: u8) -> Option<Packet> {
        loop {
            let packet = self.packet().await?;
            if packet.channel == channel {
                return Some(packet);
            }
        }
    }

    /// The RTP packets of the next whole video access unit, up to the marker.
    pub(crate) async fn access_unit(&mut self) -> Option<Vec<Packet>> {
        let mut packets = Vec::new();
        loop {
            packets.push(self.rtp(0).await?);
            if packets.last().is_some_and(Packet::is_marked) {
                return Some(packets);
            }
        }
    }

    /// Describes, and sets up the video track under channels 0 and 1.
    pub(crate) async fn set_up(&mut self, url: &str) {
        let track = url.replace('?', "/track0?");
        let transport = ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"];
        assert_eq!(self.request("DESCRIBE", url, &[]).await.status, 200);
        assert_eq!(self.request("SETUP", &track, &transport).await.status, 200);
    }

    /// Sets up, and plays.
    pub(crate) async fn play(&mut self, url: &str) -> Answer {
        self.set_up(url).await;
        let answer = self.request("PLAY", url, &["Range: npt=0-"]).await;
        assert_eq!(answer.status, 200);
        answer
    }
}
