//! One WebRTC reader over UDP: WHEP, then whatever str0m receives.

use super::http::Http;
use super::{Seen, elapsed_ms};
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaData, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use url::Url;

/// Packets that wait for one that is late: a key frame of 4 Mbit/s has some hundred.
const REORDERING: usize = 300;
/// No datagram is longer.
const DATAGRAM: usize = 2_000;

struct Reader {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    /// Where the reader's datagrams come from.
    began: tokio::time::Instant,
    has_begun: bool,
    /// The packet behind the newest picture.
    next: Option<u64>,
}

/// Reads until the server ends it.
pub(super) async fn read(url: String, seen: Rc<Seen>) -> Result<()> {
    let began = tokio::time::Instant::now();
    str0m::crypto::from_feature_flags().install_process_default();
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let local = socket.local_addr()?;
    let mut config = RtcConfig::new()
        .clear_codecs()
        .set_reordering_size_video(REORDERING);
    let codecs = config.codec_config();
    codecs.add_h264(96.into(), Some(97.into()), true, 0x42_e0_1f);
    codecs.add_h265(98.into(), Some(99.into()), 1, 0, 93);
    let mut rtc = config.build(Instant::now());
    rtc.add_local_candidate(Candidate::host(local, Protocol::Udp)?);
    let mut change = rtc.sdp_api();
    change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let (offer, pending) = change.apply().context("nothing to offer")?;
    let url = Url::parse(&url)?;
    let mut http = Http::open(&url).await?;
    let answer = http.post_sdp(&url, &offer.to_sdp_string()).await?;
    let answer = SdpAnswer::from_sdp_string(&answer)?;
    rtc.sdp_api().accept_answer(pending, answer)?;
    let reader = Reader {
        rtc,
        socket,
        local,
        began,
        has_begun: false,
        next: None,
    };
    // The state of a connection is large.
    Box::pin(reader.run(&seen)).await
}

impl Reader {
    async fn run(mut self, seen: &Seen) -> Result<()> {
        let mut datagram = vec![0; DATAGRAM];
        loop {
            let wake = self.drive(seen).await?;
            let wait = wake.saturating_duration_since(Instant::now());
            let received = tokio::time::timeout(wait, self.socket.recv_from(&mut datagram)).await;
            let input = match received {
                Ok(received) => {
                    let (length, source) = received?;
                    seen.count(&seen.bytes, length as u64);
                    Input::Receive(
                        Instant::now(),
                        Receive {
                            proto: Protocol::Udp,
                            source,
                            destination: self.local,
                            contents: datagram[..length].try_into()?,
                        },
                    )
                }
                Err(_) => Input::Timeout(Instant::now()),
            };
            self.rtc.handle_input(input)?;
        }
    }

    /// Sends what is to be sent and looks at what has come, until there is a time to wait for.
    async fn drive(&mut self, seen: &Seen) -> Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(at),
                Output::Transmit(transmit) if transmit.proto == Protocol::Udp => {
                    let (contents, to) = (&transmit.contents, transmit.destination);
                    self.socket.send_to(contents, to).await?;
                }
                Output::Event(Event::MediaData(picture)) => self.see(&picture, seen),
                Output::Event(
                    Event::Closed
                    | Event::IceConnectionStateChange(IceConnectionState::Disconnected),
                ) => bail!("the session ended"),
                Output::Transmit(_) | Output::Event(_) => {}
            }
        }
    }

    fn see(&mut self, picture: &MediaData, seen: &Seen) {
        if !std::mem::replace(&mut self.has_begun, true) {
            seen.firsts_ms.borrow_mut().push(elapsed_ms(self.began));
        }
        let (first, last) = (**picture.seq_range.start(), **picture.seq_range.end());
        let lost = self.next.map_or(0, |next| first.saturating_sub(next));
        self.next = Some(last + 1);
        seen.count(&seen.lost_packets, lost);
        seen.count(&seen.pictures, 1);
        seen.note_clock(&picture.data);
    }
}
