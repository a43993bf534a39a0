//! Sound in AAC or G.711 becomes Opus.

use crate::ffi_sound::{Resampler, Shape, lookahead, open_aac, shape};
use crate::sound_line::{Line, to_micros, to_samples};
use ffmpeg_next::codec::{self, decoder, encoder, packet::Packet};
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::{ChannelLayout, Dictionary, Error, Rational, frame};
use framewell_decode::protocol::sound::{
    Coding, PACKET_SAMPLES, RATE, Reply, Request, read_request,
};
use framewell_decode::protocol::wire::{self, Failure};
use std::io::Write;
use std::os::unix::net::UnixStream;

/// Bits per second of one channel and of two: speech and surroundings without audible loss.
const BIT_RATES: [usize; 2] = [32_000, 64_000];
/// Least and most samples per second of G.711 that is not at its usual 8,000.
const G711_RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// Answers requests until the other side hangs up.
pub(crate) fn serve(mut socket: &UnixStream) -> anyhow::Result<()> {
    let mut track = None;
    while let Some((request, payload)) = read_request(&mut socket)? {
        let mut packets = Vec::new();
        let reply = match answer(&mut track, &request, &payload, &mut packets) {
            Ok(reply) => reply,
            Err(failure) => {
                track = None;
                packets.clear();
                Reply::Failed(failure)
            }
        };
        let head = wire::head(&reply, packets.len())?;
        socket.write_all(&[head, packets].concat())?;
    }
    Ok(())
}

fn answer(
    track: &mut Option<Track>,
    request: &Request,
    payload: &[u8],
    packets: &mut Vec<u8>,
) -> Result<Reply, Failure> {
    let config_len = usize::try_from(request.config_len).unwrap_or(usize::MAX);
    let (config, mut frames) = payload.split_at_checked(config_len).unwrap_or_default();
    if request.begins {
        *track = Some(Track::new(request, config)?);
    }
    let track = track.as_mut().ok_or(Failure::PositionLost)?;
    let (mut times, mut damaged) = (Vec::new(), 0);
    for (at_us, len) in &request.frames {
        let len = usize::try_from(*len).unwrap_or(usize::MAX);
        let (frame, rest) = frames.split_at_checked(len).unwrap_or_default();
        frames = rest;
        // A frame that does not decode leaves a hole, which the line fills.
        damaged += u32::from(!track.take(*at_us, frame)?);
        track.encode(&mut times, packets)?;
    }
    let packets = times;
    Ok(Reply::Packets { packets, damaged })
}

/// A track that becomes Opus.
struct Track {
    decoder: Decoder,
    resampler: Option<Resampler>,
    channels: u16,
    line: Line,
    /// What the line cut off and the encoder has not had.
    ready: Vec<(i64, Vec<f32>)>,
    encoder: encoder::audio::Encoder,
    lookahead: i64,
}

enum Decoder {
    Aac(decoder::Audio),
    G711 { law: fn(u8) -> i16, rate: u32 },
}

impl Track {
    fn new(request: &Request, config: &[u8]) -> Result<Self, Failure> {
        let bad = |error: Error| Failure::Bitstream(format!("the sound's configuration: {error}"));
        let decoder = match request.coding {
            Coding::Aac => Decoder::Aac(open_aac(config).map_err(bad)?),
            Coding::Pcmu => Decoder::g711(mu_law, request)?,
            Coding::Pcma => Decoder::g711(a_law, request)?,
        };
        let channels = match request.coding {
            Coding::Aac => request.channels.clamp(1, 2),
            Coding::Pcmu | Coding::Pcma => 1,
        };
        let encoder = open_opus(channels)?;
        Ok(Self {
            decoder,
            resampler: None,
            channels,
            line: Line::new(usize::from(channels)),
            ready: Vec::new(),
            lookahead: lookahead(&encoder),
            encoder,
        })
    }

    /// Decodes a frame; false if that is not possible.
    fn take(&mut self, at_us: i64, data: &[u8]) -> Result<bool, Failure> {
        match &mut self.decoder {
            Decoder::G711 { law, rate } => {
                let shape = Shape {
                    format: Sample::F32(Type::Packed),
                    channels: 1,
                    rate: *rate,
                };
                let sound: Vec<f32> = data
                    .iter()
                    .map(|byte| f32::from(law(*byte)) / 32_768.0)
                    .collect();
                let (resampler, held) = ready(&mut self.resampler, shape, self.channels)?;
                let sound = resampler.convert_mono(&sound).map_err(unfit)?;
                self.line
                    .push(to_samples(at_us) - held, &sound, &mut self.ready);
                Ok(true)
            }
            Decoder::Aac(decoder) => {
                if decoder.send_packet(&Packet::copy(data)).is_err() {
                    return Ok(false);
                }
                let mut frame = frame::Audio::empty();
                let mut at = to_samples(at_us);
                let mut has_sound = false;
                while decoder.receive_frame(&mut frame).is_ok() {
                    let shape = shape(&frame);
                    let (resampler, held) = ready(&mut self.resampler, shape, self.channels)?;
                    let sound = resampler.convert_frame(&frame).map_err(unfit)?;
                    self.line.push(at - held, &sound, &mut self.ready);
                    let lasted = frame.samples() as u64 * u64::from(RATE);
                    at += i64::try_from(lasted / u64::from(shape.rate.max(1))).unwrap_or(0);
                    has_sound = true;
                }
                Ok(has_sound)
            }
        }
    }

    /// Encodes what is ready: times and lengths to `times`, bytes to `packets`.
    fn encode(
        &mut self,
        times: &mut Vec<(i64, u32)>,
        packets: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let failed = |error: Error| Failure::Invalid(format!("encoding Opus failed: {error}"));
        for (at, sound) in self.ready.drain(..) {
            let layout = ChannelLayout::default(i32::from(self.channels));
            let packed = Sample::F32(Type::Packed);
            let mut frame = frame::Audio::new(packed, PACKET_SAMPLES, layout);
            let bytes = frame.data_mut(0);
            let samples = sound.iter().flat_map(|sample| sample.to_ne_bytes());
            bytes
                .iter_mut()
                .zip(samples)
                .for_each(|(to, byte)| *to = byte);
            frame.set_rate(RATE);
            frame.set_pts(Some(at));
            self.encoder.send_frame(&frame).map_err(failed)?;
            let mut packet = Packet::empty();
            while self.encoder.receive_packet(&mut packet).is_ok() {
                let data = packet.data().unwrap_or_default();
                let len = u32::try_from(data.len()).unwrap_or(0);
                // The encoder gives one packet for each 20 ms at once; what it holds back is inside of them.
                times.push((to_micros(at - self.lookahead), len));
                packets.extend_from_slice(data);
            }
        }
        Ok(())
    }
}

impl Decoder {
    fn g711(law: fn(u8) -> i16, request: &Request) -> Result<Self, Failure> {
        let rate = request.sample_rate;
        if request.channels != 1 || !G711_RATES.contains(&rate) {
            let text = format!("G.711 of {} channels at {rate} Hz", request.channels);
            return Err(Failure::Invalid(text));
        }
        Ok(Self::G711 { law, rate })
    }
}

/// The resampler for this shape, and how many samples of earlier sound its next result begins with.
fn ready(
    kept: &mut Option<Resampler>,
    from: Shape,
    channels: u16,
) -> Result<(&mut Resampler, i64), Failure> {
    // A bitstream may change it at any frame.
    let fitting = kept.take().filter(|kept| kept.from() == from);
    let resampler = match fitting {
        Some(fitting) => fitting,
        None => Resampler::new(from, channels).map_err(unfit)?,
    };
    let resampler = kept.insert(resampler);
    let held = resampler.held();
    Ok((resampler, held))
}

fn unfit(error: Error) -> Failure {
    Failure::Bitstream(format!("the sound cannot be resampled: {error}"))
}

fn open_opus(channels: u16) -> Result<encoder::audio::Encoder, Failure> {
    let missing = || Failure::Invalid("this FFmpeg has no encoder for Opus (libopus)".into());
    let failed = |error: Error| Failure::Invalid(format!("the encoder for Opus: {error}"));
    let codec = encoder::find_by_name("libopus").ok_or_else(missing)?;
    let context = codec::Context::new_with_codec(codec);
    let mut audio = context.encoder().audio().map_err(failed)?;
    audio.set_rate(i32::try_from(RATE).unwrap_or_default());
    audio.set_channel_layout(ChannelLayout::default(i32::from(channels)));
    audio.set_format(Sample::F32(Type::Packed));
    audio.set_time_base(Rational::new(1, i32::try_from(RATE).unwrap_or_default()));
    let bits = BIT_RATES[usize::from(channels.clamp(1, 2)) - 1];
    audio.set_bit_rate(bits);
    let mut options = Dictionary::new();
    options.set("application", "audio");
    options.set("frame_duration", "20");
    // Half of the effort that it can take: no difference for speech, and half of the CPU.
    options.set("compression_level", "5");
    audio.open_as_with(codec, options).map_err(failed)
}

/// ITU-T G.711 mu-law to 16 bits.
fn mu_law(byte: u8) -> i16 {
    const BIAS: i16 = 132;
    let inverted = !byte;
    let (exponent, mantissa) = (inverted >> 4 & 7, i16::from(inverted & 15));
    let magnitude = (((mantissa << 3) + BIAS) << exponent) - BIAS;
    if inverted & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// ITU-T G.711 A-law to 16 bits.
fn a_law(byte: u8) -> i16 {
    let even = byte ^ 0x55;
    let (exponent, mantissa) = (even >> 4 & 7, i16::from(even & 15) << 4);
    let magnitude = match exponent {
        0 => mantissa + 8,
        more => (mantissa + 0x108) << (more - 1),
    };
    if even & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_ends_where_the_tables_of_the_standard_end() {
        assert_eq!([mu_law(0xff), mu_law(0x7f)], [0, 0]);
        assert_eq!([mu_law(0x80), mu_law(0x00)], [32_124, -32_124]);
        assert_eq!([mu_law(0xfe), mu_law(0x7e)], [8, -8]);
        assert_eq!([a_law(0xd5), a_law(0x55)], [8, -8]);
        assert_eq!([a_law(0xaa), a_law(0x2a)], [32_256, -32_256]);
        assert_eq!([a_law(0xc5), a_law(0x45)], [264, -264]);
    }
}
