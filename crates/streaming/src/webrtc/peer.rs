//! One WebRTC connection: str0m's state machine and the ways to its client.

use super::framing::frame;
use super::router::{Datagram, Registration, Way};
use super::stun;
use bytes::Bytes;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Event, Input, Output, Rtc, RtcError};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// TCP connections that one client may have open.
const MAX_CONNECTIONS: usize = 4;
/// A client that takes nothing for this long has gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest time that a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(200);
/// Datagrams that are taken in a row: then what came of them is sent, and others have their turn.
const MAX_IN_A_ROW: usize = 64;
/// How often time may be told to the state machine in a row without anything coming out of it.
const MAX_IDLE_TURNS: u32 = 8;

/// A connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) rtc: Rtc,
    inbox: mpsc::Receiver<Datagram>,
    _registration: Registration,
    udp: Arc<UdpSocket>,
    /// Addresses of our candidates, the first of each family being where datagrams are said to arrive.
    addresses: Arc<[SocketAddr]>,
    connections: Vec<(SocketAddr, mpsc::Sender<Bytes>)>,
    outgoing: Vec<Transmit>,
    /// Where the client had to be to agree on keys.
    home: Option<IpAddr>,
    /// When the state machine wants to know the time.
    deadline: Instant,
}

/// The parts of a connection.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) rtc: Rtc,
    pub(super) inbox: mpsc::Receiver<Datagram>,
    pub(super) registration: Registration,
    pub(super) udp: Arc<UdpSocket>,
    pub(super) addresses: Arc<[SocketAddr]>,
}

impl Peer {
    pub(super) fn new(parts: Parts, now: Instant) -> Self {
        Self {
            rtc: parts.rtc,
            inbox: parts.inbox,
            _registration: parts.registration,
            udp: parts.udp,
            addresses: parts.addresses,
            connections: Vec::new(),
            outgoing: Vec::new(),
            home: None,
            deadline: now,
        }
    }

    /// When [`Self::drive`] is due without any other reason.
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The next datagram of the client. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Option<Datagram> {
        self.inbox.recv().await
    }

    /// Hands a datagram, and some that wait behind it, to the state machine; events go to `events`.
    pub(super) fn take(
        &mut self,
        datagram: Datagram,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> Result<(), RtcError> {
        let mut next = Some(datagram);
        for left in (0..MAX_IN_A_ROW).rev() {
            let Some(datagram) = next.take() else {
                break;
            };
            self.take_one(&datagram, now)?;
            // What it makes of one must be fetched before it gets the next.
            self.drive(now, events)?;
            if left > 0 {
                next = self.inbox.try_recv().ok();
            }
        }
        Ok(())
    }

    fn take_one(&mut self, datagram: &Datagram, now: Instant) -> Result<(), RtcError> {
        let source = datagram.source;
        let proto = match &datagram.way {
            Way::Udp => Protocol::Udp,
            Way::Tcp(batches) => {
                self.remember(source, batches);
                Protocol::Tcp
            }
        };
        if proto == Protocol::Udp && self.is_strange(source, &datagram.data) {
            return Ok(());
        }
        // Anybody can send anything: what makes no sense is not an error of the session.
        let Ok(contents) = datagram.data[..].try_into() else {
            return Ok(());
        };
        let Some(destination) = self.own_address(source) else {
            return Ok(());
        };
        let input = Input::Receive(
            now,
            Receive {
                proto,
                source,
                destination,
                contents,
            },
        );
        if self.rtc.accepts(&input) {
            self.rtc.handle_input(input)?;
        }
        Ok(())
    }

    /// Whether a datagram would have video sent to where nobody has shown to be: an ICE-lite side asks
    /// nobody back, so a client could name a victim's address, which UDP lets it forge.
    fn is_strange(&self, source: SocketAddr, datagram: &[u8]) -> bool {
        stun::is_stun(datagram) && self.home.is_some_and(|home| home != source.ip())
    }

    /// The first flight of DTLS has to be read by a client that is to be sent anything else.
    fn settle(&mut self, transmit: &Transmit) {
        if matches!(transmit.contents.first(), Some(20..=63)) {
            self.home.get_or_insert(transmit.destination.ip());
        }
    }

    fn remember(&mut self, source: SocketAddr, batches: &mpsc::Sender<Bytes>) {
        let is_known = |known: &(SocketAddr, mpsc::Sender<Bytes>)| {
            known.0 == source && known.1.same_channel(batches)
        };
        if self.connections.iter().any(is_known) {
            return;
        }
        self.connections
            .retain(|known| known.0 != source && !known.1.is_closed());
        if self.connections.len() == MAX_CONNECTIONS {
            self.connections.remove(0);
        }
        self.connections.push((source, batches.clone()));
    }

    fn own_address(&self, source: SocketAddr) -> Option<SocketAddr> {
        let mut own = self.addresses.iter().copied();
        own.find(|address| address.is_ipv4() == source.is_ipv4())
    }

    /// Lets the state machine go on until it waits; what it wants to send is kept for
    /// [`Self::flush`].
    pub(super) fn drive(&mut self, now: Instant, events: &mut Vec<Event>) -> Result<(), RtcError> {
        let mut idle_turns = 0;
        loop {
            match self.rtc.poll_output()? {
                Output::Transmit(transmit) => {
                    self.settle(&transmit);
                    self.outgoing.push(transmit);
                    idle_turns = 0;
                }
                Output::Event(event) => {
                    events.push(event);
                    idle_turns = 0;
                }
                Output::Timeout(at) if at <= now && idle_turns < MAX_IDLE_TURNS => {
                    idle_turns += 1;
                    self.rtc.handle_input(Input::Timeout(now))?;
                }
                Output::Timeout(at) => {
                    self.deadline = at.max(now);
                    return Ok(());
                }
            }
        }
    }

    /// Says goodbye, so that the client need not find out.
    pub(super) async fn close(&mut self) {
        let mut events = Vec::new();
        let closing = self.rtc.close();
        if closing
            .and_then(|()| self.drive(Instant::now(), &mut events))
            .is_ok()
        {
            // Whoever does not take it finds out.
            let _unsent = tokio::time::timeout(GOODBYE, self.flush()).await;
        }
    }

    /// Sends what is kept, and says how many bytes that was. Waits where the network does: then pictures pile up in the ring and are
    /// skipped, not here.
    pub(super) async fn flush(&mut self) -> io::Result<usize> {
        if self.outgoing.is_empty() {
            return Ok(0);
        }
        let sending = tokio::time::timeout(SEND_TIMEOUT, self.send_all());
        sending.await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn send_all(&mut self) -> io::Result<usize> {
        let mut bytes = 0;
        let mut stream: Option<(SocketAddr, Vec<u8>)> = None;
        for transmit in std::mem::take(&mut self.outgoing) {
            let (to, contents) = (transmit.destination, &transmit.contents[..]);
            bytes += contents.len();
            if transmit.proto == Protocol::Udp {
                send_datagram(&self.udp, contents, to).await?;
                continue;
            }
            if stream.as_ref().is_some_and(|(open, _)| *open != to)
                && let Some((open, batch)) = stream.take()
            {
                self.send_batch(open, batch).await;
            }
            let (_, batch) = stream.get_or_insert_with(|| (to, Vec::new()));
            frame(batch, contents);
        }
        if let Some((to, batch)) = stream {
            self.send_batch(to, batch).await;
        }
        Ok(bytes)
    }

    /// A connection that is gone loses its datagrams: ICE finds another way, or gives up.
    async fn send_batch(&self, to: SocketAddr, batch: Vec<u8>) {
        let mut connections = self.connections.iter();
        if let Some((_, batches)) = connections.find(|known| known.0 == to) {
            let _gone = batches.send(batch.into()).await;
        }
    }
}

/// Waits if the socket's buffer is full; other errors concern one address, which ICE gives up by itself.
async fn send_datagram(udp: &UdpSocket, contents: &[u8], to: SocketAddr) -> io::Result<()> {
    loop {
        match udp.try_send_to(contents, to) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => udp.writable().await?,
            Err(error) => {
                tracing::debug!(%to, %error, "a webrtc datagram was not sent");
                return Ok(());
            }
            Ok(_) => return Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
pub(super) mod tests;
