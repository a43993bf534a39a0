//! Short things that are written here: datagrams, messages, tokens.

use crate::{framed, save};
use framewell_fuzz::token::{KEY, NOW, SCOPE};
use framewell_model::{AccountId, ClipShareId, Holder, TokenSerial};
use framewell_token::{
    ClipShareToken, Endpoint, GroupEnvelope, ShareToken, clip_share_token, license_key,
    media_ticket, share_token,
};
use std::io;

pub(crate) fn make() -> io::Result<()> {
    datagrams()?;
    messages()?;
    tokens()
}

/// A STUN request (RFC 8489 section 5) with an attribute before the user name, DTLS, RTP; one by one and framed.
fn datagrams() -> io::Result<()> {
    let mut stun = vec![0, 1, 0, 24, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([7; 12]);
    stun.extend(*b"\x80\x22\0\x03abc\0");
    stun.extend(*b"\0\x06\0\x0ahere:there\0\0");
    let dtls = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4];
    let rtp = [0x80, 96, 0, 1, 0, 0, 0, 9, 1, 1, 1, 1, 5, 5, 5];
    save("stun_demux", "stun", &stun)?;
    let all = framed([&stun[..], &dtls, &[], &rtp].into_iter());
    save("stun_demux", "framed", &all)
}

fn messages() -> io::Result<()> {
    for (name, text) in [
        (
            "seek",
            r#"{"seek":"2026-11-23T15:00:00.5Z","speed":2,"pause":false}"#,
        ),
        ("live", r#"{"live":true,"pause":true}"#),
        ("speed", r#"{"speed":0.5}"#),
        ("hello", "HELLO 7 player"),
        (
            "answer",
            r#"{"from":"x","sdp":{"type":"answer","sdp":"v=0\r\no=- 0 0 IN IP4 1.2.3.4\r\n"}}"#,
        ),
        (
            "ice",
            r#"{"ice":{"candidate":"candidate:1 1 udp 1 1.2.3.4 5 typ host","sdpMLineIndex":0}}"#,
        ),
    ] {
        save("signalling", name, text.as_bytes())?;
    }
    let offer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 99 100\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
        a=fmtp:97 apt=96\r\na=rtpmap:99 H264/90000\r\n\
        a=fmtp:99 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
        a=rtpmap:100 rtx/90000\r\na=fmtp:100 apt=99\r\na=rtpmap:45 H265/90000\r\n";
    save("sdp", "offer", offer.as_bytes())
}

fn tokens() -> io::Result<()> {
    let serial = TokenSerial::new(12).expect("positive");
    let share = ShareToken {
        serial,
        created: NOW,
        lifetime_s: 3_600,
    };
    let clip_share = ClipShareToken {
        share: ClipShareId::new(7).expect("positive"),
        created: NOW,
        lifetime_s: 3_600,
    };
    let account = AccountId::new(3).expect("positive");
    let holder = Holder {
        account,
        serial: Some(serial),
    };
    let expire = NOW.plus_micros(60_000_000);
    let share = share_token(&KEY, share);
    let endpoint = Endpoint {
        host: String::from("cam.example"),
        http_port: Some(80),
        https_port: None,
    };
    let token = share.clone();
    let envelope = GroupEnvelope { token, endpoint };
    save("token", "envelope", envelope.encode().as_bytes())?;
    for (name, text) in [
        ("license", license_key(&KEY, serial)),
        ("ticket", media_ticket(&KEY, holder, SCOPE, expire)),
        ("share", share),
        ("clip_share", clip_share_token(&KEY, clip_share)),
    ] {
        save("token", name, text.as_bytes())?;
    }
    Ok(())
}
