//! Datagrams of WebRTC, by UDP one by one and by TCP behind their lengths: whose are they?

use crate::{split::pieces, within};
use bytes::Bytes;
use framewell_wire::webrtc::framing::{TooLong, Unframer, frame};
use framewell_wire::webrtc::stun::{is_stun, local_fragment};

pub fn run(data: &[u8]) {
    check_datagram(data);
    let most = (64 << 10) + 64 * data.len();
    let (whole, error) = within(most, || unframe([data].into_iter()));
    assert_eq!(
        within(most, || unframe(pieces(data))),
        (whole.clone(), error)
    );
    let mut framed = Vec::new();
    for datagram in &whole {
        check_datagram(datagram);
        frame(&mut framed, datagram);
    }
    assert_eq!(unframe([&framed[..]].into_iter()), (whole, None));
}

/// A name is part of the datagram that it is taken from, and has no colon.
fn check_datagram(data: &[u8]) {
    let Some(name) = local_fragment(data) else {
        return;
    };
    assert!(is_stun(data) && !name.contains(':'));
    let with_colon = [name.as_bytes(), b":"].concat();
    let mut places = data.windows(with_colon.len());
    assert!(places.any(|place| place == with_colon));
}

fn unframe<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Bytes>, Option<TooLong>) {
    let mut unframer = Unframer::default();
    let mut found = Vec::new();
    for piece in pieces {
        unframer.buffer().extend_from_slice(piece);
        loop {
            match unframer.take() {
                Ok(Some(datagram)) => found.push(datagram),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}
