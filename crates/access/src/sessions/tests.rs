use super::*;
use crate::places::Occupation;
use framewell_model::{AccountId, Holder, TokenSerial, WallTime};
use std::sync::atomic::{AtomicI64, Ordering};

#[derive(Debug, Default)]
struct Clock(AtomicI64);

impl Clock {
    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl WallClock for Clock {
    fn now(&self) -> WallTime {
        WallTime::from_secs(self.0.load(Ordering::SeqCst))
    }
}

fn holder(serial: i64) -> Holder {
    Holder {
        account: AccountId::new(1).unwrap(),
        serial: TokenSerial::new(serial),
    }
}

fn new(protocol: Protocol, serial: i64) -> NewSession {
    NewSession {
        protocol,
        activity: Activity::Live,
        channel: ChannelId::new(7).unwrap(),
        holder: holder(serial),
        peer: None,
        expire: Some(WallTime::from_secs(100)),
        expected_bits_per_s: 0,
    }
}

fn sessions(most: usize, max: Option<u64>, of_token: Option<u64>) -> (Sessions, Arc<Clock>) {
    let config = SessionsConfig {
        places: Places::new(Occupation::Session, most, 100),
        max_bits_per_s: max,
        token_max_bits_per_s: of_token,
    };
    let clock = Arc::new(Clock::default());
    let as_clock: Arc<dyn WallClock> = Arc::<Clock>::clone(&clock);
    (Sessions::new(config, as_clock), clock)
}

#[test]
fn a_session_is_listed_with_what_it_counts_until_it_is_dropped() {
    let (sessions, _) = sessions(2, None, None);
    let session = sessions.open(new(Protocol::Rtsp, 1)).unwrap();
    session.add_bytes(1_000);
    session.add_missed(3);
    sessions.measure(0.5);
    let listed = sessions.list(|channel| channel.get() == 7);
    assert_eq!(listed.len(), 1);
    let view = &listed[0];
    assert_eq!(view.id, session.id());
    assert_eq!(view.id.to_string().parse(), Ok(view.id));
    assert_eq!((view.bytes, view.missed_frames), (1_000, 3));
    assert_eq!(view.bits_per_s, 16_000);
    assert!(sessions.list(|channel| channel.get() == 8).is_empty());
    sessions.measure(1.0);
    assert_eq!(sessions.get(session.id()).unwrap().bits_per_s, 0);
    drop(session);
    assert!(sessions.list(|_| true).is_empty());
    assert_eq!(sessions.places().occupancy().taken, 0);
}

#[test]
fn a_session_ends_with_its_ticket_or_when_somebody_ends_it_and_the_first_reason_counts() {
    let (sessions, clock) = sessions(2, None, None);
    let a = sessions.open(new(Protocol::Rtsp, 1)).unwrap();
    let forever = NewSession {
        expire: None,
        ..new(Protocol::WebRtc, 1)
    };
    let b = sessions.open(forever).unwrap();
    clock.set(99);
    sessions.measure(1.0);
    assert!(!a.end_token().is_cancelled());
    clock.set(100);
    sessions.measure(1.0);
    assert_eq!(a.end_reason(), Some(EndReason::Expired));
    assert!(a.end_token().is_cancelled());
    assert!(!b.end_token().is_cancelled());
    assert!(sessions.end(a.id(), EndReason::Ended));
    assert_eq!(a.end_reason(), Some(EndReason::Expired));
    assert!(sessions.end(b.id(), EndReason::Ended));
    assert_eq!(b.end_reason(), Some(EndReason::Ended));
    let id = b.id();
    drop(b);
    assert!(!sessions.end(id, EndReason::Ended));
}

#[test]
fn too_many_sessions_are_refused() {
    let (sessions, _) = sessions(1, None, None);
    let first = sessions.open(new(Protocol::Rtsp, 1)).unwrap();
    let refused = sessions.open(new(Protocol::Rtmp, 2)).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.limit()),
        (ErrorKind::Unavailable, Some(1))
    );
    drop(first);
    sessions.open(new(Protocol::Rtmp, 2)).unwrap();
}

#[test]
fn who_is_sent_as_much_as_it_may_gets_no_further_session() {
    let (sessions, _) = sessions(9, Some(10_000), Some(8_000));
    let expected = NewSession {
        expected_bits_per_s: 8_000,
        ..new(Protocol::Rtsp, 1)
    };
    // What is not measured yet counts with what is expected of it.
    let first = sessions.open(expected).unwrap();
    let over = sessions.open(new(Protocol::Rtsp, 1)).unwrap_err();
    assert_eq!(over.kind(), ErrorKind::ResourceExhausted);
    assert_eq!(over.limit(), Some(8_000));
    let known = NewSession {
        expected_bits_per_s: 1,
        ..new(Protocol::Rtsp, 2)
    };
    let other = sessions.open(known).unwrap();
    other.add_bytes(500);
    first.add_bytes(750);
    sessions.measure(1.0);
    let full = sessions.open(new(Protocol::Rtsp, 3)).unwrap_err();
    let (sent, limit) = (10_000, 10_000);
    assert_eq!(full, SessionRefused::Bandwidth { sent, limit });
    // A publisher takes nothing of what is sent.
    drop(first);
    let publisher = NewSession {
        activity: Activity::Publish,
        ..new(Protocol::Rtmp, 4)
    };
    let publisher = sessions.open(publisher).unwrap();
    publisher.add_bytes(1_000_000);
    sessions.measure(1.0);
    sessions.open(new(Protocol::Rtsp, 3)).unwrap();
}

#[test]
fn sessions_that_open_at_once_count_before_they_are_measured() {
    let (sessions, _) = sessions(9, Some(10_000_000), None);
    let open = || sessions.open(new(Protocol::Rtsp, 1));
    // 4 Mbit/s each, as far as anybody knows.
    let _three = [open().unwrap(), open().unwrap(), open().unwrap()];
    let full = open().unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Unavailable);
    assert_eq!(sessions.list(|_| true)[0].bits_per_s, 0);
    sessions.measure(1.0);
    open().unwrap();
}

#[test]
fn visits_of_one_ticket_are_one_session_until_half_a_minute_of_silence() {
    let (sessions, clock) = sessions(2, None, None);
    let visit = |ticket| sessions.visit(ticket, new(Protocol::Hls, 1));
    let first = visit("a").unwrap().id();
    clock.set(20);
    assert_eq!(visit("a").unwrap().id(), first);
    let other = visit("b").unwrap().id();
    assert_ne!(other, first);
    clock.set(50);
    sessions.measure(1.0);
    assert_eq!(sessions.list(|_| true).len(), 2);
    assert_eq!(visit("a").unwrap().id(), first);
    clock.set(51);
    sessions.measure(1.0);
    let left: Vec<_> = sessions.list(|_| true).iter().map(|v| v.id).collect();
    assert_eq!(left, [first]);
}

#[test]
fn the_ticket_of_a_visit_that_was_ended_opens_nothing_until_it_expires() {
    let (sessions, clock) = sessions(2, None, None);
    let visit = |ticket| sessions.visit(ticket, new(Protocol::Hls, 1));
    let id = visit("a").unwrap().id();
    assert!(sessions.end(id, EndReason::Ended));
    assert_eq!(visit("a").unwrap_err(), SessionRefused::Ended);
    assert!(visit("b").is_ok());
    assert_eq!(sessions.list(|_| true).len(), 1);
    clock.set(100);
    sessions.measure(1.0);
    assert!(visit("a").is_ok());
}

#[test]
fn the_ticket_of_a_visit_whose_token_was_revoked_opens_nothing_until_it_expires() {
    let (sessions, clock) = sessions(2, None, None);
    let visit = |ticket| sessions.visit(ticket, new(Protocol::Hls, 1));
    let session = visit("a").unwrap();
    for entry in sessions.shared.open.lock().values() {
        entry.end(EndReason::Revoked);
    }
    assert_eq!(visit("a").unwrap_err(), SessionRefused::Ended);
    drop(session);
    sessions.measure(1.0);
    assert!(sessions.list(|_| true).is_empty());
    assert_eq!(visit("a").unwrap_err(), SessionRefused::Ended);
    clock.set(100);
    sessions.measure(1.0);
    assert!(visit("a").is_ok());
}
