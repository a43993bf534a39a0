//! One RTSP connection: requests in, packets out.

use super::control::SessionCommand;
use super::packet::{Packets, ntp};
use super::requests::Exchange;
use super::state::{CameraState, Sample};
use crate::clock::wall_now;
use framewell_media::TrackKind;
use framewell_model::WallTime;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::broadcast::{self, error::RecvError};

/// Media time between two sender reports.
const REPORT_INTERVAL_US: i64 = 1_000_000;
/// Most bytes of a request that is not complete yet.
const MAX_REQUEST: usize = 64 << 10;

/// All cameras of a server by name.
pub(super) type Cameras = Arc<BTreeMap<String, Arc<CameraState>>>;

/// Serves a connection until it ends.
pub(super) async fn serve(stream: TcpStream, cameras: Cameras) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let session = Session {
        exchange: Exchange::new(cameras, stream.peer_addr()?.ip()),
        stream,
        input: Vec::new(),
        output: Vec::new(),
        scratch: Vec::new(),
        play: None,
        commands: None,
        is_hung: false,
    };
    session.run().await
}

struct Session {
    stream: TcpStream,
    exchange: Exchange,
    input: Vec<u8>,
    output: Vec<u8>,
    scratch: Vec<u8>,
    play: Option<Play>,
    commands: Option<broadcast::Receiver<SessionCommand>>,
    is_hung: bool,
}

/// What a session in play needs.
struct Play {
    camera: Arc<CameraState>,
    feed: broadcast::Receiver<Sample>,
    /// Nothing is sent before the next key frame.
    waits_for_key: bool,
    /// Capture time in the last report of each track.
    reported: [Option<WallTime>; 2],
}

impl Drop for Play {
    fn drop(&mut self) {
        self.camera.watchers.send_modify(|watchers| *watchers -= 1);
    }
}

enum Event {
    Readable,
    Sample(Sample),
    Lagged,
    Command(SessionCommand),
}

enum Next {
    GoOn,
    End,
}

impl Session {
    async fn run(mut self) -> io::Result<()> {
        loop {
            let next = match self.next_event().await? {
                Event::Readable => self.read().await?,
                Event::Sample(sample) => self.send(&sample).await?,
                Event::Lagged => {
                    if let Some(play) = &mut self.play {
                        play.waits_for_key = true;
                    }
                    Next::GoOn
                }
                Event::Command(command) => self.obey(command).await?,
            };
            if matches!(next, Next::End) {
                return Ok(());
            }
        }
    }

    async fn next_event(&mut self) -> io::Result<Event> {
        let sample = async {
            match &mut self.play {
                Some(play) => match play.feed.recv().await {
                    Ok(sample) => Event::Sample(sample),
                    Err(RecvError::Lagged(_)) => Event::Lagged,
                    // The camera is going away, and its sessions with it.
                    Err(RecvError::Closed) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let command = async {
            match &mut self.commands {
                Some(commands) => match commands.recv().await {
                    Ok(command) => command,
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = command => Ok(Event::Command(command)),
            ready = self.stream.readable() => ready.map(|()| Event::Readable),
            event = sample => Ok(event),
        }
    }

    async fn read(&mut self) -> io::Result<Next> {
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => return Ok(Next::End),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::GoOn),
            Err(error) => return Err(error),
        }
        if self.is_hung {
            self.input.clear();
            return Ok(Next::GoOn);
        }
        loop {
            match rtsp_types::Message::<Vec<u8>>::parse(&self.input) {
                Ok((message, length)) => {
                    self.input.drain(..length);
                    if let rtsp_types::Message::Request(request) = message
                        && matches!(self.answer(&request).await?, Next::End)
                    {
                        return Ok(Next::End);
                    }
                }
                Err(rtsp_types::ParseError::Incomplete(_)) if self.input.len() < MAX_REQUEST => {
                    return Ok(Next::GoOn);
                }
                Err(_) => return Ok(Next::End),
            }
        }
    }

    async fn answer(&mut self, request: &rtsp_types::Request<Vec<u8>>) -> io::Result<Next> {
        let Some(answer) = self.exchange.answer(request).await? else {
            return Ok(Next::End);
        };
        if self.commands.is_none()
            && let Some(camera) = self.exchange.camera()
        {
            self.commands = Some(camera.commands.subscribe());
        }
        let mut bytes = Vec::new();
        answer
            .response
            .write(&mut bytes)
            .map_err(io::Error::other)?;
        self.stream.write_all(&bytes).await?;
        if answer.starts_play
            && let Some(camera) = self.exchange.camera()
        {
            self.play = Some(Play::new(camera));
            if camera.faults().serves_one_session {
                // This session, too, is told; it looks only from now on.
                let _others = camera.commands.send(SessionCommand::Reset);
                self.commands = Some(camera.commands.subscribe());
            }
        }
        Ok(if answer.ends { Next::End } else { Next::GoOn })
    }

    async fn send(&mut self, sample: &Sample) -> io::Result<Next> {
        let Some(play) = &mut self.play else {
            return Ok(Next::GoOn);
        };
        if play.waits_for_key && !(sample.is_key && sample.track == TrackKind::Video) {
            return Ok(Next::GoOn);
        }
        play.waits_for_key = false;
        let which = usize::from(sample.track == TrackKind::Audio);
        let Some(track) = &mut self.exchange.tracks[which] else {
            return Ok(Next::GoOn);
        };
        self.output.clear();
        let (skew_us, lost) = play.consult_faults(sample);
        let is_report_due = play.reported[which]
            .is_none_or(|last| sample.capture.micros_since(last) >= REPORT_INTERVAL_US);
        if let Some(skew_us) = skew_us
            && is_report_due
        {
            play.reported[which] = Some(sample.capture);
            let time = ntp(sample.capture.plus_micros(skew_us).micros());
            track.report(time, sample.rtp_time, &mut self.output).await;
        }
        track
            .send(sample, lost, &mut self.output, &mut self.scratch)
            .await;
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
        }
        Ok(Next::GoOn)
    }

    async fn send_metadata(&mut self, document: &str, is_whole: bool) -> io::Result<()> {
        let (Some(_), Some(track)) = (&self.play, &mut self.exchange.tracks[2]) else {
            return Ok(());
        };
        let now = wall_now();
        let sample = Sample {
            mark: None,
            track: TrackKind::Video,
            is_key: false,
            rtp_time: u32::try_from(now.micros().rem_euclid(1 << 32)).unwrap_or(0),
            capture: now,
            packets: Arc::new(Packets::metadata(document, is_whole)),
        };
        self.output.clear();
        track
            .send(&sample, 0, &mut self.output, &mut self.scratch)
            .await;
        self.stream.write_all(&self.output).await
    }

    async fn obey(&mut self, command: SessionCommand) -> io::Result<Next> {
        match command {
            SessionCommand::Hang => {
                self.is_hung = true;
                self.play = None;
                self.input.clear();
                Ok(Next::GoOn)
            }
            SessionCommand::Close => Ok(Next::End),
            SessionCommand::Reset => {
                self.stream.set_zero_linger()?;
                Ok(Next::End)
            }
            SessionCommand::Garbage => {
                let garbage: Vec<u8> = (0..2_000u32)
                    .map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3] | 0x80)
                    .collect();
                self.stream.write_all(&garbage).await?;
                Ok(Next::GoOn)
            }
            SessionCommand::Metadata(document, is_whole) => {
                self.send_metadata(&document, is_whole).await?;
                Ok(Next::GoOn)
            }
        }
    }
}

impl Play {
    fn new(camera: &Arc<CameraState>) -> Self {
        camera.plays.send_modify(|plays| *plays += 1);
        camera.watchers.send_modify(|watchers| *watchers += 1);
        Self {
            feed: camera.feed.subscribe(),
            camera: Arc::clone(camera),
            waits_for_key: true,
            reported: [None; 2],
        }
    }

    /// The skew of sender reports (`None` if none are sent), and how many packets of this sample
    /// are lost.
    fn consult_faults(&self, sample: &Sample) -> (Option<i64>, usize) {
        let mut faults = self.camera.faults();
        let skew = (!faults.is_silent_about_time).then_some(faults.ntp_skew_us);
        if sample.track == TrackKind::Audio || faults.packets_to_lose == 0 {
            return (skew, 0);
        }
        let count = u32::try_from(sample.packets.count()).unwrap_or(u32::MAX);
        let lost = faults.packets_to_lose.min(count);
        faults.packets_to_lose -= lost;
        (skew, usize::try_from(lost).unwrap_or(0))
    }
}
