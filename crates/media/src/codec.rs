//! Codec parameters as they are stored and announced.

use bytes::Bytes;
use framewell_model::{ErrorKind, HasKind, Timescale};
use std::sync::Arc;

/// Coding of a video track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// ITU-T H.264, sample entry `avc1`.
    H264,
    /// ITU-T H.265, sample entry `hvc1`.
    H265,
}

/// Coding of an audio track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC (ISO/IEC 14496-3), sample entry `mp4a`.
    Aac,
    /// G.711 mu-law, sample entry `ulaw`.
    Pcmu,
    /// G.711 A-law, sample entry `alaw`.
    Pcma,
}

/// Everything a decoder needs before the first access unit of a video track.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VideoParameters {
    /// Coding.
    pub codec: VideoCodec,
    /// Cropped picture width in pixels.
    pub width: u32,
    /// Cropped picture height in pixels.
    pub height: u32,
    /// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 5.3.3) or
    /// `HEVCDecoderConfigurationRecord` (section 8.3.3), with 4-byte NAL lengths.
    pub config: Bytes,
    /// How many pictures may precede one in decoding order and follow it in output order; 0
    /// without B-frames (H.264 `max_num_reorder_frames`, H.265 `sps_max_num_reorder_pics`).
    pub reorder_depth: u8,
    /// RFC 6381 name, for example `avc1.64001f` or `hvc1.1.6.L93.B0`.
    pub rfc6381: String,
}

/// Everything a decoder needs before the first frame of an audio track.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AudioParameters {
    /// Coding.
    pub codec: AudioCodec,
    /// Samples per second; also the track's timescale.
    pub sample_rate: u32,
    /// Channel count.
    pub channels: u16,
    /// `AudioSpecificConfig` (ISO/IEC 14496-3 section 1.6.2.1) for AAC, else empty.
    pub config: Bytes,
}

/// Parameters of all tracks of a channel's stream. Constant within a GOP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamParameters {
    /// The video track; timescale is always [`Timescale::HZ_90K`].
    pub video: VideoParameters,
    /// The audio track, if the camera has one that we keep.
    pub audio: Option<AudioParameters>,
}

/// Parameter sets that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad {what}: {why}")]
pub struct ParameterError {
    /// Which record or parameter set.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl HasKind for ParameterError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

impl VideoParameters {
    /// Reads a decoder configuration record (`avcC` or `hvcC` payload).
    pub fn from_config(codec: VideoCodec, config: Bytes) -> Result<Self, ParameterError> {
        let _ = (codec, config);
        todo!()
    }

    /// Builds the record from parameter-set NAL units (without start codes or lengths): SPS and PPS
    /// for H.264, VPS, SPS and PPS for H.265, in any order.
    pub fn from_parameter_sets(codec: VideoCodec, nals: &[Bytes]) -> Result<Self, ParameterError> {
        let _ = (codec, nals);
        todo!()
    }

    /// The parameter-set NAL units inside the record: VPS (H.265), SPS, PPS.
    #[must_use]
    pub fn parameter_sets(&self) -> Vec<Bytes> {
        todo!()
    }
}

impl AudioParameters {
    /// The track's timescale: its sample rate.
    #[must_use]
    pub fn timescale(&self) -> Timescale {
        Timescale::new(self.sample_rate).unwrap_or(Timescale::HZ_90K)
    }

    /// RFC 6381 name, for example `mp4a.40.2`, `ulaw`.
    #[must_use]
    pub fn rfc6381(&self) -> String {
        todo!()
    }
}

impl StreamParameters {
    /// RFC 6381 codecs of all tracks, comma-separated.
    #[must_use]
    pub fn codecs(&self) -> String {
        todo!()
    }

    /// Shared handle.
    #[must_use]
    pub fn into_shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}
