//! The handshake (RTMP 1.0 section 5.2): a version and 1,536 bytes from each side, sent back by the other.

use super::ProtocolError;
use bytes::{Buf, BytesMut};

/// C1, S1, C2 and S2 (RTMP 1.0 sections 5.2.3 and 5.2.4).
const PACKET: usize = 1_536;
const VERSION: u8 = 3;

/// The server's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// C0 and C1 are missing. S1 will be filled with this.
    Waiting(u64),
    /// C2 is missing.
    Answered,
    /// Messages follow.
    Done,
}

impl Handshake {
    /// `random` is what S1 is filled with.
    pub const fn new(random: u64) -> Self {
        Self::Waiting(random)
    }

    /// Takes what it needs from `input` and writes answers. True when the handshake is over.
    ///
    /// # Errors
    /// A version that is not spoken here.
    pub fn advance(
        &mut self,
        input: &mut BytesMut,
        output: &mut Vec<u8>,
    ) -> Result<bool, ProtocolError> {
        if let Self::Waiting(random) = *self {
            match input.first() {
                Some(&VERSION) => {}
                Some(&version) => return Err(ProtocolError::Version(version)),
                None => return Ok(false),
            }
            if input.len() < 1 + PACKET {
                return Ok(false);
            }
            input.advance(1);
            let client = input.split_to(PACKET);
            output.push(VERSION);
            // S1: time zero, four zero bytes, and random ones, which here need not be: they only tell
            // apart connections that somebody mixes up.
            let filling = random.to_be_bytes();
            output.extend([0; 8]);
            output.extend(filling.iter().cycle().take(PACKET - 8));
            // S2 repeats C1.
            output.extend_from_slice(&client);
            *self = Self::Answered;
        }
        if *self == Self::Answered {
            if input.len() < PACKET {
                return Ok(false);
            }
            // C2 repeats S1; clients that fill it otherwise work everywhere, and so here.
            input.advance(PACKET);
            *self = Self::Done;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_gets_its_bytes_back_whatever_way_they_come() {
        let mut sent = vec![3];
        sent.extend((0..PACKET).map(|at| u8::try_from(at % 251).unwrap()));
        let c2 = [7; PACKET];
        sent.extend(c2);
        sent.push(99);
        for piece in [1, 100, 5_000] {
            let (mut handshake, mut output) = (Handshake::new(5), Vec::new());
            let mut input = BytesMut::new();
            let mut is_done = false;
            for bytes in sent.chunks(piece) {
                input.extend_from_slice(bytes);
                is_done = handshake.advance(&mut input, &mut output).unwrap();
            }
            assert!(is_done);
            assert_eq!(&input[..], &[99]);
            assert_eq!(output.len(), 1 + 2 * PACKET);
            assert_eq!(output[0], 3);
            assert_eq!(output[1 + PACKET..], sent[1..1 + PACKET]);
        }
    }

    #[test]
    fn other_protocols_are_refused_at_the_first_byte() {
        for first in [b'G', 6, 0x16] {
            let mut input = BytesMut::from(&[first][..]);
            let refused = Handshake::new(5).advance(&mut input, &mut Vec::new());
            assert_eq!(refused, Err(ProtocolError::Version(first)));
        }
    }
}
