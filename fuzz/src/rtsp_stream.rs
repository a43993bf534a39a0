//! What a client of RTSP sends: requests and interleaved packets.

use crate::{split::pieces, within};
use framewell_wire::rtsp::wire::{Decoder, Incoming, WireError};

/// Where the bytes are cut makes no difference to what is read, and nothing is kept beyond the limits.
pub fn run(data: &[u8]) {
    let whole = within((256 << 10) + 64 * data.len(), || read([data].into_iter()));
    let cut = within((256 << 10) + 64 * data.len(), || read(pieces(data)));
    assert_eq!(whole, cut);
}

pub(crate) fn read<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Incoming>, Option<WireError>) {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for piece in pieces {
        decoder.buffer().extend_from_slice(piece);
        loop {
            match decoder.take() {
                Ok(Some(incoming)) => found.push(incoming),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}
