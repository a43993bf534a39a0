//! AAC (RFC 3640, mode `AAC-hbr`: sizes in 13 bits, indices in 3).

use super::{Clock, Frame, Output, Packet};
use bytes::{Bytes, BytesMut};

/// Samples of an AAC frame (ISO/IEC 14496-3 section 4.5.1.1).
const SAMPLES: i64 = 1_024;
/// AAC frames of one packet: a packet of 64 KiB with sizes of two bytes has no more than this.
const MAX_FRAMES: usize = 256;

/// Takes the packets of an AAC stream apart.
#[derive(Debug, Default)]
pub struct AacDepacketizer {
    clock: Clock,
    /// A frame in several packets: its size, and what has come.
    open: Option<(usize, BytesMut)>,
}

impl AacDepacketizer {
    /// Takes in the next packet.
    pub fn push(&mut self, packet: &Packet) -> Output {
        let mut output = Output::default();
        let Some(missing) = self.clock.missing_before(packet.sequence) else {
            return output;
        };
        output.lost = missing;
        if missing > 0 {
            self.open = None;
        }
        let ticks = self.clock.place(packet.timestamp);
        match frames(&packet.payload) {
            Some((sizes, data)) => self.take(ticks, &sizes, &data, &mut output),
            None => output.lost += 1,
        }
        output
    }

    /// An RTP time on the clock of the frames.
    pub fn place(&mut self, timestamp: u32) -> i64 {
        self.clock.place(timestamp)
    }

    fn take(&mut self, ticks: i64, sizes: &[usize], data: &Bytes, output: &mut Output) {
        if let [size] = *sizes
            && size > data.len()
        {
            // A fragment; each has the header with the whole size (RFC 3640 section 3.2.3.2).
            let (whole, mut body) = self.open.take().unwrap_or_default();
            if whole != size {
                body.clear();
            }
            body.extend_from_slice(data);
            if body.len() < size {
                self.open = Some((size, body));
            } else {
                body.truncate(size);
                output.frames.push(Frame {
                    ticks,
                    data: body.freeze(),
                });
            }
            return;
        }
        let mut at = 0;
        for (index, size) in (0..).zip(sizes) {
            let Some(end) = at_most(at + size, data.len()) else {
                output.lost += 1;
                return;
            };
            output.frames.push(Frame {
                ticks: ticks + index * SAMPLES,
                data: data.slice(at..end),
            });
            at = end;
        }
    }
}

const fn at_most(value: usize, limit: usize) -> Option<usize> {
    if value <= limit { Some(value) } else { None }
}

/// The sizes of the header section, and the bytes behind it.
fn frames(payload: &Bytes) -> Option<(Vec<usize>, Bytes)> {
    let bits = usize::from(u16::from_be_bytes(payload.get(..2)?.try_into().ok()?));
    let end = 2 + bits.div_ceil(8);
    let headers = payload.get(2..end)?;
    if bits % 16 != 0 || headers.len() / 2 > MAX_FRAMES {
        return None;
    }
    let size = |header: &[u8]| usize::from(u16::from_be_bytes([header[0], header[1]]) >> 3);
    Some((
        headers.chunks_exact(2).map(size).collect(),
        payload.slice(end..),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(sequence: u16, timestamp: u32, payload: &[u8]) -> Packet {
        Packet {
            is_marked: true,
            payload_type: 97,
            sequence,
            timestamp,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    #[test]
    fn several_frames_of_a_packet_follow_one_another() {
        let mut stream = AacDepacketizer::default();
        let frames = stream
            .push(&packet(1, 5_000, b"\0\x20\0\x18\0\x10abcde"))
            .frames;
        assert_eq!((&frames[0].data[..], frames[0].ticks), (&b"abc"[..], 5_000));
        assert_eq!((&frames[1].data[..], frames[1].ticks), (&b"de"[..], 6_024));
    }

    #[test]
    fn a_frame_in_several_packets_is_put_together() {
        let mut stream = AacDepacketizer::default();
        assert!(
            stream
                .push(&packet(1, 7, b"\0\x10\0\x30abc"))
                .frames
                .is_empty()
        );
        let frames = stream.push(&packet(2, 7, b"\0\x10\0\x30def")).frames;
        assert_eq!(&frames[0].data[..], b"abcdef");
    }

    #[test]
    fn headers_that_promise_too_much_are_refused() {
        let mut stream = AacDepacketizer::default();
        for payload in [
            &b""[..],
            b"\0",
            b"\0\x20\0\x18",
            b"\0\x0d\0\x18abc",
            b"\0\x20\0\x18\0\x90abc",
        ] {
            let output = stream.push(&packet(1, 0, payload));
            stream.clock = Clock::default();
            assert!(output.lost == 1, "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn any_payloads_are_read_without_panic(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut stream = AacDepacketizer::default();
            for (sequence, payload) in (0..).zip(payloads) {
                stream.push(&packet(sequence, 0, &payload));
            }
        }
    }
}
