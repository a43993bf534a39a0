//! One attempt with a camera: connect, read, deliver, until something fails.

use crate::audio::Report;
use crate::delivery::{AudioInput, Delivery, VideoInput};
use crate::metadata::{self, MetadataSession};
use crate::parameters::{self, Selection};
use crate::source::Target;
use crate::status::StatusBoard;
use crate::{IngestConfig, SessionError};
use bytes::Bytes;
use framewell_live::{EndReason, Track};
use framewell_model::{RtspTransport, WallClock, WallTime};
use futures::StreamExt;
use retina::client::{
    Demuxed, InitialTimestampPolicy, PlayOptions, Session, SessionGroup, SessionOptions,
    SetupOptions, Transport,
};
use retina::codec::{CodecItem, FrameFormat};
use retina::rtcp::ReceivedCompoundPacket;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a session needs; it borrows from the supervisor, which starts one after the other.
pub(crate) struct CameraSession<'a> {
    pub(crate) config: &'a IngestConfig,
    pub(crate) target: &'a Target,
    pub(crate) transport: RtspTransport,
    pub(crate) track: &'a Track,
    /// Of a sub stream, the track of its main stream.
    pub(crate) main: Option<&'a Track>,
    pub(crate) status: &'a StatusBoard,
    pub(crate) clock: &'a Arc<dyn WallClock>,
    /// Knows which sessions the camera may still hold open.
    pub(crate) group: &'a Arc<SessionGroup>,
    /// Whether to read the camera's metadata, if it has some.
    pub(crate) wants_metadata: bool,
}

/// How a session went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None` if we stopped it.
    pub(crate) error: Option<SessionError>,
    /// How long pictures came.
    pub(crate) delivered: Duration,
    /// How long before the end the camera was first asked for its metadata.
    pub(crate) metadata_for: Option<Duration>,
}

impl CameraSession<'_> {
    /// Runs until the camera fails or `stop`. A run that was begun has ended when this returns.
    pub(crate) async fn run(&self, stop: &CancellationToken) -> Outcome {
        let deadline = Instant::now() + self.config.connect;
        let opened = tokio::select! {
            () = stop.cancelled() => return Outcome::before_pictures(None),
            opened = tokio::time::timeout_at(deadline, Box::pin(self.open())) => opened,
        };
        let (stream, selection) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Outcome::before_pictures(Some(error)),
            Err(_elapsed) => {
                let error = SessionError::ConnectTimeout(self.config.connect);
                return Outcome::before_pictures(Some(error));
            }
        };
        self.read(stream, selection, deadline, stop).await
    }

    async fn open(&self) -> Result<(Demuxed, Selection), SessionError> {
        let options = SessionOptions::default()
            .creds(self.target.credentials.clone())
            .session_group(Arc::clone(self.group))
            .user_agent(String::from("framewell"));
        let opening = |error: retina::Error| SessionError::opening(&error);
        let url = self.target.reachable(&self.config.outbound).await?;
        let mut session = Session::describe(url, options).await.map_err(opening)?;
        let selection = Selection::of(session.streams())?;
        let wanted = std::iter::once(selection.video).chain(selection.audio.map(|a| a.0));
        for index in wanted {
            let transport = match self.transport {
                RtspTransport::Tcp => Transport::Tcp(Default::default()),
                RtspTransport::Udp => Transport::Udp(Default::default()),
            };
            let options = SetupOptions::default()
                .transport(transport)
                .frame_format(FrameFormat::MP4);
            session.setup(index, options).await.map_err(opening)?;
        }
        // Cameras leave the `rtptime` out, or set it wrongly; reports relate the tracks then.
        let play = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
        let session = session.play(play).await.map_err(opening)?;
        let stream = session.demuxed().map_err(opening)?;
        Ok((stream, selection))
    }

    async fn read(
        &self,
        mut stream: Demuxed,
        selection: Selection,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Outcome {
        let audio = selection
            .audio
            .and_then(|(index, codec)| parameters::audio(codec, &stream.streams()[index]));
        let mut reader = Reader {
            session: self,
            selection,
            delivery: Delivery::new(self.track.clone(), self.status.clone(), audio)
                .on_clock_of(self.main.cloned()),
            last_video: None,
            first_video: None,
        };
        let has_metadata = self.wants_metadata && metadata::is_offered(stream.streams());
        // Ends with this session.
        let mut metadata = JoinSet::new();
        let mut asked = None;
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        // One timer for the whole session, moved by the first frame and when it fires: frames cost
        // no timer.
        let watchdog = tokio::time::sleep_until(deadline);
        tokio::pin!(watchdog);
        let error = loop {
            tokio::select! {
                item = stream.next() => match item {
                    Some(Ok(item)) => {
                        let is_open = reader.last_video.is_some();
                        if let Err(error) = reader.take(item, &stream) {
                            break Some(error);
                        }
                        if let (false, Some(first)) = (is_open, reader.last_video) {
                            watchdog.as_mut().reset(first + self.config.silence);
                            if has_metadata {
                                metadata.spawn(self.metadata().follow());
                                asked = Some(first);
                            }
                        }
                    }
                    Some(Err(error)) => break Some(SessionError::streaming(&error)),
                    None => break Some(SessionError::Closed),
                },
                () = &mut stopped => break None,
                () = &mut watchdog => match reader.next_deadline() {
                    Ok(next) => watchdog.as_mut().reset(next),
                    Err(error) => break Some(error),
                },
            }
        };
        Outcome {
            metadata_for: asked.map(|at| at.elapsed()),
            ..reader.finish(error)
        }
    }

    fn metadata(&self) -> MetadataSession {
        MetadataSession {
            target: self.target.clone(),
            track: self.track.clone(),
            clock: Arc::clone(self.clock),
            outbound: self.config.outbound.clone(),
        }
    }
}

impl Outcome {
    const fn before_pictures(error: Option<SessionError>) -> Self {
        Self {
            error,
            delivered: Duration::ZERO,
            metadata_for: None,
        }
    }
}

/// Sorts what the camera sends.
struct Reader<'a> {
    session: &'a CameraSession<'a>,
    selection: Selection,
    delivery: Delivery,
    first_video: Option<Instant>,
    last_video: Option<Instant>,
}

impl Reader<'_> {
    fn take(&mut self, item: CodecItem, stream: &Demuxed) -> Result<(), SessionError> {
        let arrival = self.session.clock.now();
        match item {
            CodecItem::VideoFrame(frame) => {
                let now = Instant::now();
                self.last_video = Some(now);
                self.first_video.get_or_insert(now);
                self.count_lost(frame.loss());
                if frame.has_new_parameters() || !self.delivery.is_active() {
                    let video = &stream.streams()[self.selection.video];
                    if let Some(video) = parameters::video(self.selection.codec, video)? {
                        self.delivery.set_video(video);
                    }
                }
                self.delivery.video(VideoInput {
                    ticks: frame.timestamp().timestamp(),
                    npt_ticks: frame.timestamp().elapsed(),
                    dts_ticks: None,
                    data: Bytes::from(frame.into_data()),
                    arrival,
                });
            }
            CodecItem::AudioFrame(frame) => {
                self.count_lost(frame.loss());
                self.delivery.audio(AudioInput {
                    ticks: frame.timestamp().timestamp(),
                    npt_ticks: frame.timestamp().elapsed(),
                    data: Bytes::copy_from_slice(frame.data()),
                    arrival,
                });
            }
            CodecItem::Rtcp(packet) => self.take_report(&packet, arrival),
            // Metadata has a session of its own, and nothing else has frames.
            _ => {}
        }
        Ok(())
    }

    fn take_report(&mut self, packet: &ReceivedCompoundPacket, arrival: WallTime) {
        let report = packet
            .pkts()
            .next()
            .and_then(|first| first.as_sender_report().ok().flatten());
        let (Some(report), Some(time)) = (report, packet.rtp_timestamp()) else {
            return;
        };
        let report = Report {
            ntp: WallTime::from_ntp(report.ntp_timestamp().0),
            ticks: time.timestamp(),
            arrival,
        };
        if packet.stream_id() == self.selection.video {
            self.delivery.video_report(report);
        } else {
            self.delivery.audio_report(report);
        }
    }

    fn count_lost(&self, packets: u16) {
        if packets > 0 {
            self.session.track.count_lost(packets.into());
        }
    }

    /// When to look again; an error if the camera is silent.
    fn next_deadline(&self) -> Result<Instant, SessionError> {
        let config = self.session.config;
        match self.last_video {
            None => Err(SessionError::ConnectTimeout(config.connect)),
            Some(last) if last.elapsed() >= config.silence => {
                Err(SessionError::Silent(config.silence))
            }
            Some(last) => Ok(last + config.silence),
        }
    }

    fn finish(mut self, error: Option<SessionError>) -> Outcome {
        self.delivery.end(if error.is_some() {
            EndReason::CameraLost
        } else {
            EndReason::Stopped
        });
        let delivered = match (self.first_video, self.last_video) {
            (Some(first), Some(last)) => last.duration_since(first),
            _ => Duration::ZERO,
        };
        Outcome {
            error,
            delivered,
            metadata_for: None,
        }
    }
}
