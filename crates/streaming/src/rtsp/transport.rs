//! The `Transport` header (RFC 2326 section 12.39), as far as interleaved play needs it.
//!
//! Read here and not with `rtsp_types::headers::Transports`, whose parser panics on some hostile
//! values (a lone quote as `mode`, a lone backslash as `dest_addr`).

/// Interleaved channels a client asked for: RTP and RTCP, or none in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interleaved {
    pub(crate) channel: Option<u8>,
}

/// The first alternative that this server can do: RTP over the RTSP connection.
pub(crate) fn choose(header: &str) -> Option<Interleaved> {
    header.split(',').find_map(parse_alternative)
}

fn parse_alternative(text: &str) -> Option<Interleaved> {
    let mut parts = text.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("RTP/AVP/TCP") {
        return None;
    }
    let mut channel = None;
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "interleaved" => channel = Some(parse_channels(value)?),
            "mode" if !value.trim_matches('"').eq_ignore_ascii_case("play") => return None,
            "multicast" => return None,
            _ => {}
        }
    }
    Some(Interleaved { channel })
}

/// `a` or `a-b` with `b = a + 1`.
fn parse_channels(value: &str) -> Option<u8> {
    let (first, second) = value.split_once('-').unwrap_or((value, ""));
    let first: u8 = first.trim().parse().ok()?;
    let next = first.checked_add(1)?;
    (second.is_empty() || second.trim().parse() == Ok(next)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_interleaved_alternative_wins() {
        let chosen = choose("RTP/AVP;unicast;client_port=1-2, RTP/AVP/TCP;unicast;interleaved=4-5");
        assert_eq!(chosen, Some(Interleaved { channel: Some(4) }));
        let any = choose("rtp/avp/tcp;unicast;mode=\"PLAY\"");
        assert_eq!(any, Some(Interleaved { channel: None }));
    }

    #[test]
    fn what_we_do_not_serve_is_not_chosen() {
        for text in [
            "",
            "RTP/AVP;unicast;client_port=4588-4589",
            "RTP/AVP/TCP;multicast",
            "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record",
            "RTP/AVP/TCP;unicast;interleaved=255-256",
            "RTP/AVP/TCP;unicast;interleaved=0-2",
        ] {
            assert_eq!(choose(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "\\PC{0,80}", tail in "[ -~]{0,60}") {
            choose(&text);
            choose(&format!("RTP/AVP/TCP;{tail}"));
        }
    }
}
