//! The session description of a camera (RFC 8866; payload formats: RFC 6184 section 8.2.1, RFC 7798
//! section 7.2.2, RFC 3640 section 4.1, RFC 3551).

use super::control::Faults;
use super::packet::{METADATA_PAYLOAD_TYPE, payload_type};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framewell_media::{AudioCodec, AudioParameters, StreamParameters, TrackKind, VideoCodec};
use framewell_media::{VideoParameters, nal};
use sdp_types::builders;
use sdp_types::{AddrType, Media, MediaType, NetType, Origin, Session, TransportProto};
use std::fmt::Write as _;

/// Control name of a track, relative to the content base.
pub(super) const fn control(track: TrackKind) -> &'static str {
    match track {
        TrackKind::Video => "trackID=0",
        TrackKind::Audio => "trackID=1",
    }
}

/// Control name of the metadata track.
pub(super) const METADATA_CONTROL: &str = "trackID=2";

/// Describes the tracks, not always truly.
pub(super) fn describe(parameters: &StreamParameters, faults: &Faults) -> Vec<u8> {
    let origin = Origin::new("1", 1, NetType::In, AddrType::Ip4, "127.0.0.1");
    let mut session = Session::new(origin, "camera");
    let announced = faults.announced_codec.as_deref();
    session.medias.push(video(&parameters.video, announced));
    if let Some(audio) = &parameters.audio {
        session.medias.push(self::audio(audio));
    }
    if faults.offers_metadata {
        session.medias.push(metadata());
    }
    let mut text = Vec::new();
    session
        .write(&mut text)
        .expect("writing to a Vec cannot fail");
    text
}

fn media(kind: MediaType, track: TrackKind, payload: u8) -> builders::Media {
    Media::builder(kind, 0, TransportProto::RtpAvp, payload)
        .attribute_with_value("control", control(track))
}

/// ONVIF Streaming Specification section 5.1.2.1.1.
fn metadata() -> Media {
    let payload = METADATA_PAYLOAD_TYPE;
    Media::builder(MediaType::Application, 0, TransportProto::RtpAvp, payload)
        .attribute_with_value("control", METADATA_CONTROL)
        .attribute_with_value("rtpmap", format!("{payload} vnd.onvif.metadata/90000"))
        .build()
}

fn video(parameters: &VideoParameters, announced: Option<&str>) -> Media {
    let payload = payload_type(TrackKind::Video, None);
    let media = media(MediaType::Video, TrackKind::Video, payload);
    if let Some(name) = announced {
        return media
            .attribute_with_value("rtpmap", format!("{payload} {name}/90000"))
            .build();
    }
    let (name, format) = match parameters.codec {
        VideoCodec::H264 => ("H264", h264_format(parameters)),
        VideoCodec::H265 => ("H265", h265_format(parameters)),
    };
    media
        .attribute_with_value("rtpmap", format!("{payload} {name}/90000"))
        .attribute_with_value("fmtp", format!("{payload} {format}"))
        .build()
}

fn h264_format(parameters: &VideoParameters) -> String {
    let sets = parameters.parameter_sets();
    let mut format = String::from("packetization-mode=1");
    if let Some([_, profile, constraints, level, ..]) = sets.first().map(AsRef::as_ref) {
        let id = [*profile, *constraints, *level];
        format.push_str(&format!(";profile-level-id={}", hex(&id)));
    }
    let sets: Vec<String> = sets.iter().map(|set| STANDARD.encode(set)).collect();
    format.push_str(&format!(";sprop-parameter-sets={}", sets.join(",")));
    format
}

fn h265_format(parameters: &VideoParameters) -> String {
    let sets = parameters.parameter_sets();
    let named = sets.iter().filter_map(|set| {
        let name = match set.first()? >> 1 & 0x3f {
            32 => "sprop-vps",
            33 => "sprop-sps",
            34 => "sprop-pps",
            _ => return None,
        };
        debug_assert_eq!(nal::kind(VideoCodec::H265, set), nal::NalKind::ParameterSet);
        Some(format!("{name}={}", STANDARD.encode(set)))
    });
    named.collect::<Vec<_>>().join(";")
}

fn audio(parameters: &AudioParameters) -> Media {
    let payload = payload_type(TrackKind::Audio, Some(parameters.codec));
    let rate = parameters.sample_rate;
    let channels = parameters.channels;
    let media = media(MediaType::Audio, TrackKind::Audio, payload);
    match parameters.codec {
        AudioCodec::Pcmu => media
            .attribute_with_value("rtpmap", format!("{payload} PCMU/{rate}"))
            .build(),
        AudioCodec::Pcma => media
            .attribute_with_value("rtpmap", format!("{payload} PCMA/{rate}"))
            .build(),
        AudioCodec::Opus => media
            .attribute_with_value("rtpmap", format!("{payload} opus/{rate}/2"))
            .build(),
        AudioCodec::Aac => media
            .attribute_with_value(
                "rtpmap",
                format!("{payload} mpeg4-generic/{rate}/{channels}"),
            )
            .attribute_with_value(
                "fmtp",
                format!(
                    "{payload} streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;\
                     indexlength=3;indexdeltalength=3;config={}",
                    hex(&parameters.config)
                ),
            )
            .build(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
