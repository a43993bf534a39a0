//! RTP headers and sender reports.

use bytes::Bytes;
use framewell_model::WallTime;
use framewell_wire::rtp::rtcp::sender_report;
use framewell_wire::rtp::{Clock, Packet};

/// A report says what its bytes say; a payload is part of its packet.
pub fn run(data: &[u8]) {
    if let Some((ntp, timestamp)) = sender_report(data) {
        assert_eq!(data[8..16], ntp.to_be_bytes());
        assert_eq!(data[16..20], timestamp.to_be_bytes());
        let wall = WallTime::from_ntp(ntp);
        // The eras meet in 2036: from 1968 to 2104.
        assert!(
            (-63_200_000..4_300_000_000).contains(&wall.secs()),
            "{wall:?}"
        );
        let mut clock = Clock::default();
        assert_eq!(clock.place(timestamp), i64::from(timestamp));
    }
    let bytes = Bytes::copy_from_slice(data);
    if let Some(packet) = Packet::parse(&bytes) {
        let head = data.len() - packet.payload.len();
        assert!(head >= 12);
        let words = data.windows(packet.payload.len().max(1));
        let mut words = words.skip(12);
        assert!(packet.payload.is_empty() || words.any(|window| window == packet.payload));
    }
}
