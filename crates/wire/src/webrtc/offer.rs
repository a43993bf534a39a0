//! What a client offers to receive, or to send, in its session description (RFC 8866, RFC 3264). Only
//! what choosing a coding takes: negotiation itself is str0m's. Sans-IO.

use framewell_media::{AudioCodec, AudioParameters, VideoCodec, VideoParameters};
use std::collections::BTreeMap;

/// Most payload formats looked at; browsers offer some thirty.
const MAX_FORMATS: usize = 128;

/// A payload format of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Of its RTP packets.
    pub payload_type: u8,
    /// Lower case, for example `h264`.
    name: String,
    clock_rate: u32,
    /// `fmtp` parameters, keys in lower case.
    parameters: BTreeMap<String, String>,
    /// Payload type of its retransmissions (RFC 4588).
    pub resend: Option<u8>,
}

impl Format {
    /// `profile-level-id` of H.264 (RFC 6184 section 8.1); Baseline 1 if it is not said.
    pub fn profile_level_id(&self) -> u32 {
        const UNSAID: u32 = 0x42_00_0a;
        let text = self.parameters.get("profile-level-id");
        text.and_then(|text| u32::from_str_radix(text, 16).ok())
            .filter(|id| *id <= 0xff_ff_ff)
            .unwrap_or(UNSAID)
    }

    /// A number among the parameters.
    pub fn number(&self, name: &str) -> Option<u8> {
        self.parameters.get(name)?.parse().ok()
    }

    fn is_fragmenting_h264(&self) -> bool {
        let mode = self.parameters.get("packetization-mode");
        self.name == "h264" && mode.is_some_and(|mode| mode == "1")
    }
}

/// The payload formats of an offer, in its order of preference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    video: Vec<Format>,
    audio: Vec<Format>,
}

impl Offer {
    /// Reads what can be read; whether it is a session description at all is for others to say.
    pub fn read(text: &str) -> Self {
        let mut offer = Self::default();
        let mut kind = None;
        let mut open = Vec::new();
        for line in text.lines().map(str::trim_end) {
            if let Some(media) = line.strip_prefix("m=") {
                offer.close(kind, std::mem::take(&mut open));
                kind = media.split(' ').next();
            } else if open.len() <= MAX_FORMATS {
                read_attribute(line, &mut open);
            }
        }
        offer.close(kind, open);
        offer
    }

    fn close(&mut self, kind: Option<&str>, mut formats: Vec<Format>) {
        let resent: Vec<(u8, u8)> = formats
            .iter()
            .filter(|format| format.name == "rtx")
            .filter_map(|format| Some((format.number("apt")?, format.payload_type)))
            .collect();
        formats.retain(|format| format.name != "rtx");
        for format in &mut formats {
            let of_this = |pair: &&(u8, u8)| pair.0 == format.payload_type;
            format.resend = resent.iter().find(of_this).map(|pair| pair.1);
        }
        match kind {
            Some("video") => self.video.append(&mut formats),
            Some("audio") => self.audio.append(&mut formats),
            _ => {}
        }
    }

    /// The format to send `video` in: of H.264 one with fragmentation units, of the picture's own
    /// profile if there is one. Decoders in browsers take more than the profiles they name.
    pub fn video(&self, video: &VideoParameters) -> Option<&Format> {
        match video.codec {
            VideoCodec::H265 => self.video.iter().find(|format| format.name == "h265"),
            VideoCodec::H264 => {
                let profile = h264_profile(video);
                let fits = || self.video.iter().filter(|f| f.is_fragmenting_h264());
                let is_same = |format: &&Format| Some(format.profile_level_id() >> 16) == profile;
                fits().find(is_same).or_else(|| fits().next())
            }
        }
    }

    /// The format to send `audio` in. AAC has none: no browser takes it over RTP.
    pub fn audio(&self, audio: &AudioParameters) -> Option<&Format> {
        let is_telephony = audio.sample_rate == 8_000 && audio.channels == 1;
        let (name, rate) = match audio.codec {
            AudioCodec::Opus => ("opus", 48_000),
            AudioCodec::Pcmu if is_telephony => ("pcmu", 8_000),
            AudioCodec::Pcma if is_telephony => ("pcma", 8_000),
            AudioCodec::Pcmu | AudioCodec::Pcma | AudioCodec::Aac => return None,
        };
        let mut formats = self.audio.iter();
        formats.find(|format| format.name == name && format.clock_rate == rate)
    }

    /// The formats of H.264 and H.265 that a publisher may send in.
    pub fn sendable_video(&self) -> impl Iterator<Item = (VideoCodec, &Format)> {
        self.video.iter().filter_map(|format| match &*format.name {
            "h264" if format.is_fragmenting_h264() => Some((VideoCodec::H264, format)),
            "h265" => Some((VideoCodec::H265, format)),
            _ => None,
        })
    }

    /// The format of Opus that a publisher may send in.
    pub fn sendable_opus(&self) -> Option<&Format> {
        self.audio.iter().find(|format| format.name == "opus")
    }

    /// Names of the offered video codings, for a refusal.
    pub fn video_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.video.iter().map(|format| &*format.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// `profile_idc` of the picture's first parameter set.
fn h264_profile(video: &VideoParameters) -> Option<u32> {
    let sets = video.parameter_sets();
    sets.first()?.get(1).copied().map(u32::from)
}

/// `rtpmap` makes a format, `fmtp` describes one.
fn read_attribute(line: &str, formats: &mut Vec<Format>) {
    if let Some((payload_type, map)) = attribute(line, "a=rtpmap:") {
        let mut parts = map.split('/');
        let (Some(name), Some(rate)) = (parts.next(), parts.next()) else {
            return;
        };
        formats.push(Format {
            payload_type,
            name: name.trim().to_ascii_lowercase(),
            clock_rate: rate.trim().parse().unwrap_or(0),
            parameters: BTreeMap::new(),
            resend: None,
        });
    } else if let Some((payload_type, text)) = attribute(line, "a=fmtp:")
        && let Some(format) = formats.iter_mut().find(|f| f.payload_type == payload_type)
    {
        for (name, value) in text.split(';').filter_map(|pair| pair.split_once('=')) {
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
            format.parameters.insert(name, value);
        }
    }
}

fn attribute<'a>(line: &'a str, name: &str) -> Option<(u8, &'a str)> {
    let (number, value) = line.strip_prefix(name)?.split_once(' ')?;
    let number: u8 = number.parse().ok()?;
    (number < 128).then_some((number, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    const OFFER: &str = "v=0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\n\
        a=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:8 PCMA/8000\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100\r\n\
        a=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:97 rtx/90000\r\n\
        a=fmtp:97 apt=96\r\n\
        a=rtpmap:98 H264/90000\r\n\
        a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=64001f\r\n\
        a=rtpmap:99 H264/90000\r\n\
        a=fmtp:99 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
        a=rtpmap:100 rtx/90000\r\n\
        a=fmtp:100 apt=99\r\n\
        a=rtpmap:101 H264/90000\r\n\
        a=fmtp:101 packetization-mode=1; profile-level-id=64001f\r\n";

    fn h264(profile: u8) -> VideoParameters {
        let sps = [0x67, profile, 0xe0, 0x1f];
        let mut config = vec![1, profile, 0xe0, 0x1f, 0xff, 0xe1, 0, 4];
        config.extend_from_slice(&sps);
        config.extend_from_slice(&[1, 0, 2, 0x68, 0xce]);
        VideoParameters {
            codec: VideoCodec::H264,
            width: 640,
            height: 360,
            config: config.into(),
            reorder_depth: 0,
            rfc6381: String::new(),
        }
    }

    fn audio(codec: AudioCodec, sample_rate: u32) -> AudioParameters {
        AudioParameters {
            codec,
            sample_rate,
            channels: 1,
            config: Bytes::new(),
        }
    }

    #[test]
    fn h264_goes_in_the_format_of_its_profile_or_any_that_fragments() {
        let offer = Offer::read(OFFER);
        let high = offer.video(&h264(0x64)).unwrap();
        assert_eq!((high.payload_type, high.resend), (101, None));
        let main = offer.video(&h264(0x4d)).unwrap();
        assert_eq!((main.payload_type, main.resend), (99, Some(100)));
        assert_eq!(main.profile_level_id(), 0x42_e0_1f);
    }

    #[test]
    fn what_is_not_offered_cannot_be_sent() {
        let offer = Offer::read(OFFER);
        let mut video = h264(0x42);
        video.codec = VideoCodec::H265;
        assert_eq!(offer.video(&video), None);
        assert_eq!(offer.video_names(), ["h264", "vp8"]);
        assert_eq!(offer.audio(&audio(AudioCodec::Aac, 48_000)), None);
        assert_eq!(offer.audio(&audio(AudioCodec::Pcmu, 16_000)), None);
        assert_eq!(Offer::read("hello").video(&h264(0x42)), None);
    }

    #[test]
    fn sound_goes_in_its_own_coding() {
        let offer = Offer::read(OFFER);
        for (codec, rate, payload_type) in [
            (AudioCodec::Pcmu, 8_000, 0),
            (AudioCodec::Pcma, 8_000, 8),
            (AudioCodec::Opus, 48_000, 111),
        ] {
            let format = offer.audio(&audio(codec, rate)).unwrap();
            assert_eq!(format.payload_type, payload_type);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(m=video|m=audio|a=rtpmap:|a=fmtp:|[0-9a-z/;= ]{0,9}|\r\n|\\PC){0,60}") {
            let offer = Offer::read(&text);
            offer.video_names();
            offer.video(&h264(0x42));
        }
    }
}
