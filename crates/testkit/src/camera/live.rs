//! A live camera: paints pictures now and has `ffmpeg` encode them.

use super::packet::Packets;
use super::state::{CameraState, Sample};
use crate::clock::wall_now;
use crate::encode::ClipSpec;
use crate::encode::elementary::picture;
use crate::encode::ffmpeg::encoder_options;
use crate::encode::ts::{Pes, TsReader};
use crate::stamp::{Painter, Stamp};
use anyhow::{Context, Result, bail};
use framewell_media::{StreamParameters, TrackKind, VideoParameters};
use framewell_model::{Timescale, WallTime};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Pictures that may be inside the encoder; the painter waits beyond that.
const IN_FLIGHT: usize = 256;

/// A painter that is later than this begins again with the present.
const STANDSTILL: Duration = Duration::from_secs(2);

/// A picture that went into the encoder.
#[derive(Debug, Clone, Copy)]
struct Painted {
    capture: WallTime,
}

/// Paints and encodes until the encoder fails.
pub(super) async fn run(state: Arc<CameraState>, spec: ClipSpec, title: String) -> Result<()> {
    let mut child = Command::new("ffmpeg")
        // Start with the first picture instead of studying the input.
        .args(["-probesize", "32", "-analyzeduration", "0"])
        .args(encoder_options(&spec))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting ffmpeg")?;
    let stdin = child.stdin.take().context("ffmpeg has no input")?;
    let stdout = child.stdout.take().context("ffmpeg has no output")?;
    let (painted_in, painted_out) = mpsc::channel(IN_FLIGHT);
    let sender = LiveSender {
        state: &state,
        painted: painted_out,
        known: Vec::new(),
        next_number: 0,
        first_pts: None,
        ticks_per_frame: 90_000 / i64::from(spec.fps.max(1)),
        parameters: None,
    };
    tokio::select! {
        result = paint(stdin, &spec, &title, painted_in) => result.context("painting"),
        result = send(stdout, sender) => result.context("reading the encoder"),
    }
}

/// Paints a picture per frame interval. A busy machine paints late, but what the camera saw was captured in
/// time: the stamps say when each picture was due. Only after a real standstill it leaves pictures out. Stamps count the pictures that are painted, so that two
/// neighbours in what a reader gets are always neighbours in what the camera showed.
async fn paint(
    mut stdin: ChildStdin,
    spec: &ClipSpec,
    title: &str,
    painted: mpsc::Sender<Painted>,
) -> Result<()> {
    let mut painter = Painter::new(spec.width, spec.height, title);
    let (start, start_wall) = (Instant::now(), wall_now());
    let (mut tick, mut frame) = (0u32, 0u32);
    loop {
        let time_us = spec.pts(tick).micros();
        let due = start + Duration::from_micros(time_us.cast_unsigned());
        tokio::time::sleep_until(due).await;
        if due.elapsed() <= STANDSTILL {
            let capture = start_wall.plus_micros(time_us);
            let stamp = Stamp { frame, capture };
            painted.send(Painted { capture }).await?;
            stdin.write_all(painter.paint(stamp)).await?;
            frame = frame.wrapping_add(1);
        }
        tick = tick.wrapping_add(1);
    }
}

struct LiveSender<'a> {
    state: &'a CameraState,
    painted: mpsc::Receiver<Painted>,
    /// Pictures that are in the encoder: number in its input order, and when captured.
    known: Vec<(i64, Painted)>,
    /// Number of the next picture out of `painted`.
    next_number: i64,
    first_pts: Option<i64>,
    ticks_per_frame: i64,
    parameters: Option<Arc<StreamParameters>>,
}

async fn send(mut stdout: ChildStdout, mut sender: LiveSender<'_>) -> Result<()> {
    let (mut reader, mut packets) = (TsReader::default(), Vec::new());
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = stdout.read(&mut buffer).await?;
        if count == 0 {
            bail!("the encoder ended");
        }
        reader.push(&buffer[..count], &mut packets);
        for pes in packets.drain(..) {
            sender.send(&pes)?;
        }
    }
}

impl LiveSender<'_> {
    fn send(&mut self, pes: &Pes) -> Result<()> {
        let Some(picture) = picture(pes) else {
            return Ok(());
        };
        // The first picture is a key frame, and the first one also in display order.
        let first_pts = *self.first_pts.get_or_insert(pes.pts);
        let index = (pes.pts - first_pts + self.ticks_per_frame / 2) / self.ticks_per_frame;
        let painted = self.take(index).context("a picture nobody painted")?;
        if picture.is_key && self.parameters.is_none() {
            let video =
                VideoParameters::from_parameter_sets(picture.codec, &picture.parameter_sets)?;
            let parameters = StreamParameters { video, audio: None }.into_shared();
            self.parameters = Some(Arc::clone(&parameters));
            self.state.parameters.send_replace(Some(parameters));
        }
        let parameters = self.parameters.as_ref().context("no key frame at first")?;
        let packets = Packets::new(parameters, TrackKind::Video, picture.is_key, &picture.data);
        let scale = Timescale::HZ_90K;
        let ticks = self.state.ticks_at(scale, painted.capture);
        self.state.send(Sample {
            mark: None,
            track: TrackKind::Video,
            is_key: picture.is_key,
            rtp_time: self.state.rtp_time(TrackKind::Video, scale, ticks),
            capture: painted.capture,
            packets: Arc::new(packets),
        });
        Ok(())
    }

    /// The picture with this number in the encoder's input.
    fn take(&mut self, index: i64) -> Option<Painted> {
        while let Ok(painted) = self.painted.try_recv() {
            self.known.push((self.next_number, painted));
            self.next_number += 1;
        }
        let place = self.known.iter().position(|(number, _)| *number == index)?;
        Some(self.known.remove(place).1)
    }
}
