//! Session descriptions (RFC 8866) of live channels and recordings.

use super::uri::Target;
use crate::rtp::{AudioPayload, PAYLOAD_VIDEO};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use framewell_media::{AudioCodec, StreamParameters, TrackKind, VideoCodec, VideoParameters};
use sdp_types::{
    AddrType, Attribute, Connection, Media, MediaType, NetType, Origin, Session, Time,
    TransportProto,
};
use std::fmt::Write;
use url::Url;

/// Describes the stream for a client that asked at `base`; `ranges` are values of `a=range`, the one
/// that most clients know first (RFC 2326 appendix C.1.5).
pub(crate) fn describe(base: &Url, parameters: &StreamParameters, ranges: &[String]) -> Vec<u8> {
    let mut session = Session::new(
        Origin::new("0", 0, NetType::In, AddrType::Ip4, "0.0.0.0"),
        "Framewell",
    );
    session.connection = Some(Connection::new(NetType::In, AddrType::Ip4, "0.0.0.0"));
    session.times = vec![Time {
        start_time: 0,
        stop_time: 0,
        repeats: Vec::new(),
    }];
    session.attributes = vec![attribute("control", "*")];
    let ranges = ranges.iter().map(|range| attribute("range", range));
    session.attributes.extend(ranges);
    session.medias.push(video_media(base, &parameters.video));
    if let Some(audio) = &parameters.audio {
        let payload = AudioPayload {
            parameters: audio.clone(),
        };
        session.medias.push(audio_media(base, &payload));
    }
    let mut out = Vec::new();
    session
        .write(&mut out)
        .expect("writing into memory does not fail");
    out
}

fn video_media(base: &Url, video: &VideoParameters) -> Media {
    let mut media = Media::new(MediaType::Video, 0, TransportProto::RtpAvp, PAYLOAD_VIDEO);
    let (name, format) = match video.codec {
        VideoCodec::H264 => ("H264", h264_format(video)),
        VideoCodec::H265 => ("H265", h265_format(video)),
    };
    media.attributes = vec![
        attribute("rtpmap", format!("{PAYLOAD_VIDEO} {name}/90000")),
        attribute("fmtp", format!("{PAYLOAD_VIDEO} {format}")),
        attribute(
            "framesize",
            format!("{PAYLOAD_VIDEO} {}-{}", video.width, video.height),
        ),
        attribute("control", Target::control_url(base, TrackKind::Video)),
    ];
    media
}

/// RFC 6184 section 8.1.
fn h264_format(video: &VideoParameters) -> String {
    let sets = video.parameter_sets();
    let mut text = String::from("packetization-mode=1");
    // Profile, constraints and level are bytes 1 to 3 of the SPS.
    if let Some(profile) = sets.first().and_then(|sps| sps.get(1..4)) {
        text.push_str(";profile-level-id=");
        push_hex(&mut text, profile);
    }
    let encoded: Vec<_> = sets.iter().map(|set| STANDARD.encode(set)).collect();
    text.push_str(";sprop-parameter-sets=");
    text.push_str(&encoded.join(","));
    text
}

/// RFC 7798 section 7.1.
fn h265_format(video: &VideoParameters) -> String {
    let sets = video.parameter_sets();
    let of_type = |kind: u8| -> String {
        let matching = |set: &&Bytes| set.first().is_some_and(|byte| (byte >> 1) & 0x3f == kind);
        let encoded: Vec<_> = sets
            .iter()
            .filter(matching)
            .map(|set| STANDARD.encode(set))
            .collect();
        encoded.join(",")
    };
    format!(
        "sprop-vps={};sprop-sps={};sprop-pps={}",
        of_type(32),
        of_type(33),
        of_type(34)
    )
}

fn audio_media(base: &Url, payload: &AudioPayload) -> Media {
    let number = payload.payload_type();
    let audio = &payload.parameters;
    let mut media = Media::new(MediaType::Audio, 0, TransportProto::RtpAvp, number);
    let name = match audio.codec {
        AudioCodec::Aac => "MPEG4-GENERIC",
        AudioCodec::Pcmu => "PCMU",
        AudioCodec::Pcma => "PCMA",
        AudioCodec::Opus => "opus",
    };
    // Opus is announced with two channels whatever it carries (RFC 7587 section 7).
    let channels = match audio.codec {
        AudioCodec::Opus => 2,
        _ => audio.channels,
    };
    let map = format!("{number} {name}/{}/{channels}", audio.sample_rate);
    media.attributes.push(attribute("rtpmap", map));
    if audio.codec == AudioCodec::Aac {
        // RFC 3640 section 3.3.6.
        let mut format = format!(
            "{number} streamtype=5;profile-level-id=1;mode=AAC-hbr;\
             sizelength=13;indexlength=3;indexdeltalength=3;config="
        );
        push_hex(&mut format, &audio.config);
        media.attributes.push(attribute("fmtp", format));
    }
    let control = Target::control_url(base, TrackKind::Audio);
    media.attributes.push(attribute("control", control));
    media
}

fn attribute(name: &str, value: impl ToString) -> Attribute {
    Attribute::with_value(name, value)
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing into a string does not fail");
    }
}
