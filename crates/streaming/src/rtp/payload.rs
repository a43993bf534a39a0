//! Which payload formats a stream is announced with.

use framewell_media::{AudioCodec, AudioParameters, StreamParameters, VideoCodec};

/// Dynamic payload type of the video track (RFC 3551 section 6).
pub(crate) const PAYLOAD_VIDEO: u8 = 96;
/// Dynamic payload type of audio without a static one.
const PAYLOAD_AUDIO: u8 = 97;

/// What of a stream's parameters cannot change while a reader is connected, because it stands in the
/// SDP and not in the packets. Parameter sets travel in band and are not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) video: VideoCodec,
    pub(crate) audio: Option<AudioPayload>,
}

/// RTP payload format of an audio track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AudioPayload {
    pub(crate) parameters: AudioParameters,
}

impl Layout {
    pub(crate) fn of(parameters: &StreamParameters) -> Self {
        Self {
            video: parameters.video.codec,
            audio: parameters
                .audio
                .clone()
                .map(|parameters| AudioPayload { parameters }),
        }
    }
}

impl AudioPayload {
    /// Static for G.711 at 8 kHz mono (RFC 3551 section 6), else dynamic.
    pub(crate) fn payload_type(&self) -> u8 {
        let is_telephony = self.parameters.sample_rate == 8_000 && self.parameters.channels == 1;
        match self.parameters.codec {
            AudioCodec::Pcmu if is_telephony => 0,
            AudioCodec::Pcma if is_telephony => 8,
            AudioCodec::Pcmu | AudioCodec::Pcma | AudioCodec::Aac | AudioCodec::Opus => {
                PAYLOAD_AUDIO
            }
        }
    }
}
