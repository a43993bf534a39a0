//! Whose datagram it is.
//!
//! A session is known by the user name fragment that it gave out in its description: a STUN request
//! names it, and is proven by the password given out beside it. After the first one its datagrams are told
//! by where they come from, with one look-up.

use super::stun;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use str0m::IceCreds;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Datagrams that wait for a session. Beyond it they are lost, as on any network.
const INBOX: usize = 512;
/// Addresses that may speak for one session: a browser tries each of its interfaces, and NATs change ports.
const MAX_ADDRESSES: usize = 16;

/// TCP connections of one session at once.
const MAX_CONNECTIONS: usize = 4;

/// Where a datagram came from, and what goes back.
#[derive(Debug, Clone)]
pub(super) enum Way {
    Udp,
    /// A connection, by what its task is to write. Each message is a run of framed datagrams.
    Tcp(mpsc::Sender<Bytes>),
}

/// A datagram for a session.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) source: SocketAddr,
    pub(super) way: Way,
    pub(super) data: Bytes,
}

/// Where a session takes its datagrams.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    sender: mpsc::Sender<Datagram>,
    password: Arc<str>,
    /// Those that have spoken for it.
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    connections: Arc<Semaphore>,
}

impl Inbox {
    /// The right to one TCP connection more, until it is dropped.
    pub(super) fn connect(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// Waits until the session has ended.
    pub(super) async fn ended(&self) {
        self.sender.closed().await;
    }

    /// Hands a datagram over; false when the session has ended. A full inbox loses it.
    pub(super) fn deliver(&self, datagram: Datagram) -> bool {
        match self.sender.try_send(datagram) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                metrics::counter!("framewell_webrtc_dropped_datagrams_total").increment(1);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// This address speaks for the session, if it may; one that did before may again.
    fn admit(&self, source: SocketAddr) -> bool {
        let mut addresses = self.addresses.lock();
        if addresses.contains(&source) {
            return true;
        }
        let has_room = addresses.len() < MAX_ADDRESSES;
        if has_room {
            addresses.push(source);
        }
        has_room
    }
}

/// The sessions by their user name fragments; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Router {
    sessions: Arc<Mutex<HashMap<String, Inbox>>>,
}

/// A session's entry; gone when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    router: Router,
    fragment: String,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.router.sessions.lock().remove(&self.fragment);
    }
}

impl Router {
    /// Enters a session under its fragment.
    pub(super) fn enter(&self, creds: &IceCreds) -> (Registration, mpsc::Receiver<Datagram>) {
        let (sender, receiver) = mpsc::channel(INBOX);
        let inbox = Inbox {
            sender,
            password: creds.pass.as_str().into(),
            addresses: Arc::default(),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        };
        self.sessions.lock().insert(creds.ufrag.clone(), inbox);
        let registration = Registration {
            router: self.clone(),
            fragment: creds.ufrag.clone(),
        };
        (registration, receiver)
    }

    /// The session that a STUN request is for, by its name and by its password.
    pub(super) fn asked(&self, datagram: &[u8]) -> Option<Inbox> {
        let named = self.named(datagram);
        named.filter(|inbox| stun::is_genuine(datagram, &inbox.password))
    }

    /// The session that a STUN request names, genuine or not.
    fn named(&self, datagram: &[u8]) -> Option<Inbox> {
        let fragment = stun::local_fragment(datagram)?;
        self.sessions.lock().get(fragment).cloned()
    }
}

/// The addresses that datagrams come from. One task has it: no lock on the way of a datagram.
#[derive(Debug)]
pub(super) struct Addresses {
    router: Router,
    known: HashMap<SocketAddr, Inbox>,
    /// When so many are known, those of ended sessions are looked for.
    sweep_at: usize,
}

impl Addresses {
    const FIRST_SWEEP: usize = 64;

    pub(super) fn new(router: Router) -> Self {
        Self {
            router,
            known: HashMap::new(),
            sweep_at: Self::FIRST_SWEEP,
        }
    }

    /// The session that a datagram is for, if any. A STUN request moves its address to the session that
    /// it names: behind a NAT another client may come to have it.
    pub(super) fn session(&mut self, source: SocketAddr, datagram: &[u8]) -> Option<&Inbox> {
        if stun::is_stun(datagram) {
            self.learn(source, datagram);
        }
        self.known.get(&source)
    }

    /// Forgets an address whose session has ended.
    pub(super) fn forget(&mut self, source: SocketAddr) {
        self.known.remove(&source);
    }

    fn learn(&mut self, source: SocketAddr, datagram: &[u8]) {
        let Some(inbox) = self.router.named(datagram) else {
            return;
        };
        let is_known = self
            .known
            .get(&source)
            .is_some_and(|known| known.sender.same_channel(&inbox.sender));
        // Anybody can send in another's name: only what is genuine moves an address, or uses one up.
        if is_known || !stun::is_genuine(datagram, &inbox.password) || !inbox.admit(source) {
            return;
        }
        self.known.insert(source, inbox);
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, inbox| inbox.is_open());
            self.sweep_at = (2 * self.known.len()).max(Self::FIRST_SWEEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn deliver(addresses: &mut Addresses, source: SocketAddr, data: &[u8]) -> bool {
        let Some(inbox) = addresses.session(source, data) else {
            return false;
        };
        inbox.deliver(Datagram {
            source,
            way: Way::Udp,
            data: Bytes::copy_from_slice(data),
        })
    }

    #[test]
    fn a_request_that_names_a_session_opens_the_way_for_what_follows() {
        let router = Router::default();
        let (_one, mut first) = router.enter(&stun::creds("one"));
        let (_two, mut second) = router.enter(&stun::creds("two"));
        let mut addresses = Addresses::new(router);
        assert!(!deliver(&mut addresses, from(1), &[0x80; 40]));
        assert!(deliver(&mut addresses, from(1), &stun::signed("one:x")));
        assert!(deliver(&mut addresses, from(1), &[0x80; 40]));
        assert!(first.try_recv().is_ok() && first.try_recv().is_ok());
        // The address comes to belong to somebody else.
        assert!(deliver(&mut addresses, from(1), &stun::signed("two:x")));
        assert!(deliver(&mut addresses, from(1), &[0x80; 40]));
        assert!(second.try_recv().is_ok() && second.try_recv().is_ok());
        assert!(first.try_recv().is_err());
        assert!(!deliver(&mut addresses, from(2), &stun::signed("three:x")));
    }

    #[test]
    fn what_belonged_to_an_ended_session_goes_nowhere() {
        let router = Router::default();
        let (registration, receiver) = router.enter(&stun::creds("one"));
        let mut addresses = Addresses::new(router.clone());
        assert!(deliver(&mut addresses, from(1), &stun::signed("one:x")));
        drop((registration, receiver));
        assert!(!deliver(&mut addresses, from(1), &[0x80; 40]));
        assert!(router.asked(&stun::signed("one:x")).is_none());
    }

    #[test]
    fn one_session_cannot_claim_all_addresses() {
        let router = Router::default();
        let (_registration, _receiver) = router.enter(&stun::creds("one"));
        let mut addresses = Addresses::new(router);
        for port in 1..1_000 {
            addresses.session(from(port), &stun::signed("one:x"));
        }
        assert_eq!(addresses.known.len(), MAX_ADDRESSES);
    }

    #[test]
    fn what_is_forged_moves_no_address_and_uses_none_up() {
        let router = Router::default();
        let (_one, _first) = router.enter(&stun::creds("one"));
        let (_two, mut second) = router.enter(&stun::creds("two"));
        let mut addresses = Addresses::new(router.clone());
        assert!(deliver(&mut addresses, from(1), &stun::signed("two:x")));
        for port in 1..1_000 {
            addresses.session(from(port), &stun::request("one:x"));
        }
        assert_eq!(addresses.known.len(), 1);
        assert!(deliver(&mut addresses, from(1), &[0x80; 40]));
        assert!(second.try_recv().is_ok() && second.try_recv().is_ok());
        assert!(deliver(&mut addresses, from(2), &stun::signed("one:x")));
        assert!(router.asked(&stun::request("one:x")).is_none());
    }

    #[test]
    fn an_address_may_come_back_as_often_as_it_likes() {
        let router = Router::default();
        let (_one, _first) = router.enter(&stun::creds("one"));
        let (_two, _second) = router.enter(&stun::creds("two"));
        let mut addresses = Addresses::new(router);
        for _ in 0..2 * MAX_ADDRESSES {
            assert!(deliver(&mut addresses, from(1), &stun::signed("two:x")));
            assert!(deliver(&mut addresses, from(1), &stun::signed("one:x")));
        }
        assert!(deliver(&mut addresses, from(2), &stun::signed("one:x")));
    }
}
