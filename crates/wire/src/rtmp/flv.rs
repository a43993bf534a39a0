//! Bodies of audio and video messages (Adobe Flash Video File Format 10.1, annex E.4; Enhanced RTMP v2).

use super::ProtocolError;
use bytes::Bytes;
use framewell_media::{AudioCodec, VideoCodec};

/// `FourCC` of H.264 in Enhanced RTMP.
pub const AVC1: [u8; 4] = *b"avc1";
/// `FourCC` of H.265 in Enhanced RTMP.
pub const HVC1: [u8; 4] = *b"hvc1";
/// `FourCC` of AAC in Enhanced RTMP.
pub const MP4A: [u8; 4] = *b"mp4a";

/// Bit of the first byte that says that a `FourCC` follows (Enhanced RTMP v2, "Enhanced Video").
const ENHANCED: u8 = 0x80;
/// Frame types (annex E.4.3.1).
const FRAME_KEY: u8 = 1;
const FRAME_INTER: u8 = 2;
const FRAME_COMMAND: u8 = 5;
/// Codec numbers (annex E.4.3.1); 12 is what some encoders use for H.265.
const CODEC_AVC: u8 = 7;
const CODEC_HEVC: u8 = 12;
/// Sound formats (annex E.4.2.1).
const SOUND_ALAW: u8 = 7;
const SOUND_MULAW: u8 = 8;
const SOUND_ENHANCED: u8 = 9;
const SOUND_AAC: u8 = 10;

/// What a video message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoTag {
    /// A decoder configuration record.
    Parameters(VideoCodec, Bytes),
    /// A picture: NAL units with lengths.
    Picture {
        /// How it is coded.
        codec: VideoCodec,
        /// Presentation time minus decode time.
        composition_ms: i32,
        /// NAL units behind lengths of four bytes.
        data: Bytes,
    },
    /// Nothing for us: end of sequence, commands, colour metadata.
    Nothing,
}

/// What an audio message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioTag {
    /// An `AudioSpecificConfig`.
    AacParameters(Bytes),
    /// A frame of AAC.
    Aac(Bytes),
    /// G.711 at 8 kHz.
    Pcm {
        /// Which of the two laws.
        codec: AudioCodec,
        /// 1 or 2.
        channels: u16,
        /// A byte for each sample of each channel.
        data: Bytes,
    },
    /// Nothing for us.
    Nothing,
}

/// Reads the body of a video message.
pub fn read_video(body: &Bytes) -> Result<VideoTag, ProtocolError> {
    let Some(&first) = body.first() else {
        return Ok(VideoTag::Nothing);
    };
    if first & ENHANCED != 0 {
        return read_enhanced_video(body);
    }
    if first >> 4 == FRAME_COMMAND {
        return Ok(VideoTag::Nothing);
    }
    let codec = match first & 0x0f {
        CODEC_AVC => VideoCodec::H264,
        CODEC_HEVC => VideoCodec::H265,
        _ => {
            return Err(ProtocolError::Media(
                "video that is neither H.264 nor H.265",
            ));
        }
    };
    let cut_off = ProtocolError::Media("a video message that is cut off");
    let packet = *body.get(1).ok_or(cut_off.clone())?;
    match packet {
        0 => Ok(VideoTag::Parameters(codec, body.slice(5.min(body.len())..))),
        1 => coded(codec, body, 2).ok_or(cut_off),
        _ => Ok(VideoTag::Nothing),
    }
}

/// Most bytes of modifiers before a picture, which is a slice of the message and holds them in memory.
const MAX_MODIFIERS: usize = 1 << 10;

fn read_enhanced_video(body: &Bytes) -> Result<VideoTag, ProtocolError> {
    let cut_off = ProtocolError::Media("a video message that is cut off");
    let frame = body[0] >> 4 & 0x07;
    let mut packet = body[0] & 0x0f;
    let mut at = 1;
    // Modifiers, such as nanoseconds to add, stand before the rest.
    while packet == 7 {
        let mut size = usize::from(*body.get(at).ok_or(cut_off.clone())?) + 1;
        at += 1;
        if size == 256 {
            let [high, low] = *body.get(at..at + 2).ok_or(cut_off.clone())? else {
                return Err(cut_off);
            };
            size = usize::from(u16::from_be_bytes([high, low])) + 1;
            at += 2;
        }
        at += size;
        if at > MAX_MODIFIERS {
            return Err(ProtocolError::Media("modifiers that are too long"));
        }
        packet = *body.get(at).ok_or(cut_off.clone())? & 0x0f;
        at += 1;
    }
    if packet == 6 {
        return Err(ProtocolError::Media("several video tracks in one message"));
    }
    if frame == FRAME_COMMAND && packet != 4 {
        return Ok(VideoTag::Nothing);
    }
    let name: [u8; 4] = body
        .get(at..at + 4)
        .and_then(|name| name.try_into().ok())
        .ok_or(cut_off.clone())?;
    let codec = match name {
        AVC1 => VideoCodec::H264,
        HVC1 => VideoCodec::H265,
        _ => {
            return Err(ProtocolError::Media(
                "video that is neither H.264 nor H.265",
            ));
        }
    };
    at += 4;
    match packet {
        0 => Ok(VideoTag::Parameters(codec, body.slice(at..))),
        1 => coded(codec, body, at).ok_or(cut_off),
        3 => Ok(VideoTag::Picture {
            codec,
            composition_ms: 0,
            data: body.slice(at..),
        }),
        _ => Ok(VideoTag::Nothing),
    }
}

/// A composition time in three bytes, and NAL units behind it.
fn coded(codec: VideoCodec, body: &Bytes, at: usize) -> Option<VideoTag> {
    let [high, middle, low] = *body.get(at..at + 3)? else {
        return None;
    };
    // Signed: shifted up so that the sign is where the shift back extends it from.
    let composition_ms = i32::from_be_bytes([high, middle, low, 0]) >> 8;
    Some(VideoTag::Picture {
        codec,
        composition_ms,
        data: body.slice(at + 3..),
    })
}

/// Reads the body of an audio message.
pub fn read_audio(body: &Bytes) -> Result<AudioTag, ProtocolError> {
    let Some(&first) = body.first() else {
        return Ok(AudioTag::Nothing);
    };
    let cut_off = ProtocolError::Media("an audio message that is cut off");
    match first >> 4 {
        SOUND_AAC => match body.get(1) {
            Some(0) => Ok(AudioTag::AacParameters(body.slice(2..))),
            Some(1) => Ok(AudioTag::Aac(body.slice(2..))),
            Some(_) => Ok(AudioTag::Nothing),
            None => Err(cut_off),
        },
        SOUND_ENHANCED => {
            let name = body.get(1..5).ok_or(cut_off)?;
            match (first & 0x0f, name == MP4A) {
                (0, true) => Ok(AudioTag::AacParameters(body.slice(5..))),
                (1, true) => Ok(AudioTag::Aac(body.slice(5..))),
                // A coding that we do not keep: pictures without sound.
                _ => Ok(AudioTag::Nothing),
            }
        }
        format @ (SOUND_ALAW | SOUND_MULAW) => Ok(AudioTag::Pcm {
            codec: if format == SOUND_ALAW {
                AudioCodec::Pcma
            } else {
                AudioCodec::Pcmu
            },
            channels: 1 + u16::from(first & 0x01),
            data: body.slice(1..),
        }),
        _ => Ok(AudioTag::Nothing),
    }
}

/// What stands before a decoder configuration record.
pub fn video_parameters_header(codec: VideoCodec) -> Vec<u8> {
    match codec {
        VideoCodec::H264 => vec![FRAME_KEY << 4 | CODEC_AVC, 0, 0, 0, 0],
        VideoCodec::H265 => [&[ENHANCED | FRAME_KEY << 4], &HVC1[..]].concat(),
    }
}

/// What stands before the NAL units of a picture.
pub fn picture_header(codec: VideoCodec, is_key: bool, composition_ms: i32) -> Vec<u8> {
    let frame = if is_key { FRAME_KEY } else { FRAME_INTER } << 4;
    let [_, composition @ ..] = composition_ms.to_be_bytes();
    let mut header = match codec {
        VideoCodec::H264 => vec![frame | CODEC_AVC, 1],
        // Without a composition time it is left out.
        VideoCodec::H265 if composition_ms == 0 => {
            return [&[ENHANCED | frame | 3], &HVC1[..]].concat();
        }
        VideoCodec::H265 => [&[ENHANCED | frame | 1], &HVC1[..]].concat(),
    };
    header.extend(composition);
    header
}

/// First byte of AAC messages: readers take rate and channels from the configuration (annex E.4.2.1).
const AAC_FLAGS: u8 = SOUND_AAC << 4 | 0x0f;

/// What stands before an `AudioSpecificConfig`.
pub fn aac_parameters_header() -> Vec<u8> {
    vec![AAC_FLAGS, 0]
}

/// What stands before an audio frame; `None` for a coding that RTMP does not carry.
pub fn sound_header(codec: AudioCodec, channels: u16) -> Option<Vec<u8>> {
    let stereo = u8::from(channels > 1);
    // 16 bits per sample after decoding; the rate is not told, it is 8 kHz.
    match codec {
        AudioCodec::Aac => Some(vec![AAC_FLAGS, 1]),
        AudioCodec::Pcma => Some(vec![SOUND_ALAW << 4 | 0x02 | stereo]),
        AudioCodec::Pcmu => Some(vec![SOUND_MULAW << 4 | 0x02 | stereo]),
        AudioCodec::Opus => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(header: Vec<u8>, payload: &[u8]) -> Bytes {
        [header, payload.to_vec()].concat().into()
    }

    #[test]
    fn pictures_come_back_with_their_composition_time() {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            for (is_key, composition_ms) in [(true, 0), (false, 80), (false, -40)] {
                let body = joined(picture_header(codec, is_key, composition_ms), b"nals");
                let picture = VideoTag::Picture {
                    codec,
                    composition_ms,
                    data: Bytes::from_static(b"nals"),
                };
                assert_eq!(read_video(&body).unwrap(), picture);
            }
            let body = joined(video_parameters_header(codec), b"record");
            let record = Bytes::from_static(b"record");
            assert_eq!(
                read_video(&body).unwrap(),
                VideoTag::Parameters(codec, record)
            );
        }
    }

    #[test]
    fn headers_are_as_the_standards_say() {
        assert_eq!(
            picture_header(VideoCodec::H264, true, 40),
            [0x17, 1, 0, 0, 40]
        );
        assert_eq!(picture_header(VideoCodec::H265, false, 0), *b"\xa3hvc1");
        assert_eq!(video_parameters_header(VideoCodec::H265), *b"\x90hvc1");
        assert_eq!(sound_header(AudioCodec::Aac, 1).unwrap(), [0xaf, 1]);
        assert_eq!(sound_header(AudioCodec::Pcmu, 1).unwrap(), [0x82]);
    }

    #[test]
    fn modifiers_and_enhanced_forms_of_old_codecs_are_understood() {
        let nanoseconds = b"\x97\x02\0\0\x09\x11avc1\0\0\x05nals";
        let picture = VideoTag::Picture {
            codec: VideoCodec::H264,
            composition_ms: 5,
            data: Bytes::from_static(b"nals"),
        };
        assert_eq!(
            read_video(&Bytes::from_static(nanoseconds)).unwrap(),
            picture
        );
        let long = [
            &b"\x97\xff\x7f\xff"[..],
            &[0; 0x8000],
            b"\x11avc1\0\0\x05nals",
        ]
        .concat();
        assert!(read_video(&Bytes::from(long)).is_err());
        let frame = read_audio(&Bytes::from_static(b"\x91mp4aframe")).unwrap();
        assert_eq!(frame, AudioTag::Aac(Bytes::from_static(b"frame")));
        let old = read_video(&Bytes::from_static(b"\x1c\x01\0\0\0nals")).unwrap();
        assert!(matches!(
            old,
            VideoTag::Picture {
                codec: VideoCodec::H265,
                ..
            }
        ));
    }

    #[test]
    fn other_codings_are_refused_or_left_out() {
        assert!(read_video(&Bytes::from_static(b"\x12xxxxx")).is_err());
        assert!(read_video(&Bytes::from_static(b"\x91av01xxx")).is_err());
        assert!(read_video(&Bytes::from_static(b"\x17\x01")).is_err());
        let opus = read_audio(&Bytes::from_static(b"\x91Opusxxx")).unwrap();
        assert_eq!(opus, AudioTag::Nothing);
        let end = read_video(&Bytes::from_static(b"\x17\x02\0\0\0")).unwrap();
        assert_eq!(end, VideoTag::Nothing);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let body = Bytes::from(bytes);
            read_video(&body).ok();
            read_audio(&body).ok();
        }
    }
}
