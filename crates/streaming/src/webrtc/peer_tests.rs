//! What a connection takes at once, and from whom.

use super::*;
use crate::webrtc::router::Router;
use crate::webrtc::stun;
use str0m::RtcConfig;

pub(in crate::webrtc) fn from(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A connection that nobody has answered to.
pub(in crate::webrtc) async fn lone_peer(router: &Router) -> Peer {
    str0m::crypto::from_feature_flags().install_process_default();
    let now = Instant::now();
    let (registration, inbox) = router.enter("one");
    let udp = UdpSocket::bind(from(0)).await.unwrap();
    let parts = Parts {
        rtc: RtcConfig::new().set_ice_lite(true).build(now),
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
    let inbox = router.named(&stun::request("one:x")).unwrap();
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
