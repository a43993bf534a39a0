//! From what the RTSP client knows about the camera's streams to our parameters.

use crate::SessionError;
use bytes::Bytes;
use framewell_media::{AudioCodec, AudioParameters, VideoCodec, VideoParameters};
use retina::client::Stream;
use retina::codec::ParametersRef;

/// The streams of a camera that we read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection {
    pub(crate) video: usize,
    pub(crate) codec: VideoCodec,
    pub(crate) audio: Option<(usize, AudioCodec)>,
}

impl Selection {
    /// The first H.264 or H.265 stream, and the first AAC or G.711 one.
    pub(crate) fn of(streams: &[Stream]) -> Result<Self, SessionError> {
        let video = streams
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.media() == "video");
        let mut unknown = None;
        for (index, stream) in video {
            if let Some(codec) = video_codec(stream.encoding_name()) {
                return Ok(Self {
                    video: index,
                    codec,
                    audio: audio_stream(streams),
                });
            }
            unknown.get_or_insert_with(|| shown_name(stream.encoding_name()));
        }
        Err(unknown.map_or(SessionError::NoVideo, |name| {
            SessionError::UnsupportedCodec { name }
        }))
    }
}

/// A camera's word as people and logs see it: short, and of printable characters only.
fn shown_name(name: &str) -> String {
    const MOST_CHARACTERS: usize = 32;
    let printable = name.chars().filter(char::is_ascii_graphic);
    let shown: String = printable.take(MOST_CHARACTERS).collect();
    shown.to_ascii_uppercase()
}

fn video_codec(encoding_name: &str) -> Option<VideoCodec> {
    match encoding_name {
        "h264" => Some(VideoCodec::H264),
        "h265" => Some(VideoCodec::H265),
        _ => None,
    }
}

fn audio_stream(streams: &[Stream]) -> Option<(usize, AudioCodec)> {
    streams.iter().enumerate().find_map(|(index, stream)| {
        let codec = match (stream.media(), stream.encoding_name()) {
            ("audio", "mpeg4-generic") => AudioCodec::Aac,
            ("audio", "pcmu") => AudioCodec::Pcmu,
            ("audio", "pcma") => AudioCodec::Pcma,
            _ => return None,
        };
        // Without parameters nobody could decode it; it is ignored like any other coding.
        matches!(stream.parameters(), Some(ParametersRef::Audio(_))).then_some((index, codec))
    })
}

/// Parameters of a video stream; `None` until the camera has sent its parameter sets.
///
/// The RTSP client's record leaves out what High profile asks for (ISO/IEC 14496-15 section
/// 5.3.3.1.2), so ours is made from the sets inside it.
pub(crate) fn video(
    codec: VideoCodec,
    stream: &Stream,
) -> Result<Option<VideoParameters>, SessionError> {
    let Some(ParametersRef::Video(parameters)) = stream.parameters() else {
        return Ok(None);
    };
    let record = Bytes::copy_from_slice(parameters.extra_data());
    let sets = VideoParameters::from_config(codec, record)?.parameter_sets();
    Ok(Some(VideoParameters::from_parameter_sets(codec, &sets)?))
}

/// Parameters of an audio stream.
pub(crate) fn audio(codec: AudioCodec, stream: &Stream) -> Option<AudioParameters> {
    let Some(ParametersRef::Audio(parameters)) = stream.parameters() else {
        return None;
    };
    let config = match codec {
        AudioCodec::Aac => Bytes::copy_from_slice(parameters.extra_data()),
        AudioCodec::Opus => return Some(AudioParameters::opus(parameters.channels().get())),
        AudioCodec::Pcmu | AudioCodec::Pcma => Bytes::new(),
    };
    Some(AudioParameters {
        codec,
        sample_rate: parameters.clock_rate(),
        channels: parameters.channels().get(),
        config,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_codec_name_is_cut_and_cleaned() {
        assert_eq!(shown_name("vp8"), "VP8");
        let hostile = format!("a\u{1b}[2J\n{}", "b".repeat(1_000));
        assert_eq!(shown_name(&hostile), format!("A[2J{}", "B".repeat(28)));
    }
}
