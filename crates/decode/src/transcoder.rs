//! Sound that becomes Opus, in a process of its own.

use crate::options::WorkerOptions;
use crate::pool::Error;
use crate::protocol::sound::{Coding, MAX_BYTES, MAX_FRAMES, Reply, Request};
use crate::protocol::wire::Failure;
use crate::worker::{Lost, Worker};
use bytes::Bytes;
use framewell_media::AudioParameters;
use std::path::Path;
use std::time::Duration;

/// Longest time for one request: a second of sound takes ten milliseconds.
const DEADLINE: Duration = Duration::from_secs(5);

/// A piece of sound and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundFrame {
    /// Time of its first sample, in microseconds from wherever the caller counts.
    pub at_us: i64,
    /// One frame of the track that is transcoded, or one packet of Opus.
    pub data: Bytes,
}

/// What came of some frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcoded {
    /// Packets of 20 ms, each 20 ms behind the one before except where the sound has a hole of more than half a
    /// second. Their times allow for what the encoder holds back, so sound stays in step with pictures.
    pub packets: Vec<SoundFrame>,
    /// Frames that did not decode.
    pub damaged: u32,
}

/// A `framewell-decoder` process that makes Opus of one track. Killed when dropped.
#[derive(Debug)]
pub struct Transcoder {
    worker: Worker,
    /// Whether the next request has to begin: the process knows nothing that it could go on with.
    begins: bool,
}

impl Transcoder {
    /// Starts the process, as the workers of a pool are started.
    ///
    /// # Errors
    /// It cannot be started, does not get ready, or has no encoder for Opus.
    pub async fn start(program: &Path, options: &WorkerOptions) -> Result<Self, Error> {
        let failed = |error| Error::of_start(program, &error);
        let mut worker = Worker::spawn_for_sound(program, options).map_err(failed)?;
        worker.greet().await.map_err(failed)?;
        Ok(Self {
            worker,
            begins: true,
        })
    }

    /// Process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.worker.pid()
    }

    /// What comes next is not gone on with: another run, or other parameters.
    pub const fn begin_anew(&mut self) {
        self.begins = true;
    }

    /// Transcodes frames, at most [`MAX_FRAMES`] of [`MAX_BYTES`].
    ///
    /// # Errors
    /// [`Error::Bitstream`] and [`Error::Invalid`]: nothing came of these frames, the next ones are begun with. After
    /// other errors the process is of no use.
    pub async fn transcode(
        &mut self,
        audio: &AudioParameters,
        frames: &[SoundFrame],
    ) -> Result<Transcoded, Error> {
        let request = request(audio, frames, self.begins)?;
        let payload = frames.iter().map(|frame| frame.data.clone());
        let answer = self
            .worker
            .transcode(&request, audio.config.clone(), payload, DEADLINE)
            .await;
        self.begins = true;
        let (reply, payload) = answer.map_err(|lost| match lost {
            Lost::Deadline => Error::Deadline(DEADLINE),
            Lost::Died(how) => Error::Died(how),
        })?;
        match reply {
            Reply::Packets { packets, damaged } => {
                self.begins = false;
                let packets = cut(&packets, payload)?;
                Ok(Transcoded { packets, damaged })
            }
            Reply::Failed(Failure::Bitstream(why)) => Err(Error::Bitstream(why)),
            Reply::Failed(Failure::Invalid(why)) => Err(Error::Invalid(why)),
            Reply::Failed(Failure::PositionLost) => Err(Error::PositionLost),
        }
    }
}

fn request(audio: &AudioParameters, frames: &[SoundFrame], begins: bool) -> Result<Request, Error> {
    let invalid = |text: String| Err(Error::Invalid(text));
    let Some(coding) = Coding::of(audio.codec) else {
        return invalid("Opus needs no transcoding".into());
    };
    let len = |bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let request = Request {
        coding,
        sample_rate: audio.sample_rate,
        channels: audio.channels,
        config_len: len(&audio.config),
        begins,
        frames: frames.iter().map(|f| (f.at_us, len(&f.data))).collect(),
    };
    if request.frames.len() > MAX_FRAMES || request.payload_len() > MAX_BYTES as u64 {
        let (count, bytes) = (request.frames.len(), request.payload_len());
        return invalid(format!(
            "{count} frames of sound with {bytes} bytes at once"
        ));
    }
    Ok(request)
}

/// The packets of an answer.
fn cut(packets: &[(i64, u32)], mut payload: Bytes) -> Result<Vec<SoundFrame>, Error> {
    let short = || Error::Died("its answer has fewer bytes than it says".into());
    packets
        .iter()
        .map(|(at_us, len)| {
            let len = usize::try_from(*len).map_err(|_| short())?;
            let is_there = len <= payload.len();
            let data = is_there.then(|| payload.split_to(len)).ok_or_else(short)?;
            Ok(SoundFrame {
                at_us: *at_us,
                data,
            })
        })
        .collect()
}
