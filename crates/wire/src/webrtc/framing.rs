//! Datagrams on a stream: each behind its length in two bytes (RFC 4571 section 2, RFC 6544 section
//! 10.1). Sans-IO.

use bytes::{Buf, Bytes, BytesMut};

/// Longest datagram taken; browsers send at most what fits an Ethernet frame.
const MAX_DATAGRAM: usize = 4 << 10;

/// A frame longer than any datagram that belongs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes, more than {MAX_DATAGRAM}")]
pub struct TooLong(usize);

/// Cuts a stream into datagrams.
#[derive(Debug, Default)]
pub struct Unframer {
    buffer: BytesMut,
}

impl Unframer {
    /// Where received bytes go; it holds at most one datagram and one read.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole datagram. Empty ones are passed over.
    pub fn take(&mut self) -> Result<Option<Bytes>, TooLong> {
        loop {
            let Some(&[high, low]) = self.buffer.first_chunk() else {
                return Ok(None);
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length > MAX_DATAGRAM {
                return Err(TooLong(length));
            }
            if self.buffer.len() < 2 + length {
                return Ok(None);
            }
            self.buffer.advance(2);
            if length > 0 {
                return Ok(Some(self.buffer.split_to(length).freeze()));
            }
        }
    }
}

/// Appends a datagram as it goes on a stream; one of 64 KiB or more is left out.
pub fn frame(out: &mut Vec<u8>, datagram: &[u8]) {
    if let Ok(length) = u16::try_from(datagram.len()) {
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(datagram);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_of_64_kib_is_refused_before_it_is_read() {
        let mut unframer = Unframer::default();
        unframer.buffer().extend_from_slice(&[0xff, 0xff]);
        assert_eq!(unframer.take(), Err(TooLong(65_535)));
    }

    proptest! {
        #[test]
        fn datagrams_come_back_however_the_stream_is_cut(
            datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8),
            cut in 1usize..50,
        ) {
            let mut wire = Vec::new();
            for datagram in &datagrams {
                frame(&mut wire, datagram);
                frame(&mut wire, &[]);
            }
            let mut unframer = Unframer::default();
            let mut read = Vec::new();
            for chunk in wire.chunks(cut) {
                unframer.buffer().extend_from_slice(chunk);
                while let Some(datagram) = unframer.take().unwrap() {
                    read.push(datagram.to_vec());
                }
            }
            prop_assert_eq!(read, datagrams);
        }
    }
}
