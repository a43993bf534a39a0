//! RTP and RTCP over UDP (RFC 2326 section 12.39, RFC 3550 section 11).
//!
//! One pair of ports for all sessions, so that a firewall needs two rules. Packets go only to the
//! address that the session's requests come from. Nobody waits for UDP: what the machine cannot send at
//! once is dropped and counted. Receiver reports are signs of life of their session, nothing more.

use crate::rtp::{CHANNEL_AUDIO, CHANNEL_VIDEO};
use framewell_media::TrackKind;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Attempts to find an even port with a free neighbour.
const MAX_TRIES: usize = 64;
/// Largest packet from a client that is looked at.
const MAX_REPORT_BYTES: usize = 1_500;
/// Packets of a burst. A key frame has hundreds, and the socket of a client holds some 200 KB.
const BURST_PACKETS: usize = 16;
/// Pause between two bursts: with 22 KB each, up to 180 Mbit/s.
const BURST_PAUSE: Duration = Duration::from_millis(1);

/// Where the packets of a track go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) rtp: SocketAddr,
    pub(super) rtcp: SocketAddr,
}

/// When a client was last heard of over UDP.
pub(super) type Sign = Arc<Mutex<Instant>>;

/// The sockets of the server.
#[derive(Debug)]
pub(super) struct Udp {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// By where the client's receiver reports come from.
    signs: Mutex<HashMap<SocketAddr, Sign>>,
}

/// What became of some packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) bytes: u64,
    pub(super) dropped: u64,
    /// In the present burst.
    burst: usize,
}

impl Udp {
    /// Binds `port` and the next one; any free pair for 0.
    pub(super) async fn bind(ip: IpAddr, port: u16) -> io::Result<Self> {
        let tries = if port == 0 { MAX_TRIES } else { 1 };
        let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..tries {
            match Self::bind_pair(ip, port).await {
                Ok(udp) => return Ok(udp),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn bind_pair(ip: IpAddr, port: u16) -> io::Result<Self> {
        let rtp = UdpSocket::bind((ip, port)).await?;
        let own = rtp.local_addr()?.port();
        // RTP has the even port (RFC 3550 section 11).
        if port == 0 && own % 2 != 0 {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let next = own.checked_add(1).ok_or(io::ErrorKind::AddrInUse)?;
        let rtcp = UdpSocket::bind((ip, next)).await?;
        // From here on they send without waiting.
        rtp.writable().await?;
        rtcp.writable().await?;
        Ok(Self {
            rtp,
            rtcp,
            signs: Mutex::default(),
        })
    }

    /// The ports that clients are told, RTP and RTCP.
    pub(super) fn ports(&self) -> io::Result<(u16, u16)> {
        Ok((
            self.rtp.local_addr()?.port(),
            self.rtcp.local_addr()?.port(),
        ))
    }

    /// Listens for receiver reports until `stop`.
    pub(super) async fn listen(&self, stop: CancellationToken) {
        let mut report = vec![0; MAX_REPORT_BYTES];
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => return,
                received = self.rtcp.recv_from(&mut report) => received,
            };
            match received {
                Ok((_, from)) => {
                    if let Some(sign) = self.signs.lock().get(&from) {
                        *sign.lock() = Instant::now();
                    }
                }
                // Of a packet that could not be delivered; the next call is not about it.
                Err(error) => tracing::debug!(%error, "receiving rtcp failed"),
            }
        }
    }

    /// Reports from there are signs of life, until [`Udp::forget`]; false if they are somebody else's:
    /// clients behind one address may choose the same ports.
    #[must_use]
    pub(super) fn expect(&self, from: SocketAddr, sign: &Sign) -> bool {
        let mut signs = self.signs.lock();
        let known = signs.entry(from).or_insert_with(|| Arc::clone(sign));
        Arc::ptr_eq(known, sign)
    }

    /// Reports from there mean nothing any more, unless they are somebody else's.
    pub(super) fn forget(&self, from: SocketAddr, sign: &Sign) {
        let mut signs = self.signs.lock();
        if signs
            .get(&from)
            .is_some_and(|known| Arc::ptr_eq(known, sign))
        {
            signs.remove(&from);
        }
    }

    /// Sends the packets of `wire` (in the interleaved form of `track`); adds up in `sent`.
    pub(super) async fn send(&self, wire: &[u8], track: TrackKind, to: Ports, sent: &mut Sent) {
        let own = match track {
            TrackKind::Video => CHANNEL_VIDEO,
            TrackKind::Audio => CHANNEL_AUDIO,
        };
        let mut rest = wire;
        while let [b'$', channel, high, low, behind @ ..] = rest {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((packet, next)) = behind.split_at_checked(len) else {
                return;
            };
            rest = next;
            if sent.burst >= BURST_PACKETS {
                tokio::time::sleep(BURST_PAUSE).await;
                sent.burst = 0;
            }
            sent.burst += 1;
            let result = if *channel == own {
                self.rtp.try_send_to(packet, to.rtp)
            } else {
                self.rtcp.try_send_to(packet, to.rtcp)
            };
            match result {
                Ok(bytes) => sent.bytes += bytes as u64,
                Err(_) => sent.dropped += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(channel: u8, data: &[u8]) -> Vec<u8> {
        let len = u8::try_from(data.len()).unwrap();
        [&[b'$', channel, 0, len][..], data].concat()
    }

    #[tokio::test]
    async fn packets_of_both_kinds_reach_their_ports() {
        let udp = Udp::bind("127.0.0.1".parse().unwrap(), 0).await.unwrap();
        let (rtp, rtcp) = udp.ports().unwrap();
        assert!(rtp % 2 == 0 && rtcp == rtp + 1);
        let data = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let control = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = Ports {
            rtp: data.local_addr().unwrap(),
            rtcp: control.local_addr().unwrap(),
        };
        let wire = [packet(3, b"report"), packet(2, b"one"), packet(2, b"two")].concat();
        let mut sent = Sent::default();
        udp.send(&wire, TrackKind::Audio, to, &mut sent).await;
        assert_eq!((sent.bytes, sent.dropped), (12, 0));
        let mut buffer = [0; 100];
        for expected in [&b"one"[..], b"two"] {
            let (len, from) = data.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..len], from.port()), (expected, rtp));
        }
        let (len, from) = control.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..len], from.port()), (&b"report"[..], rtcp));
    }

    #[tokio::test]
    async fn a_report_is_a_sign_of_life_of_its_sender_only() {
        let udp = Arc::new(Udp::bind("127.0.0.1".parse().unwrap(), 0).await.unwrap());
        let stop = CancellationToken::new();
        let (listening, until) = (Arc::clone(&udp), stop.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { listening.listen(until).await });
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let begin = Instant::now();
        let (own, other) = (Sign::new(Mutex::new(begin)), Sign::new(Mutex::new(begin)));
        assert!(udp.expect(client.local_addr().unwrap(), &own));
        assert!(!udp.expect(client.local_addr().unwrap(), &other));
        assert!(udp.expect("127.0.0.1:9".parse().unwrap(), &other));
        let server = ("127.0.0.1", udp.ports().unwrap().1);
        stranger.send_to(b"rr", server).await.unwrap();
        client.send_to(b"rr", server).await.unwrap();
        while *own.lock() == begin {
            tokio::task::yield_now().await;
        }
        assert_eq!(*other.lock(), begin);
        stop.cancel();
        tasks.join_all().await;
    }
}
