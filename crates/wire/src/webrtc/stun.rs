//! As much of STUN (RFC 8489) as telling whose session a datagram belongs to takes. Sans-IO.

/// Bytes of a header (RFC 8489 section 5).
const HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const ATTRIBUTE_USERNAME: u16 = 0x0006;
/// Longest user name looked at: ours has 16 to 32 characters, a browser's some more.
const MAX_USERNAME: usize = 512;

/// Whether a datagram is a STUN message; DTLS and RTP begin with other bytes (RFC 7983 section 7).
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 4 && datagram[4..8] == MAGIC_COOKIE
}

/// The user name fragment that this server gave out, of a request that names one: what stands before
/// the colon of `USERNAME` (RFC 8445 section 7.2.2). Whether the request is genuine is not looked at.
pub fn local_fragment(datagram: &[u8]) -> Option<&str> {
    if !is_stun(datagram) {
        return None;
    }
    let mut rest = &datagram[HEADER..];
    while let [kind_high, kind_low, length_high, length_low, tail @ ..] = rest {
        let kind = u16::from_be_bytes([*kind_high, *kind_low]);
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        let value = tail.get(..length)?;
        if kind == ATTRIBUTE_USERNAME {
            let name = std::str::from_utf8(value.get(..length.min(MAX_USERNAME))?).ok()?;
            return name.split_once(':').map(|(local, _)| local);
        }
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(username: &str) -> Vec<u8> {
        let mut attribute = vec![0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        attribute.extend_from_slice(&[0, 6]);
        attribute.extend_from_slice(&u16::try_from(username.len()).unwrap().to_be_bytes());
        attribute.extend_from_slice(username.as_bytes());
        attribute.resize(attribute.len().next_multiple_of(4), 0);
        let mut message = vec![0, 1];
        message.extend_from_slice(&u16::try_from(attribute.len()).unwrap().to_be_bytes());
        message.extend_from_slice(&MAGIC_COOKIE);
        message.extend_from_slice(&[7; 12]);
        message.extend_from_slice(&attribute);
        message
    }

    #[test]
    fn the_name_before_the_colon_is_ours() {
        assert_eq!(local_fragment(&request("here:there")), Some("here"));
        assert_eq!(local_fragment(&request("here")), None);
        assert_eq!(local_fragment(&request("")), None);
    }

    #[test]
    fn dtls_and_rtp_are_no_stun() {
        let mut datagram = request("here:there");
        for first in [20, 63, 128, 191] {
            datagram[0] = first;
            assert!(!is_stun(&datagram));
        }
    }

    #[test]
    fn a_message_that_is_cut_off_names_nobody() {
        let whole = request("here:there");
        for length in 0..whole.len() - 2 {
            assert_eq!(local_fragment(&whole[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_datagram_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            local_fragment(&bytes);
            let mut message = request("a:b");
            message.truncate(HEADER);
            message.extend_from_slice(&bytes);
            local_fragment(&message);
        }
    }
}
