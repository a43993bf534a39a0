//! What an `ANNOUNCE` says about the streams that will come (RFC 2326 section 10.3, RFC 8866). Sans-IO.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use framewell_media::{AudioCodec, AudioParameters, VideoCodec, VideoParameters};
use sdp_types::{Media, Session};

/// Descriptions of cameras have two or three streams.
const MAX_STREAMS: usize = 8;

/// A stream that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// How its `SETUP` URL ends.
    pub control: String,
    /// Of its RTP packets.
    pub payload_type: u8,
    /// How it is coded.
    pub coding: Coding,
}

/// How it is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coding {
    /// With the parameters, if the description has them all.
    Video(VideoCodec, Option<VideoParameters>),
    /// Sound, of which the description has to say all.
    Audio(AudioParameters),
}

/// The first video and the first audio stream that we keep, and the control texts of the others. `None`
/// for a description that cannot be read or has no such video.
pub fn read(description: &[u8]) -> Option<Vec<Stream>> {
    let session = Session::parse(description).ok()?;
    let mut video = None;
    let mut audio = None;
    for media in session.medias.iter().take(MAX_STREAMS) {
        match media.media.as_str() {
            "video" if video.is_none() => video = read_video(media),
            "audio" if audio.is_none() => audio = read_audio(media),
            _ => {}
        }
    }
    Some(std::iter::once(video?).chain(audio).collect())
}

/// Payload type, encoding name in capitals, clock rate and channels.
fn encoding(media: &Media) -> Option<(u8, String, u32, u16)> {
    let payload_type: u8 = media.fmt.split_whitespace().next()?.parse().ok()?;
    let wanted = payload_type.to_string();
    let mut maps = media.attributes.iter().filter_map(|attribute| {
        let value = attribute.value.as_deref()?;
        let (of, map) = value.trim().split_once(' ')?;
        (attribute.attribute == "rtpmap" && of == wanted).then(|| map.trim().to_owned())
    });
    // Static types need no map (RFC 3551 section 6).
    let map = maps.next().or_else(|| match payload_type {
        0 => Some("PCMU/8000".to_owned()),
        8 => Some("PCMA/8000".to_owned()),
        _ => None,
    })?;
    let mut parts = map.split('/');
    let name = parts.next()?.to_ascii_uppercase();
    let rate = parts.next()?.parse().ok()?;
    let channels = parts.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    Some((payload_type, name, rate, channels))
}

/// A parameter of `a=fmtp` by its name in any case.
fn parameter(media: &Media, name: &str) -> Option<String> {
    let values = media.attributes.iter().filter(|a| a.attribute == "fmtp");
    let values = values.filter_map(|attribute| attribute.value.as_deref()?.split_once(' '));
    values
        .flat_map(|(_, list)| list.split(';'))
        .filter_map(|one| one.trim().split_once('='))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
}

fn control(media: &Media) -> Option<String> {
    let mut controls = media.attributes.iter().filter(|a| a.attribute == "control");
    controls.find_map(|attribute| attribute.value.clone())
}

fn read_video(media: &Media) -> Option<Stream> {
    let (payload_type, name, _, _) = encoding(media)?;
    let (codec, names) = match name.as_str() {
        "H264" => (VideoCodec::H264, &["sprop-parameter-sets"][..]),
        "H265" => (
            VideoCodec::H265,
            &["sprop-vps", "sprop-sps", "sprop-pps"][..],
        ),
        _ => return None,
    };
    let texts = names.iter().filter_map(|name| parameter(media, name));
    let sets: Vec<Bytes> = texts
        .flat_map(|text| {
            let decoded = text.split(',').map(|set| STANDARD.decode(set.trim()));
            decoded
                .filter_map(Result::ok)
                .map(Bytes::from)
                .collect::<Vec<_>>()
        })
        .collect();
    // What is missing or wrong here may come with the pictures.
    let parameters = VideoParameters::from_parameter_sets(codec, &sets).ok();
    Some(Stream {
        control: control(media)?,
        payload_type,
        coding: Coding::Video(codec, parameters),
    })
}

fn read_audio(media: &Media) -> Option<Stream> {
    let (payload_type, name, sample_rate, channels) = encoding(media)?;
    let plain = |codec| AudioParameters {
        codec,
        sample_rate,
        channels,
        config: Bytes::new(),
    };
    let parameters = match name.as_str() {
        "MPEG4-GENERIC" => {
            let config = Bytes::from(from_hex(&parameter(media, "config")?)?);
            // RTP time counts in the rate of the description.
            AudioParameters {
                sample_rate,
                ..AudioParameters::from_aac_config(config).ok()?
            }
        }
        "PCMU" => plain(AudioCodec::Pcmu),
        "PCMA" => plain(AudioCodec::Pcma),
        _ => return None,
    };
    let is_usable = (1_000..=192_000).contains(&parameters.sample_rate)
        && (1..=8).contains(&parameters.channels);
    is_usable.then_some(Stream {
        control: control(media)?,
        payload_type,
        coding: Coding::Audio(parameters),
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text
        .chars()
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    let bytes = digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok());
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As ffmpeg announces.
    const FFMPEG: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        a=tool:libavformat 59.27.100\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
        a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtoHgUbARAAAAwAEAAADAMo8WLqA,aM4PyA==; profile-level-id=42C01E\r\n\
        a=control:streamid=0\r\nm=audio 0 RTP/AVP 97\r\nb=AS:69\r\na=rtpmap:97 MPEG4-GENERIC/48000/1\r\n\
        a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=118856E500\r\n\
        a=control:streamid=1\r\n";

    #[test]
    fn the_streams_of_a_real_encoder_are_taken() {
        let streams = read(FFMPEG.as_bytes()).unwrap();
        assert_eq!(streams.len(), 2);
        assert_eq!(
            (streams[0].control.as_str(), streams[0].payload_type),
            ("streamid=0", 96)
        );
        let Coding::Audio(audio) = &streams[1].coding else {
            panic!()
        };
        assert_eq!(
            (audio.codec, audio.sample_rate, audio.channels),
            (AudioCodec::Aac, 48_000, 1)
        );
        assert_eq!(audio.config[..], [0x11, 0x88, 0x56, 0xe5, 0x00]);
        assert!(matches!(
            streams[0].coding,
            Coding::Video(VideoCodec::H264, _)
        ));
    }

    #[test]
    fn static_types_need_no_map_and_parameters_may_be_missing() {
        let text = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 8\r\na=control:track2\r\n\
            m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=control:track1\r\n";
        let streams = read(text.as_bytes()).unwrap();
        assert_eq!(streams[0].coding, Coding::Video(VideoCodec::H265, None));
        assert!(
            matches!(&streams[1].coding, Coding::Audio(audio) if audio.codec == AudioCodec::Pcma)
        );
    }

    #[test]
    fn without_video_that_we_keep_nothing_is_taken() {
        assert_eq!(read(b"no description"), None);
        let vp8 = FFMPEG.replace("H264/90000", "VP8/90000");
        assert_eq!(read(vp8.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_description_panics(lines in prop::collection::vec("m=video 0 RTP/AVP [0-9]{1,3}|a=rtpmap:[ -~]{0,20}|a=fmtp:96 [ -~]{0,30}|a=control:[ -~]{0,10}|[ -~]{0,20}", 0..12)) {
            let text = format!("v=0\r\no=- 0 0 IN IP4 1.2.3.4\r\ns=x\r\nt=0 0\r\n{}\r\n", lines.join("\r\n"));
            read(text.as_bytes());
        }
    }
}
