//! RTCP sender reports (RFC 3550 section 6.4.1), which carry the capture time to the client.

use framewell_model::WallTime;

/// Most time between two reports of a track, in microseconds. Reports also go out with every GOP,
/// because the wall clock mapping may change there and nowhere else.
pub(super) const INTERVAL_US: i64 = 4_000_000;
/// Seconds from the NTP epoch (1900) to the Unix epoch (1970).
const NTP_TO_UNIX_S: i64 = 2_208_988_800;
const PACKET_SENDER_REPORT: u8 = 200;
const PACKET_RECEIVER_REPORT: u8 = 201;
const PACKET_SOURCE_DESCRIPTION: u8 = 202;
const PACKET_BYE: u8 = 203;
const ITEM_CNAME: u8 = 1;

/// Contents of a sender report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) ssrc: u32,
    /// Capture time of `timestamp`.
    pub(super) wall: WallTime,
    pub(super) timestamp: u32,
    pub(super) packets: u32,
    pub(super) payload_bytes: u32,
}

/// A compound packet: sender report without reception blocks, then the CNAME that every compound
/// packet must have (RFC 3550 section 6.1). Both tracks share one CNAME, which lets a client
/// synchronise them.
pub(super) fn build(report: &Report) -> Vec<u8> {
    let mut out = Vec::with_capacity(56);
    // Lengths count 32-bit words without the first one.
    out.extend_from_slice(&[0x80, PACKET_SENDER_REPORT, 0, 6]);
    out.extend_from_slice(&report.ssrc.to_be_bytes());
    out.extend_from_slice(&to_ntp(report.wall).to_be_bytes());
    out.extend_from_slice(&report.timestamp.to_be_bytes());
    out.extend_from_slice(&report.packets.to_be_bytes());
    out.extend_from_slice(&report.payload_bytes.to_be_bytes());
    push_description(&mut out, report.ssrc);
    out
}

/// The source leaves: an empty receiver report, the CNAME, BYE (RFC 3550 sections 6.1 and 6.6).
pub(super) fn build_bye(ssrc: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(40);
    out.extend_from_slice(&[0x80, PACKET_RECEIVER_REPORT, 0, 1]);
    out.extend_from_slice(&ssrc.to_be_bytes());
    push_description(&mut out, ssrc);
    out.extend_from_slice(&[0x81, PACKET_BYE, 0, 1]);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out
}

fn push_description(out: &mut Vec<u8>, ssrc: u32) {
    let cname = b"framewell";
    let item_bytes = (2 + cname.len() + 1).next_multiple_of(4);
    let words = u8::try_from(1 + item_bytes / 4).expect("the CNAME is short");
    out.extend_from_slice(&[0x81, PACKET_SOURCE_DESCRIPTION, 0, words]);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&[
        ITEM_CNAME,
        u8::try_from(cname.len()).expect("the CNAME is short"),
    ]);
    out.extend_from_slice(cname);
    let padding = item_bytes - 2 - cname.len();
    out.resize(out.len() + padding, 0);
}

/// 32.32 fixed point seconds since 1900, rounded up, so that [`WallTime::from_ntp`] (which rounds
/// down) gives back the same microsecond. Wraps into era 1 in 2036.
pub(super) fn to_ntp(wall: WallTime) -> u64 {
    let micros = wall.micros().rem_euclid(1_000_000) as u64;
    let seconds = (wall.secs() + NTP_TO_UNIX_S).rem_euclid(1 << 32) as u64;
    (seconds << 32) | (micros << 32).div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packet_lengths_say_what_follows() {
        let bytes = build(&Report {
            ssrc: 7,
            wall: WallTime::from_secs(1_700_000_000),
            timestamp: 90_000,
            packets: 3,
            payload_bytes: 4_000,
        });
        let first = 4 * (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) + 1);
        assert_eq!(first, 28);
        let second = 4 * (usize::from(u16::from_be_bytes([bytes[30], bytes[31]])) + 1);
        assert_eq!(first + second, bytes.len());
        assert_eq!(&bytes[38..47], b"framewell");
    }

    proptest! {
        #[test]
        fn wall_time_survives_ntp(micros in 0i64..4_000_000_000_000_000) {
            let wall = WallTime::from_micros(micros);
            prop_assert_eq!(WallTime::from_ntp(to_ntp(wall)), wall);
        }
    }
}
