//! The RTP header (RFC 3550 section 5.1).

use bytes::Bytes;

/// A packet without its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Ends an access unit of pictures.
    pub is_marked: bool,
    /// What the session description says about it.
    pub payload_type: u8,
    /// Counts packets, modulo 2^16.
    pub sequence: u16,
    /// In the clock of the payload, modulo 2^32.
    pub timestamp: u32,
    /// Without padding.
    pub payload: Bytes,
}

impl Packet {
    /// `None` for what is no RTP packet.
    pub fn parse(data: &Bytes) -> Option<Self> {
        let [first, second, ..] = *data.get(..12)? else {
            return None;
        };
        if first >> 6 != 2 {
            return None;
        }
        let mut start = 12 + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            // An extension: its length in words is in its second half.
            let words = data.get(start + 2..start + 4)?;
            start += 4 + 4 * usize::from(u16::from_be_bytes(words.try_into().ok()?));
        }
        let mut end = data.len();
        if first & 0x20 != 0 {
            end = end.checked_sub(usize::from(*data.last()?))?;
        }
        if start > end {
            return None;
        }
        Some(Self {
            is_marked: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes(data[2..4].try_into().ok()?),
            timestamp: u32::from_be_bytes(data[4..8].try_into().ok()?),
            payload: data.slice(start..end),
        })
    }
}

/// Order and time of one stream: how many packets are missing, and times without their wrap.
#[derive(Debug, Default)]
pub struct Clock {
    next: Option<u16>,
    newest: Option<i64>,
}

impl Clock {
    /// Packets missing before this one; `None` for one that came late or twice.
    pub fn missing_before(&mut self, sequence: u16) -> Option<u64> {
        /// Further back than this a stream has begun anew.
        const LATE: u16 = 1_000;
        let missing = match self.next {
            None => 0,
            Some(next) => sequence.wrapping_sub(next),
        };
        if missing > u16::MAX - LATE {
            return None;
        }
        self.next = Some(sequence.wrapping_add(1));
        Some(missing.into())
    }

    /// The time, unwrapped near the newest.
    pub fn place(&mut self, timestamp: u32) -> i64 {
        let placed = match self.newest {
            None => i64::from(timestamp),
            Some(newest) => {
                let low = u32::try_from(newest.rem_euclid(1 << 32)).expect("a remainder of 2^32");
                newest + i64::from(timestamp.wrapping_sub(low).cast_signed())
            }
        };
        self.newest = Some(placed);
        placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extensions_sources_and_padding_are_no_payload() {
        let mut bytes = vec![0xb1, 0xe0, 0, 7, 0, 0, 0, 9, 1, 1, 1, 1];
        bytes.extend([2; 4]);
        bytes.extend([0xbe, 0xde, 0, 1, 3, 3, 3, 3]);
        bytes.extend(*b"load\0\0\x03");
        let packet = Packet::parse(&bytes.into()).unwrap();
        assert_eq!(&packet.payload[..], b"load");
        assert!(packet.is_marked);
        assert_eq!(
            (packet.payload_type, packet.sequence, packet.timestamp),
            (96, 7, 9)
        );
    }

    #[test]
    fn order_and_time_survive_their_wrap() {
        let mut clock = Clock::default();
        assert_eq!(clock.missing_before(65_534), Some(0));
        assert_eq!(clock.missing_before(1), Some(2));
        assert_eq!(clock.missing_before(1), None);
        assert_eq!(clock.place(u32::MAX), 0xffff_ffff);
        assert_eq!(clock.place(4), 0x1_0000_0004);
        assert_eq!(clock.place(0), 0x1_0000_0000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            Packet::parse(&bytes.into());
        }
    }
}
