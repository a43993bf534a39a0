//! Decoding AAC and resampling: what `ffmpeg-next` has no safe function for.
#![expect(
    unsafe_code,
    reason = "codec parameters and planes of samples are raw memory of FFmpeg's libraries"
)]

use crate::ffi::set_extradata;
use ffmpeg_next::codec::{self, Id, Parameters, threading};
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::software::resampling;
use ffmpeg_next::{ChannelLayout, Error, ffi, frame, media};
use framewell_decode::protocol::sound::RATE;

/// Most samples of each channel that are converted at once; a frame of AAC has 2,048.
const MAX_SAMPLES: usize = 1 << 20;

/// The decoder for an `AudioSpecificConfig`.
pub(crate) fn open_aac(config: &[u8]) -> Result<codec::decoder::Audio, Error> {
    let mut parameters = Parameters::new();
    parameters.set_medium(media::Type::Audio);
    parameters.set_id(Id::AAC);
    set_extradata(&mut parameters, config)?;
    let mut context = codec::Context::from_parameters(parameters)?;
    context.set_threading(threading::Config {
        count: 1,
        ..threading::Config::default()
    });
    context.decoder().audio()
}

/// Samples that the encoder puts before the first one (RFC 7845 section 4.2 calls it pre-skip).
pub(crate) fn lookahead(encoder: &codec::encoder::Audio) -> i64 {
    // SAFETY: `encoder` owns a valid AVCodecContext.
    i64::from(unsafe { (*encoder.as_ptr()).initial_padding })
}

/// What samples are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) format: Sample,
    pub(crate) channels: u16,
    pub(crate) rate: u32,
}

/// Makes interleaved floating point samples at [`RATE`] of others.
pub(crate) struct Resampler {
    context: resampling::Context,
    from: Shape,
    channels: u16,
}

impl Resampler {
    /// To one or two channels.
    pub(crate) fn new(from: Shape, channels: u16) -> Result<Self, Error> {
        let layout = |count: u16| ChannelLayout::default(i32::from(count));
        let context = resampling::Context::get(
            from.format,
            layout(from.channels),
            from.rate,
            Sample::F32(Type::Packed),
            layout(channels),
            RATE,
        )?;
        Ok(Self {
            context,
            from,
            channels,
        })
    }

    /// What it takes.
    pub(crate) const fn from(&self) -> Shape {
        self.from
    }

    /// Samples (of the result) of what came in before that it still holds: the next result begins so much earlier
    /// than the next input.
    pub(crate) fn held(&mut self) -> i64 {
        // SAFETY: `context` owns a valid and initialised SwrContext.
        unsafe { ffi::swr_get_delay(self.context.as_mut_ptr(), i64::from(RATE)) }
    }

    /// A decoded frame; it has to be of the shape that [`Self::from`] tells.
    pub(crate) fn convert_frame(&mut self, frame: &frame::Audio) -> Result<Vec<f32>, Error> {
        if shape(frame) != self.from {
            return Err(Error::InvalidData);
        }
        let samples = frame.samples();
        // SAFETY: `frame` owns a valid AVFrame, whose decoder filled as many planes as its format and channels (compared
        // above with what the context was made for) have, with `samples` samples each. It outlives the call.
        unsafe {
            let planes = (*frame.as_ptr()).extended_data.cast::<*const u8>();
            self.convert(planes, samples)
        }
    }

    /// One channel of samples between -1 and 1; it has to be made for that.
    pub(crate) fn convert_mono(&mut self, sound: &[f32]) -> Result<Vec<f32>, Error> {
        if self.from.format != Sample::F32(Type::Packed) || self.from.channels != 1 {
            return Err(Error::InvalidData);
        }
        let plane: *const u8 = sound.as_ptr().cast();
        // SAFETY: one plane of as many samples of one channel as the slice has; both outlive the call.
        unsafe { self.convert(&raw const plane, sound.len()) }
    }

    /// # Safety
    /// `planes` points to as many planes as `from` has, each with `samples` samples.
    unsafe fn convert(
        &mut self,
        planes: *const *const u8,
        samples: usize,
    ) -> Result<Vec<f32>, Error> {
        if samples > MAX_SAMPLES {
            return Err(Error::InvalidData);
        }
        let count = i32::try_from(samples).map_err(|_| Error::InvalidData)?;
        let channels = usize::from(self.channels);
        // SAFETY: the context is valid; `room` samples of all channels fit into `out`, whose pointer is the only
        // plane that packed samples have; the caller vouches for the input. The constness of the input's pointers
        // differs between releases of FFmpeg, hence the cast; nothing is written there.
        unsafe {
            let context = self.context.as_mut_ptr();
            let room = ffi::swr_get_out_samples(context, count);
            let mut out = vec![0_f32; usize::try_from(room).unwrap_or(0) * channels];
            let mut plane: *mut u8 = out.as_mut_ptr().cast();
            let made = ffi::swr_convert(
                context,
                &raw mut plane,
                room,
                planes.cast_mut().cast(),
                count,
            );
            let made = usize::try_from(made).map_err(|_| Error::from(made))?;
            out.truncate(made * channels);
            Ok(out)
        }
    }
}

/// What the samples of a frame are like.
pub(crate) fn shape(frame: &frame::Audio) -> Shape {
    Shape {
        format: frame.format(),
        channels: frame.channels(),
        rate: frame.rate(),
    }
}
