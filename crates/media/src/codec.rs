//! Codec parameters as they are stored and announced.

use crate::{h264, h265, opus};
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
    /// Opus (RFC 6716), sample entry `Opus`; always 48,000 samples per second.
    Opus,
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
    /// `AudioSpecificConfig` (ISO/IEC 14496-3 section 1.6.2.1) for AAC, the payload of `dOps` (Opus in
    /// ISO BMFF section 4.3.2) for Opus, else empty.
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

impl ParameterError {
    pub(crate) fn new(what: &'static str, why: impl Into<String>) -> Self {
        Self {
            what,
            why: why.into(),
        }
    }
}

impl VideoParameters {
    /// Reads a decoder configuration record (`avcC` or `hvcC` payload).
    ///
    /// # Errors
    /// A record that is cut off, has NAL lengths of other than 4 bytes, or whose SPS cannot be read.
    pub fn from_config(codec: VideoCodec, config: Bytes) -> Result<Self, ParameterError> {
        let sets = match codec {
            VideoCodec::H264 => h264::split_record(&config)?,
            VideoCodec::H265 => h265::split_record(&config)?,
        };
        Self::describe(codec, &sets, config)
    }

    /// Builds the record from parameter-set NAL units (without start codes or lengths): SPS and PPS
    /// for H.264, VPS, SPS and PPS for H.265, in any order. Repetitions and other NAL units are
    /// passed over.
    ///
    /// # Errors
    /// A kind of parameter set is missing, or the SPS cannot be read.
    pub fn from_parameter_sets(codec: VideoCodec, nals: &[Bytes]) -> Result<Self, ParameterError> {
        let (sets, config) = match codec {
            VideoCodec::H264 => {
                let sets = h264::collect(nals)?;
                let config = h264::build_record(&sets)?;
                (sets, config)
            }
            VideoCodec::H265 => {
                let sets = h265::collect(nals)?;
                let config = h265::build_record(&sets)?;
                (sets, config)
            }
        };
        Self::describe(codec, &sets, config)
    }

    /// The parameter-set NAL units inside the record: VPS (H.265), SPS, PPS.
    #[must_use]
    pub fn parameter_sets(&self) -> Vec<Bytes> {
        let sets = match self.codec {
            VideoCodec::H264 => h264::split_record(&self.config),
            VideoCodec::H265 => h265::split_record(&self.config),
        };
        sets.map(ParameterSets::into_nals).unwrap_or_default()
    }

    fn describe(
        codec: VideoCodec,
        sets: &ParameterSets,
        config: Bytes,
    ) -> Result<Self, ParameterError> {
        let picture = match codec {
            VideoCodec::H264 => h264::read_sps(sets.first_sps()?)?,
            VideoCodec::H265 => h265::read_sps(sets.first_sps()?)?.picture()?,
        };
        Ok(Self {
            codec,
            width: u32::from(picture.width),
            height: u32::from(picture.height),
            config,
            reorder_depth: picture.reorder_depth,
            rfc6381: picture.rfc6381,
        })
    }
}

/// Most bytes of parameter sets. Encoders send some 100; scaling lists and timing add a few KiB.
const MAX_SETS_BYTES: usize = 64 << 10;

/// Parameter-set NAL units by kind, each kind in the order it came.
#[derive(Debug, Default)]
pub(crate) struct ParameterSets {
    pub(crate) vps: Vec<Bytes>,
    pub(crate) sps: Vec<Bytes>,
    pub(crate) pps: Vec<Bytes>,
}

impl ParameterSets {
    pub(crate) fn first_sps(&self) -> Result<&Bytes, ParameterError> {
        self.sps
            .first()
            .ok_or_else(|| ParameterError::new("parameter sets", "no SPS"))
    }

    /// Keeps a NAL unit unless the same bytes are there already. More than `most` are refused at once:
    /// every further one would be compared with all before it.
    pub(crate) fn keep(
        list: &mut Vec<Bytes>,
        nal: &Bytes,
        most: usize,
    ) -> Result<(), ParameterError> {
        if list.contains(nal) {
            return Ok(());
        }
        if list.len() >= most {
            return Err(ParameterError::new("parameter sets", "too many of a kind"));
        }
        list.push(nal.clone());
        Ok(())
    }

    /// Refuses sets that are too long together: the record made of them is kept with every GOP.
    pub(crate) fn check_length(&self) -> Result<(), ParameterError> {
        let all = self.vps.iter().chain(&self.sps).chain(&self.pps);
        if all.map(Bytes::len).sum::<usize>() > MAX_SETS_BYTES {
            return Err(ParameterError::new("parameter sets", "longer than 64 KiB"));
        }
        Ok(())
    }

    fn into_nals(self) -> Vec<Bytes> {
        [self.vps, self.sps, self.pps].concat()
    }
}

/// What an SPS says about the pictures.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) reorder_depth: u8,
    pub(crate) rfc6381: String,
}

/// A picture's size as sample entries store it (16 bits each), refused when it cannot be real.
pub(crate) fn picture_size(
    what: &'static str,
    width: Option<u32>,
    height: Option<u32>,
) -> Result<(u16, u16), ParameterError> {
    let side = |value: Option<u32>| value.and_then(|v| u16::try_from(v).ok()).filter(|v| *v > 0);
    side(width)
        .zip(side(height))
        .ok_or_else(|| ParameterError::new(what, "picture size out of range"))
}

impl AudioParameters {
    /// Opus of one or two channels, as it comes without a header of its own (RFC 7587).
    #[must_use]
    pub fn opus(channels: u16) -> Self {
        let channels = channels.clamp(1, 2);
        Self {
            codec: AudioCodec::Opus,
            sample_rate: opus::RATE,
            channels,
            config: opus::config(channels),
        }
    }

    /// The track's timescale: its sample rate.
    #[must_use]
    pub fn timescale(&self) -> Timescale {
        Timescale::new(self.sample_rate).unwrap_or(Timescale::HZ_90K)
    }

    /// RFC 6381 name, for example `mp4a.40.2`, `ulaw`.
    #[must_use]
    pub fn rfc6381(&self) -> String {
        match self.codec {
            AudioCodec::Aac => format!("mp4a.40.{}", audio_object_type(&self.config)),
            AudioCodec::Pcmu => "ulaw".to_owned(),
            AudioCodec::Pcma => "alaw".to_owned(),
            AudioCodec::Opus => "opus".to_owned(),
        }
    }
}

/// `audioObjectType` of an `AudioSpecificConfig` (ISO/IEC 14496-3 table 1.16); AAC-LC if there is none.
fn audio_object_type(config: &[u8]) -> u8 {
    const AAC_LC: u8 = 2;
    const ESCAPE: u8 = 31;
    match *config {
        [first, second, ..] if first >> 3 == ESCAPE => 32 + ((first & 0b111) << 3 | second >> 5),
        [first, ..] if first >> 3 != 0 => first >> 3,
        _ => AAC_LC,
    }
}

impl StreamParameters {
    /// RFC 6381 codecs of all tracks, comma-separated.
    #[must_use]
    pub fn codecs(&self) -> String {
        match &self.audio {
            Some(audio) => format!("{},{}", self.video.rfc6381, audio.rfc6381()),
            None => self.video.rfc6381.clone(),
        }
    }

    /// Shared handle.
    #[must_use]
    pub fn into_shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
