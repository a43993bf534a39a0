//! Session descriptions: which coding goes to whom, and str0m's side of offer and answer (RFC 8829).

use super::error::Error;
use super::offer::{Format, Offer};
use framewell_media::{AudioCodec, AudioParameters, StreamParameters, VideoCodec, VideoParameters};
use std::net::SocketAddr;
use std::time::Instant;
use str0m::change::{SdpOffer, SdpPendingOffer};
use str0m::config::DtlsCert;
use str0m::format::{Codec, CodecConfig, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, TcpType};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

/// What carries pictures with B-frames, and H.265 to clients that did not offer it.
const OTHER_PROTOCOLS: &[&str] = &["HLS", "RTSP"];
/// Identifier of the capture time extension in our own offers; in answers it is the client's.
const CAPTURE_TIME_ID: u8 = 7;
/// Packets of a publisher that wait for one that is late.
const PUBLISHED_REORDERING: usize = 300;
/// Payload types of our own offers.
const OFFERED_VIDEO: u8 = 102;
const OFFERED_VIDEO_RESEND: u8 = 103;
const OFFERED_OPUS: u8 = 111;
/// Constrained Baseline 3.1: what clients of the vendor's player rewrite the offer to.
const OFFERED_H264_PROFILE: u32 = 0x42_e0_1f;

/// What a connection is made from.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) certificate: DtlsCert,
    /// Candidates, the same for UDP and TCP.
    pub(super) addresses: std::sync::Arc<[SocketAddr]>,
}

/// A connection that has been agreed on, or waits for the answer.
#[derive(Debug)]
pub(super) struct Negotiated {
    pub(super) rtc: Rtc,
    /// User name fragment and password of our side.
    pub(super) creds: IceCreds,
    /// Our description.
    pub(super) description: String,
    /// What the pictures are coded in.
    pub(super) video: VideoCodec,
    /// What the sound is coded in, if it is sent.
    pub(super) audio: Option<AudioCodec>,
    /// Our offer, until it is answered.
    pub(super) pending: Option<SdpPendingOffer>,
    /// The media of our offer.
    pub(super) offered: Vec<(Mid, MediaKind)>,
}

/// Refuses pictures that no WebRTC client shows right.
pub(super) fn check_video(video: &VideoParameters) -> Result<(), Error> {
    if video.reorder_depth == 0 {
        return Ok(());
    }
    Err(Error::Unplayable {
        reason: "the pictures have B-frames, which WebRTC clients show in the wrong order".into(),
        instead: OTHER_PROTOCOLS,
    })
}

/// Answers a client that wants to watch. Sound is sent as `opus` if that can be had and the client takes it, else as it
/// comes if the client takes that.
pub(super) fn answer_viewer(
    ground: &Ground,
    text: &str,
    parameters: &StreamParameters,
    opus: Option<&AudioParameters>,
    now: Instant,
) -> Result<Negotiated, Error> {
    let offer = Offer::read(text);
    check_video(&parameters.video)?;
    let codec = parameters.video.codec;
    let video = offer
        .video(&parameters.video)
        .ok_or_else(|| not_offered(codec, &offer))?;
    let mut sounds = opus.into_iter().chain(parameters.audio.as_ref());
    let audio = sounds.find_map(|audio| Some((audio.codec, offer.audio(audio)?)));

    let (creds, mut config) = base(ground);
    add_video(config.codec_config(), codec, video);
    if let Some((codec, format)) = audio {
        add_audio(config.codec_config(), codec, format.payload_type);
    }
    let mut rtc = build(config, ground, now)?;
    let offer = parse(text)?;
    let answer = rtc.sdp_api().accept_offer(offer).map_err(refused)?;
    Ok(Negotiated {
        rtc,
        creds,
        description: answer.to_sdp_string(),
        video: codec,
        audio: audio.map(|(codec, _)| codec),
        pending: None,
        offered: Vec::new(),
    })
}

/// Makes the offer to a client that waits for one.
pub(super) fn offer_viewer(
    ground: &Ground,
    parameters: &StreamParameters,
    opus: Option<&AudioParameters>,
    now: Instant,
) -> Result<Negotiated, Error> {
    check_video(&parameters.video)?;
    let (creds, mut config) = base(ground);
    let codec = parameters.video.codec;
    add_offered_video(config.codec_config(), codec);
    let sound = opus.or(parameters.audio.as_ref());
    let audio = sound.and_then(|audio| {
        let number = match audio.codec {
            AudioCodec::Opus => OFFERED_OPUS,
            AudioCodec::Pcmu => 0,
            AudioCodec::Pcma => 8,
            AudioCodec::Aac => return None,
        };
        let is_telephony = audio.sample_rate == 8_000 && audio.channels == 1;
        (audio.codec == AudioCodec::Opus || is_telephony).then_some((audio.codec, number))
    });
    if let Some((codec, number)) = audio {
        add_audio(config.codec_config(), codec, number);
    }
    let mut rtc = build(config, ground, now)?;
    let mut change = rtc.sdp_api();
    let stream = || Some("framewell".to_owned());
    let kinds = [Some(MediaKind::Video), audio.map(|_| MediaKind::Audio)];
    let mut offered = Vec::new();
    for kind in kinds.into_iter().flatten() {
        let mid = change.add_media(kind, Direction::SendOnly, stream(), None, None);
        offered.push((mid, kind));
    }
    let (offer, pending) = change
        .apply()
        .ok_or_else(|| Error::Failed("there is nothing to offer".into()))?;
    Ok(Negotiated {
        rtc,
        creds,
        description: offer.to_sdp_string(),
        video: codec,
        audio: audio.map(|(codec, _)| codec),
        pending: Some(pending),
        offered,
    })
}

/// Answers a client that wants to publish: everything of its offer that can be recorded.
pub(super) fn answer_publisher(
    ground: &Ground,
    text: &str,
    now: Instant,
) -> Result<Negotiated, Error> {
    let offer = Offer::read(text);
    let (creds, config) = base(ground);
    // A key frame of 4K has some hundred packets.
    let mut config = config.set_reordering_size_video(PUBLISHED_REORDERING);
    let mut first = None;
    for (codec, format) in offer.sendable_video() {
        add_video(config.codec_config(), codec, format);
        first.get_or_insert(codec);
    }
    let video = first.ok_or_else(|| {
        let names = offer.video_names().join(", ");
        Error::BadDescription(format!(
            "H.264 with packetization-mode=1 or H.265 can be recorded, and the offer has {}",
            if names.is_empty() { "no video" } else { &names }
        ))
    })?;
    let opus = offer.sendable_opus();
    if let Some(format) = opus {
        add_audio(config.codec_config(), AudioCodec::Opus, format.payload_type);
    }
    let mut rtc = build(config, ground, now)?;
    let answer = rtc.sdp_api().accept_offer(parse(text)?).map_err(refused)?;
    Ok(Negotiated {
        rtc,
        creds,
        description: answer.to_sdp_string(),
        video,
        audio: opus.map(|_| AudioCodec::Opus),
        pending: None,
        offered: Vec::new(),
    })
}

fn not_offered(codec: VideoCodec, offer: &Offer) -> Error {
    let name = match codec {
        VideoCodec::H264 => "H.264 with packetization-mode=1",
        VideoCodec::H265 => "H.265",
    };
    let names = offer.video_names();
    let offered = if names.is_empty() {
        "no video".to_owned()
    } else {
        names.join(", ")
    };
    Error::Unplayable {
        reason: format!("the camera sends {name}, and the offer has {offered}"),
        instead: OTHER_PROTOCOLS,
    }
}

/// ICE-lite (RFC 8445 section 2.5): clients find a server, it does not look for them.
fn base(ground: &Ground) -> (IceCreds, RtcConfig) {
    let creds = IceCreds::new();
    let mut extensions = ExtensionMap::standard();
    extensions.set(CAPTURE_TIME_ID, Extension::AbsoluteCaptureTime);
    let config = RtcConfig::new()
        .set_ice_lite(true)
        .set_local_ice_credentials(creds.clone())
        .set_dtls_cert(ground.certificate.clone())
        .set_extension_map(extensions)
        .clear_codecs();
    (creds, config)
}

fn build(config: RtcConfig, ground: &Ground, now: Instant) -> Result<Rtc, Error> {
    let mut rtc = config.build(now);
    for address in ground.addresses.iter() {
        let udp = Candidate::host(*address, Protocol::Udp);
        let tcp = Candidate::builder()
            .tcp()
            .host(*address)
            .tcptype(TcpType::Passive)
            .build();
        for candidate in [udp, tcp] {
            let candidate = candidate.map_err(|error| {
                Error::Failed(format!("{address} cannot be a candidate: {error}"))
            })?;
            rtc.add_local_candidate(candidate);
        }
    }
    Ok(rtc)
}

fn parse(text: &str) -> Result<SdpOffer, Error> {
    SdpOffer::from_sdp_string(text).map_err(refused)
}

fn refused(error: impl std::fmt::Display) -> Error {
    // The words of a parser may quote what a client sent.
    let text: String = error.to_string().chars().take(200).collect();
    Error::BadDescription(text)
}

/// The one format that is answered with.
fn add_video(codecs: &mut CodecConfig, codec: VideoCodec, format: &Format) {
    let number = format.payload_type.into();
    let resend = format.resend.map(Into::into);
    match codec {
        VideoCodec::H264 => codecs.add_h264(number, resend, true, format.profile_level_id()),
        VideoCodec::H265 => {
            // Main profile and tier, level 3.1, where the offer does not say (RFC 7798 section 7.1).
            let value = |name, unsaid| format.number(name).unwrap_or(unsaid);
            let (profile, tier) = (value("profile-id", 1), value("tier-flag", 0));
            codecs.add_h265(number, resend, profile, tier, value("level-id", 93));
        }
    }
}

fn add_offered_video(codecs: &mut CodecConfig, codec: VideoCodec) {
    let (number, resend) = (OFFERED_VIDEO.into(), Some(OFFERED_VIDEO_RESEND.into()));
    match codec {
        VideoCodec::H264 => codecs.add_h264(number, resend, true, OFFERED_H264_PROFILE),
        VideoCodec::H265 => codecs.add_h265(number, resend, 1, 0, 93),
    }
}

fn add_audio(codecs: &mut CodecConfig, codec: AudioCodec, number: u8) {
    const TELEPHONY: Frequency = Frequency::EIGHT_KHZ;
    let number = number.into();
    let plain = FormatParams::default();
    match codec {
        AudioCodec::Opus => {
            let rate = Frequency::FORTY_EIGHT_KHZ;
            codecs.add_config(number, None, Codec::Opus, rate, Some(2), plain);
        }
        AudioCodec::Pcmu => codecs.add_config(number, None, Codec::PCMU, TELEPHONY, None, plain),
        AudioCodec::Pcma => codecs.add_config(number, None, Codec::PCMA, TELEPHONY, None, plain),
        AudioCodec::Aac => {}
    }
}
