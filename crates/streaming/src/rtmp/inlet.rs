//! From RTMP messages to pictures and sound of a publisher.

use super::chunk::{Message, kind};
use super::flv::{self, AudioTag, VideoTag};
use framewell_ingest::publish::{Ended, Picture, Publisher, Sound};
use framewell_media::{AudioCodec, AudioParameters, ParameterError, VideoParameters};
use framewell_wire::rtmp::ProtocolError;

/// Samples of an AAC frame (ISO/IEC 14496-3 section 4.5.1.1).
const AAC_SAMPLES: i64 = 1_024;
/// G.711 in RTMP (annex E.4.2.1 of the FLV format).
const PCM_RATE: u32 = 8_000;
/// Sound times are whole milliseconds, which a frame seldom is: within this distance frames follow one
/// another without a hole.
const JITTER_MS: i64 = 20;

/// Why a publisher cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0}")]
    Ended(#[from] Ended),
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    #[error("{0}")]
    Parameters(#[from] ParameterError),
}

/// A publisher and what its messages are relative to.
#[derive(Debug)]
pub(super) struct Inlet {
    publisher: Publisher,
    clock: Clock,
    audio: Option<AudioParameters>,
    sound: SoundClock,
}

/// Unwraps times of 32 bits. Sound and pictures share it.
#[derive(Debug, Default)]
struct Clock {
    newest_ms: Option<i64>,
}

impl Clock {
    fn place(&mut self, timestamp: u32) -> i64 {
        let placed = match self.newest_ms {
            None => i64::from(timestamp),
            Some(newest) => {
                let low = u32::try_from(newest.rem_euclid(1 << 32)).expect("a remainder of 2^32");
                newest + i64::from(timestamp.wrapping_sub(low).cast_signed())
            }
        };
        self.newest_ms = Some(placed);
        placed
    }
}

/// Sound times in samples.
#[derive(Debug, Default)]
struct SoundClock {
    next: Option<i64>,
}

impl SoundClock {
    fn place(&mut self, time_ms: i64, rate: u32, samples: i64) -> i64 {
        let rate = i64::from(rate);
        let by_time = time_ms.saturating_mul(rate) / 1_000;
        let follows = |next: &i64| (next - by_time).abs() <= JITTER_MS * rate / 1_000;
        let ticks = self.next.filter(follows).unwrap_or(by_time);
        self.next = Some(ticks + samples);
        ticks
    }
}

impl Inlet {
    pub(super) fn new(publisher: Publisher) -> Self {
        Self {
            publisher,
            clock: Clock::default(),
            audio: None,
            sound: SoundClock::default(),
        }
    }

    pub(super) const fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(super) fn end(self, ended: Ended) {
        self.publisher.end(ended);
    }

    /// Hands on what a message holds.
    pub(super) fn take(&mut self, message: &Message) -> Result<(), Refused> {
        match message.kind {
            kind::VIDEO => self.video(message),
            kind::AUDIO => self.audio(message),
            // What encoders say about themselves is not believed: the parameters say it.
            _ => Ok(()),
        }
    }

    fn video(&mut self, message: &Message) -> Result<(), Refused> {
        match flv::read_video(&message.body)? {
            VideoTag::Parameters(codec, record) => {
                // The record of the encoder may leave out what ours has: it is made anew from its sets.
                let sets = VideoParameters::from_config(codec, record)?.parameter_sets();
                let video = VideoParameters::from_parameter_sets(codec, &sets)?;
                self.publisher.set_video(video)?;
            }
            VideoTag::Picture {
                codec,
                composition_ms,
                data,
            } => {
                let decode_ms = self.clock.place(message.timestamp);
                let shown_ms = decode_ms + i64::from(composition_ms);
                self.publisher.picture(Picture {
                    codec,
                    pts_ticks: shown_ms * 90,
                    dts_ticks: Some(decode_ms * 90),
                    elapsed_ticks: shown_ms * 90,
                    data,
                })?;
            }
            VideoTag::Nothing => {}
        }
        Ok(())
    }

    fn audio(&mut self, message: &Message) -> Result<(), Refused> {
        let time_ms = self.clock.place(message.timestamp);
        let (data, samples) = match flv::read_audio(&message.body)? {
            AudioTag::AacParameters(config) => {
                self.set_audio(AudioParameters::from_aac_config(config)?)?;
                return Ok(());
            }
            AudioTag::Aac(data) => (data, AAC_SAMPLES),
            AudioTag::Pcm {
                codec,
                channels,
                data,
            } => {
                let samples = data.len() / usize::from(channels.max(1));
                self.set_audio(pcm(codec, channels))?;
                (data, i64::try_from(samples).unwrap_or(0))
            }
            AudioTag::Nothing => return Ok(()),
        };
        let Some(audio) = &self.audio else {
            return Ok(());
        };
        let ticks = self.sound.place(time_ms, audio.sample_rate, samples);
        self.publisher.sound(Sound {
            ticks,
            elapsed_ticks: ticks,
            data,
        })?;
        Ok(())
    }

    fn set_audio(&mut self, audio: AudioParameters) -> Result<(), Ended> {
        if self.audio.as_ref() != Some(&audio) {
            self.sound = SoundClock::default();
            self.publisher.set_audio(Some(audio.clone()))?;
            self.audio = Some(audio);
        }
        Ok(())
    }
}

fn pcm(codec: AudioCodec, channels: u16) -> AudioParameters {
    AudioParameters {
        codec,
        sample_rate: PCM_RATE,
        channels,
        config: bytes::Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_when_they_wrap() {
        let mut clock = Clock::default();
        assert_eq!(clock.place(u32::MAX - 9), 0xffff_fff6);
        assert_eq!(clock.place(10), 0x1_0000_000a);
        // Sound and pictures do not come in order.
        assert_eq!(clock.place(u32::MAX), 0xffff_ffff);
        assert_eq!(clock.place(20), 0x1_0000_0014);
    }

    #[test]
    fn frames_of_sound_follow_one_another_in_spite_of_rounding() {
        let mut clock = SoundClock::default();
        for frame in 0..1_000 {
            let time_ms = frame * 1_024 * 1_000 / 44_100;
            assert_eq!(clock.place(time_ms, 44_100, 1_024), frame * 1_024);
        }
        // A hole is kept.
        assert_eq!(clock.place(60_000, 44_100, 1_024), 2_646_000);
    }
}
