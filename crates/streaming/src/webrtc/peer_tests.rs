//! What a connection takes at once, and from whom.

use super::*;
use crate::webrtc::router::Router;
use str0m::{Candidate, RtcConfig};

pub(in crate::webrtc) fn from(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A connection that nobody has answered to.
pub(in crate::webrtc) async fn lone_peer(router: &Router) -> Peer {
    str0m::crypto::from_feature_flags().install_process_default();
    let now = Instant::now();
    let (registration, inbox) = router.enter(&stun::creds("one"));
    let mut rtc = RtcConfig::new()
        .set_ice_lite(true)
        .set_local_ice_credentials(stun::creds("one"))
        .build(now);
    let candidate = Candidate::host(from(1), Protocol::Udp).unwrap();
    rtc.add_local_candidate(candidate);
    rtc.direct_api()
        .set_remote_ice_credentials(stun::creds("x"));
    let udp = UdpSocket::bind(from(0)).await.unwrap();
    let parts = Parts {
        rtc,
        inbox,
        registration,
        udp: Arc::new(udp),
        addresses: [from(1)].into(),
    };
    Peer::new(parts, now)
}

#[tokio::test]
async fn a_flood_is_taken_in_turns() {
    let router = Router::default();
    let mut peer = lone_peer(&router).await;
    let inbox = router.asked(&stun::signed("one:x")).unwrap();
    let datagram = || Datagram {
        source: from(9),
        way: Way::Udp,
        data: Bytes::from_static(&[0x80; 40]),
    };
    for _ in 0..200 {
        assert!(inbox.deliver(datagram()));
    }
    let (first, mut events) = (peer.receive().await.unwrap(), Vec::new());
    peer.take(first, Instant::now(), &mut events).unwrap();
    assert_eq!(peer.inbox.len(), 200 - MAX_IN_A_ROW);
}

#[tokio::test]
async fn a_client_that_has_keys_is_asked_for_at_its_own_address_only() {
    let router = Router::default();
    let mut peer = lone_peer(&router).await;
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], 9));
    let answers = |peer: &mut Peer, source| {
        let request = Datagram {
            source,
            way: Way::Udp,
            data: stun::signed("one:x").into(),
        };
        let mut events = Vec::new();
        peer.outgoing.clear();
        peer.take(request, Instant::now(), &mut events).unwrap();
        let sent = peer.outgoing.iter();
        sent.filter(|sent| sent.destination == source).count()
    };
    assert_eq!(answers(&mut peer, elsewhere), 1, "nothing is decided yet");
    peer.settle(&Transmit {
        proto: Protocol::Udp,
        source: from(1),
        destination: from(8),
        contents: vec![22; 40].into(),
    });
    assert_eq!(answers(&mut peer, elsewhere), 0);
    assert_eq!(answers(&mut peer, from(9)), 1, "its port may change");
}
