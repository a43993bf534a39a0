//! The `Transport` header (RFC 2326 section 12.39), as far as unicast play needs it.
//!
//! Read here and not with `rtsp_types::headers::Transports`, whose parser panics on some hostile
//! values (a lone quote as `mode`, a lone backslash as `dest_addr`).

/// How a client wants the packets of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Over the RTSP connection, RTP under this channel number and RTCP under the next one; or under any.
    Interleaved(Option<u8>),
    /// Over UDP, to these ports of the client's address.
    Udp {
        /// Of packets.
        rtp: u16,
        /// Of reports.
        rtcp: u16,
    },
}

/// The first alternative that this server can do.
pub fn choose(header: &str, has_udp: bool) -> Option<Transport> {
    let mut alternatives = header.split(',').filter_map(parse_alternative);
    alternatives.find(|one| has_udp || matches!(one, Transport::Interleaved(_)))
}

fn parse_alternative(text: &str) -> Option<Transport> {
    let mut parts = text.split(';').map(str::trim);
    let protocol = parts.next()?.to_ascii_uppercase();
    let is_udp = match protocol.as_str() {
        "RTP/AVP/TCP" => false,
        "RTP/AVP" | "RTP/AVP/UDP" => true,
        _ => return None,
    };
    let mut channel = None;
    let mut ports = None;
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "interleaved" => channel = Some(parse_channels(value)?),
            "client_port" => ports = Some(parse_ports(value)?),
            "mode" if !value.trim_matches('"').eq_ignore_ascii_case("play") => return None,
            "multicast" => return None,
            // `destination` is read past: packets go to the address that the requests come from.
            _ => {}
        }
    }
    if !is_udp {
        return Some(Transport::Interleaved(channel));
    }
    ports.map(|(rtp, rtcp)| Transport::Udp { rtp, rtcp })
}

/// The channel number of RTP for a stream that the client sends, or none in particular: the first
/// interleaved alternative. `mode` is not looked at: the method says what is meant.
pub fn choose_record(header: &str) -> Option<Option<u8>> {
    header.split(',').find_map(|text| {
        let mut parts = text.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("RTP/AVP/TCP") {
            return None;
        }
        let members = parts.filter_map(|part| part.split_once('='));
        let mut channels = members.filter(|(name, _)| name.eq_ignore_ascii_case("interleaved"));
        match channels.next() {
            Some((_, value)) => parse_channels(value).map(Some),
            None => Some(None),
        }
    })
}

/// `a` or `a-b` with `b = a + 1`.
fn parse_channels(value: &str) -> Option<u8> {
    let (first, second) = value.split_once('-').unwrap_or((value, ""));
    let first: u8 = first.trim().parse().ok()?;
    let next = first.checked_add(1)?;
    (second.is_empty() || second.trim().parse() == Ok(next)).then_some(first)
}

/// `a` or `a-b`; without `b`, RTCP goes to the next port (RFC 3550 section 11).
fn parse_ports(value: &str) -> Option<(u16, u16)> {
    let (rtp, rtcp) = value.split_once('-').unwrap_or((value, ""));
    let rtp: u16 = rtp.trim().parse().ok()?;
    let rtcp: u16 = match rtcp.trim() {
        "" => rtp.checked_add(1)?,
        rtcp => rtcp.parse().ok()?,
    };
    (rtp != 0 && rtcp != 0 && rtp != rtcp).then_some((rtp, rtcp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_alternative_that_is_served_wins() {
        let both = "RTP/AVP;unicast;client_port=4588-4589, RTP/AVP/TCP;unicast;interleaved=4-5";
        assert_eq!(choose(both, false), Some(Transport::Interleaved(Some(4))));
        let (rtp, rtcp) = (4588, 4589);
        assert_eq!(choose(both, true), Some(Transport::Udp { rtp, rtcp }));
        let any = choose("rtp/avp/tcp;unicast;mode=\"PLAY\"", true);
        assert_eq!(any, Some(Transport::Interleaved(None)));
        let lone = choose(
            "RTP/AVP/UDP;unicast;destination=10.0.0.9;client_port=4588",
            true,
        );
        assert_eq!(lone, Some(Transport::Udp { rtp, rtcp }));
    }

    #[test]
    fn what_we_do_not_serve_is_not_chosen() {
        for text in [
            "",
            "RTP/AVP;multicast;client_port=4588-4589",
            "RTP/AVP;unicast",
            "RTP/AVP;unicast;client_port=0-1",
            "RTP/AVP;unicast;client_port=65535",
            "RTP/SAVP;unicast;client_port=4588-4589",
            "RTP/AVP/TCP;multicast",
            "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record",
            "RTP/AVP/TCP;unicast;interleaved=255-256",
            "RTP/AVP/TCP;unicast;interleaved=0-2",
        ] {
            assert_eq!(choose(text, true), None, "{text}");
        }
    }

    #[test]
    fn a_stream_to_record_comes_interleaved() {
        let both = "RTP/AVP/UDP;unicast;client_port=1-2;mode=record,RTP/AVP/TCP;unicast;interleaved=2-3;mode=record";
        assert_eq!(choose_record(both), Some(Some(2)));
        assert_eq!(choose_record("RTP/AVP/TCP;unicast;mode=record"), Some(None));
        assert_eq!(choose_record("RTP/AVP/TCP;interleaved=9-11"), None);
        assert_eq!(
            choose_record("RTP/AVP;unicast;client_port=4-5;mode=record"),
            None
        );
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "\\PC{0,80}", tail in "[ -~]{0,60}") {
            choose(&text, true);
            choose(&format!("RTP/AVP/TCP;{tail}"), true);
            choose(&format!("RTP/AVP;{tail}"), true);
        }
    }
}
