//! Accepting connections: so many at once, and so many of one address that have shown nothing yet.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Pause after a failed `accept`, so that a process out of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Of the places, for strangers of one address.
/// A quarter: who comes from elsewhere finds room.
pub(crate) const STRANGER_SHARE_PERCENT: u8 = 25;

/// A server's places for connections.
#[derive(Debug)]
pub struct Door {
    /// For metrics and logs.
    pub protocol: &'static str,
    /// Counts those that are inside.
    pub gauge: metrics::Gauge,
    /// Places at once.
    pub places: usize,
    /// How many of them strangers of one address may hold, in percent.
    pub stranger_share_percent: u8,
    /// What one is told for whom there is no place, if it can be said at once.
    pub refusal: &'static [u8],
}

impl Door {
    /// Hands each connection with its place to `enter`, until `stop`.
    pub async fn keep(
        self,
        listener: TcpListener,
        stop: CancellationToken,
        mut enter: impl FnMut(TcpStream, SocketAddr, Place),
    ) {
        let places = Arc::new(Semaphore::new(self.places));
        let strangers = Strangers::new(self.places, self.stranger_share_percent);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match self.place(&places, &strangers, peer) {
                    Some(place) => enter(stream, peer, place),
                    None => {
                        crate::count_turned_away(self.protocol, peer);
                        // It is closed anyway; who does not take it is not told.
                        stream.try_write(self.refusal).ok();
                    }
                },
                Err(error) => {
                    tracing::warn!(protocol = self.protocol, %error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn place(
        &self,
        places: &Arc<Semaphore>,
        strangers: &Arc<Strangers>,
        peer: SocketAddr,
    ) -> Option<Place> {
        let permit = Arc::clone(places).try_acquire_owned().ok()?;
        let stranger = strangers.enter(peer.ip())?;
        self.gauge.increment(1.0);
        Some(Place {
            _permit: permit,
            gauge: self.gauge.clone(),
            introduction: Introduction(Arc::new(Mutex::new(Some(stranger)))),
        })
    }
}

/// The place of a connection, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    gauge: metrics::Gauge,
    introduction: Introduction,
}

impl Place {
    /// Its client has shown what it may: it no longer counts for its address.
    pub fn introduce(&self) {
        self.introduction.make();
    }

    /// The means to do that for who does not hold the place.
    #[must_use]
    pub fn introduction(&self) -> Introduction {
        self.introduction.clone()
    }
}

/// Makes a client known.
#[derive(Debug, Clone)]
pub struct Introduction(Arc<Mutex<Option<Stranger>>>);

impl Introduction {
    /// Its client has shown what it may: it no longer counts for its address.
    pub fn make(&self) {
        *self.0.lock() = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
        // Whoever still holds the means to introduce it holds no place.
        self.introduction.make();
    }
}

/// How many strangers each address has inside. There are no more addresses than places.
#[derive(Debug)]
struct Strangers {
    most: usize,
    inside: Mutex<HashMap<IpAddr, usize>>,
}

impl Strangers {
    fn new(places: usize, percent: u8) -> Arc<Self> {
        let most = places.saturating_mul(percent.into()) / 100;
        Arc::new(Self {
            most: most.max(1),
            inside: Mutex::default(),
        })
    }

    /// `None` if the address has all it may have.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Stranger> {
        let network = network(address);
        let mut inside = self.inside.lock();
        let count = inside.get(&network).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        inside.insert(network, count + 1);
        Some(Stranger {
            strangers: Arc::clone(self),
            network,
        })
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
struct Stranger {
    strangers: Arc<Strangers>,
    network: IpAddr,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut inside = self.strangers.inside.lock();
        if let Some(count) = inside.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.network);
            }
        }
    }
}

/// What one stranger has of its own: an address, in IPv6 a network of 64 bits (RFC 6177 section 2).
fn network(address: IpAddr) -> IpAddr {
    const HOST_BITS: u32 = 64;
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> HOST_BITS << HOST_BITS;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_its_share_and_the_others_have_theirs() {
        let strangers = Strangers::new(10, 25);
        let first = strangers.enter(ip("192.0.2.1")).unwrap();
        let _second = strangers.enter(ip("::ffff:192.0.2.1")).unwrap();
        assert!(strangers.enter(ip("192.0.2.1")).is_none());
        let _other = strangers.enter(ip("192.0.2.2")).unwrap();
        drop(first);
        assert!(strangers.enter(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let strangers = Strangers::new(4, 25);
        let held = strangers.enter(ip("2001:db8:0:1::1")).unwrap();
        assert!(strangers.enter(ip("2001:db8:0:1:ffff::2")).is_none());
        assert!(strangers.enter(ip("2001:db8:0:2::1")).is_some());
        drop(held);
        assert!(strangers.inside.lock().is_empty(), "nothing is kept");
    }

    #[test]
    fn there_is_always_room_for_one() {
        assert!(Strangers::new(1, 1).enter(ip("192.0.2.1")).is_some());
    }
}
