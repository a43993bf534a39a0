//! A session that watches: follows the channel's ring and sends what str0m makes of it.

use super::clock::{PlayClock, Ticks};
use super::control::{self, Wish};
use super::negotiate::check_video;
use super::peer::Peer;
use super::queue::{Queue, Queued};
use super::recorded::{Next, Recorded};
use super::shelf::Shelf;
use super::sound::{self, Hearing};
use framewell_access::sessions::Session;
use framewell_ingest::publish::Ended;
use framewell_live::{Batch, Start, Subscriber, Track, Wake};
use framewell_media::{AudioCodec, StreamParameters, TrackKind, VideoCodec};
use framewell_model::{ChannelId, ErrorKind, HasKind, WallClock, WallTime};
use framewell_playback::Playback;
use framewell_playback::replay::{Replay, ReplayError};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use str0m::channel::ChannelId as DataChannel;
use str0m::media::{Frequency, MediaKind, MediaTime, Mid, Pt};
use str0m::rtp::AbsCaptureTime;
use str0m::{Event, IceConnectionState, RtcError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A client that does not connect in this time has gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests for a key frame are answered at most this often: each costs a GOP.
const KEY_FRAME_EVERY: Duration = Duration::from_millis(500);
/// Nobody needs more wishes in a session than the largest of these lists.
const MAX_EVENTS: usize = 1_024;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the client did not connect")]
    NeverConnected,
    #[error("the client has gone")]
    Gone,
    #[error("it was ended")]
    Asked,
    #[error("the server stops")]
    Stopped,
    #[error("its ticket, its token or an operator ended it")]
    Revoked,
    #[error("{0}")]
    Unpublished(#[from] Ended),
    #[error("the channel sends what was not agreed on")]
    Changed,
    #[error("the connection broke: {0}")]
    Broke(#[from] std::io::Error),
    #[error("the protocol failed: {0}")]
    Protocol(#[from] RtcError),
}

/// What others want of a session.
#[derive(Debug)]
pub(super) enum Order {
    /// The answer to our offer.
    Accept(String, oneshot::Sender<Result<(), String>>),
    End,
}

/// What a viewer is made from.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) channel: ChannelId,
    pub(super) track: Track,
    pub(super) shelf: Arc<Shelf>,
    pub(super) clock: Arc<dyn WallClock>,
    /// Recorded footage, if the viewer may see it.
    pub(super) playback: Option<Playback>,
    pub(super) video: VideoCodec,
    pub(super) audio: Option<AudioCodec>,
    /// Transcoded sound, if that is what `audio` is.
    pub(super) hearing: Option<Hearing>,
    pub(super) session: Session,
    pub(super) pending: Option<str0m::change::SdpPendingOffer>,
    /// The media of our offer.
    pub(super) offered: Vec<(Mid, MediaKind)>,
    pub(super) orders: mpsc::Receiver<Order>,
}

/// One medium on the wire.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) mid: Mid,
    pub(super) pt: Pt,
    pub(super) ticks: Ticks,
    pub(super) rate: Frequency,
}

/// Where units come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The client is not connected, or has paused live, or footage is over.
    Nothing,
    Live(Subscriber),
    Recorded(Box<Recorded>),
}

/// What came from there.
#[derive(Debug)]
enum News {
    Live(Batch),
    Recorded(Next),
    Found(Result<Replay, ReplayError>, f64),
}

struct Seeking(BoxFuture<'static, Result<Replay, ReplayError>>);

impl std::fmt::Debug for Seeking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seeking")
    }
}

/// The session.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) peer: Peer,
    pub(super) seat: Seat,
    pub(super) source: Source,
    /// Footage that is being looked for, and the speed to play it at.
    seeking: Option<(Seeking, f64)>,
    pub(super) is_paused: bool,
    queue: Queue,
    pub(super) play: PlayClock,
    video: Option<Line>,
    pub(super) audio: Option<Line>,
    control: Option<DataChannel>,
    began: Instant,
    is_connected: bool,
    restarted: Option<Instant>,
    /// The next picture that is shown is told to the viewer.
    is_news: bool,
    end: Option<End>,
    missed: u64,
}

impl Viewer {
    pub(super) fn new(peer: Peer, seat: Seat, now: Instant) -> Self {
        Self {
            peer,
            seat,
            source: Source::Nothing,
            seeking: None,
            is_paused: false,
            queue: Queue::new(now),
            play: PlayClock::new(),
            video: None,
            audio: None,
            control: None,
            began: now,
            is_connected: false,
            restarted: None,
            is_news: false,
            end: None,
            missed: 0,
        }
    }

    /// Runs until one side has had enough.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        // One wait each for the whole session: new ones for every picture would have all sessions meet
        // at the lock of `stop`.
        let over = self.seat.session.end_token();
        let end = tokio::select! {
            ended = self.serve() => ended.unwrap_or_else(|end| end),
            () = stop.cancelled() => End::Stopped,
            () = over.cancelled() => End::Revoked,
        };
        let (channel, missed) = (self.seat.channel.get(), self.missed);
        tracing::debug!(channel.id = channel, missed, reason = %end, "webrtc session ended");
        self.peer.close().await;
    }

    async fn serve(&mut self) -> Result<End, End> {
        let mut events = Vec::new();
        loop {
            let now = Instant::now();
            self.send_due(now, &mut events)?;
            self.peer.drive(now, &mut events)?;
            self.handle_events(&mut events, now);
            // An event may have left something to say.
            self.peer.drive(now, &mut events)?;
            let sent = self.peer.flush().await?;
            self.seat.session.add_bytes(sent);
            if let Some(end) = self.end.take() {
                return Ok(end);
            }
            if !events.is_empty() {
                continue;
            }
            self.wait(&mut events).await?;
        }
    }

    async fn wait(&mut self, events: &mut Vec<Event>) -> Result<(), End> {
        let wake = tokio::time::Instant::from_std(self.wake_at());
        let is_fed = self.is_fed();
        let news = next_news(&mut self.source, &mut self.seeking, is_fed);
        tokio::select! {
            datagram = self.peer.receive() => match datagram {
                Some(datagram) => self.peer.take(datagram, Instant::now(), events)?,
                None => self.end = Some(End::Gone),
            },
            news = news => self.hear_news(news, Instant::now()),
            sound = sound::heard(&mut self.seat.hearing) => self.send_opus(&sound, Instant::now())?,
            order = self.seat.orders.recv() => self.obey(order),
            () = tokio::time::sleep_until(wake) => {
                if !self.is_connected && self.began.elapsed() >= CONNECT_TIMEOUT {
                    self.end = Some(End::NeverConnected);
                }
            }
        }
        Ok(())
    }

    /// Whether units are taken from the source.
    const fn is_fed(&self) -> bool {
        let is_full = matches!(self.source, Source::Recorded(_)) && !self.queue.takes_recorded();
        !self.is_paused && !is_full
    }

    fn wake_at(&self) -> Instant {
        let mut wake = self.peer.deadline();
        if let Some(due) = self.queue.due() {
            wake = wake.min(due);
        }
        if !self.is_connected {
            wake = wake.min(self.began + CONNECT_TIMEOUT);
        }
        wake
    }

    fn obey(&mut self, order: Option<Order>) {
        match order {
            Some(Order::Accept(answer, done)) => {
                // Whoever asked may have gone.
                let _unheard = done.send(self.accept(&answer));
            }
            Some(Order::End) | None => self.end = Some(End::Asked),
        }
    }

    fn accept(&mut self, answer: &str) -> Result<(), String> {
        let pending = self.seat.pending.take();
        let pending = pending.ok_or("the offer has been answered already")?;
        let answer = str0m::change::SdpAnswer::from_sdp_string(answer);
        let answer = answer.map_err(|error| error.to_string())?;
        let accepted = self.peer.rtc.sdp_api().accept_answer(pending, answer);
        accepted.map_err(|error| error.to_string())?;
        // What this side offered is not told as added.
        for (mid, kind) in std::mem::take(&mut self.seat.offered) {
            self.add_line(mid, kind);
        }
        if self.video.is_none() {
            return Err("the answer takes no video".to_owned());
        }
        Ok(())
    }

    fn handle_events(&mut self, events: &mut Vec<Event>, now: Instant) {
        for event in events.drain(..).take(MAX_EVENTS) {
            match event {
                Event::Connected => self.connected(),
                Event::Closed
                | Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                    self.end = Some(End::Gone);
                }
                Event::MediaAdded(media) => self.add_line(media.mid, media.kind),
                Event::KeyframeRequest(_) => self.answer_loss(now),
                Event::ChannelOpen(id, _) => {
                    self.control = Some(id);
                    // What plays already is told to it, too.
                    self.is_news = true;
                }
                Event::ChannelData(data) => self.hear(data.id, &data.data),
                _ => {}
            }
        }
    }

    fn connected(&mut self) {
        self.is_connected = true;
        self.go_live();
    }

    /// From the newest key frame on.
    fn go_live(&mut self) {
        self.leave_out();
        self.play.cut(1.0);
        self.is_news = true;
        self.seeking = None;
        self.hear_live();
        self.source = Source::Live(self.seat.track.subscribe(Start::NewestKey));
    }

    fn add_line(&mut self, mid: Mid, kind: MediaKind) {
        let Some(writer) = self.peer.rtc.writer(mid) else {
            return;
        };
        let Some(payload) = writer.payload_params().next() else {
            return;
        };
        let rate = payload.spec().clock_rate;
        let line = Line {
            mid,
            pt: payload.pt(),
            ticks: Ticks::new(rate.get()),
            rate,
        };
        match kind {
            MediaKind::Video => self.video = Some(line),
            MediaKind::Audio => self.audio = Some(line),
        }
    }

    /// The client cannot decode what it has: it gets the newest GOP again from its key frame, at once.
    fn answer_loss(&mut self, now: Instant) {
        let is_recent = |last: Instant| now.duration_since(last) < KEY_FRAME_EVERY;
        // Whoever has paused is sent nothing, and asks again when it goes on.
        if self.is_paused || self.restarted.is_some_and(is_recent) {
            return;
        }
        metrics::counter!("framewell_webrtc_key_frame_requests_total").increment(1);
        self.restarted = Some(now);
        match &self.source {
            Source::Nothing => {}
            Source::Live(_) => {
                self.leave_out();
                self.source = Source::Live(self.seat.track.subscribe(Start::NewestKey));
            }
            Source::Recorded(recorded) => {
                if let Some(again) = recorded.again() {
                    self.leave_out();
                    self.take_recorded(again, now);
                }
            }
        }
    }

    fn hear_news(&mut self, news: News, now: Instant) {
        match news {
            News::Live(batch) => self.take(&batch, now),
            News::Recorded(next) => self.take_recorded(next, now),
            News::Found(Ok(replay), speed) => {
                self.seeking = None;
                self.leave_out();
                self.is_paused = false;
                self.is_news = true;
                self.hear_recorded();
                self.source = Source::Recorded(Box::new(Recorded::new(replay, speed)));
            }
            News::Found(Err(error), _) => {
                self.seeking = None;
                self.say(&control::refused(error.kind(), &error.to_string()));
            }
        }
    }

    fn take_recorded(&mut self, next: Next, now: Instant) {
        match next {
            Next::Units(news) => {
                if !self.is_agreed(&news.parameters) {
                    let words =
                        "the footage is coded in what was not agreed on: open another session";
                    self.say(&control::refused(ErrorKind::FailedPrecondition, words));
                    self.source = Source::Nothing;
                    return;
                }
                if news.is_cut {
                    let speed = self.speed();
                    self.play.cut(speed);
                }
                let (run, lead) = (news.run, news.lead);
                self.transcode_recorded(run, &news.parameters, &news.units);
                let time = (&mut self.play, age_us(self.began, now));
                self.queue
                    .push(&news.parameters, run, &news.units, lead, time);
            }
            Next::Gap(range) => self.say(&control::gap(range.start, range.end)),
            Next::End => {
                self.source = Source::Nothing;
                self.say(&control::ended("there is no later footage"));
            }
            Next::Failed(error) => {
                self.source = Source::Nothing;
                self.say(&control::refused(error.kind(), &error.to_string()));
            }
        }
    }

    fn speed(&self) -> f64 {
        match &self.source {
            Source::Recorded(recorded) => recorded.speed(),
            Source::Nothing | Source::Live(_) => 1.0,
        }
    }

    fn take(&mut self, batch: &Batch, now: Instant) {
        if !self.is_agreed(&batch.parameters) {
            self.end = Some(End::Changed);
            self.say(&control::ended("the channel sends what was not agreed on"));
            return;
        }
        let age_us = age_us(self.began, now);
        let late = self.queue.push_live(batch, &mut self.play, age_us);
        let missed = late + batch.missed_gops;
        if missed > 0 {
            self.count_missed(missed);
            let channel = self.seat.channel.get();
            tracing::info!(
                channel.id = channel,
                frames = missed,
                "webrtc viewer lagged, goes on at a key frame"
            );
            self.say(&control::missed(missed));
        }
    }

    /// Drops what waits, because something else is to be sent.
    fn leave_out(&mut self) {
        let pictures = self.queue.clear();
        self.count_missed(pictures);
    }

    fn count_missed(&mut self, pictures: u64) {
        self.missed += pictures;
        self.seat.session.add_missed(pictures);
        metrics::counter!("framewell_webrtc_missed_frames_total").increment(pictures);
    }

    /// Whether the client was told to expect this. Sound that changes is left out instead.
    fn is_agreed(&self, parameters: &StreamParameters) -> bool {
        parameters.video.codec == self.seat.video && check_video(&parameters.video).is_ok()
    }

    fn send_due(&mut self, now: Instant, events: &mut Vec<Event>) -> Result<(), RtcError> {
        while !self.is_paused
            && let Some(queued) = self.queue.pop(now)
        {
            match queued.unit.track {
                TrackKind::Video => self.send_picture(&queued, now)?,
                TrackKind::Audio => self.send_sound(&queued, now)?,
            }
            self.peer.drive(now, events)?;
        }
        Ok(())
    }

    fn send_picture(&mut self, queued: &Queued, now: Instant) -> Result<(), RtcError> {
        let Some(line) = &mut self.video else {
            return Ok(());
        };
        let ticks = match queued.squeezed_by {
            0 => line.ticks.next(queued.play_us),
            left => line.ticks.squeezed(queued.play_us, left),
        };
        let at = instant_of(queued.wall, now, self.seat.clock.now());
        let data = self
            .seat
            .shelf
            .annex_b(&queued.unit, &queued.parameters.video);
        if let Some(writer) = self.peer.rtc.writer(line.mid) {
            let captured = AbsCaptureTime {
                capture_time: system_time(queued.unit.wall),
                clock_offset: None,
            };
            let time = MediaTime::new(ticks, line.rate);
            writer
                .abs_capture_time(captured)
                .write(line.pt, at, time, data)?;
        }
        let is_told = queued.squeezed_by == 0 && self.control.is_some();
        if is_told && std::mem::take(&mut self.is_news) {
            let is_live = matches!(self.source, Source::Live(_));
            self.say(&control::playing(queued.unit.wall, is_live, self.speed()));
        }
        Ok(())
    }

    fn send_sound(&mut self, queued: &Queued, now: Instant) -> Result<(), RtcError> {
        let codec = queued.parameters.audio.as_ref().map(|audio| audio.codec);
        let Some(line) = self.audio.as_mut().filter(|_| codec == self.seat.audio) else {
            return Ok(());
        };
        let ticks = line.ticks.next(queued.play_us);
        let at = instant_of(queued.wall, now, self.seat.clock.now());
        if let Some(writer) = self.peer.rtc.writer(line.mid) {
            let time = MediaTime::new(ticks, line.rate);
            writer.write(line.pt, at, time, &queued.unit.data[..])?;
        }
        Ok(())
    }

    fn hear(&mut self, channel: DataChannel, message: &[u8]) {
        self.control = Some(channel);
        match control::read(message) {
            Err(words) => self.say(&control::refused(ErrorKind::InvalidArgument, &words)),
            Ok(wishes) => wishes.into_iter().for_each(|wish| self.fulfil(wish)),
        }
    }

    fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Live => {
                self.is_paused = false;
                self.go_live();
            }
            Wish::Pause(true) => {
                self.is_paused = true;
                self.queue.clear();
                if matches!(self.source, Source::Live(_)) {
                    self.source = Source::Nothing;
                }
                self.say(&control::paused());
            }
            Wish::Pause(false) => self.go_on(),
            Wish::Seek(time, speed) => self.seek(time, speed),
            Wish::Speed(speed) => match &mut self.source {
                Source::Recorded(recorded) => {
                    recorded.set_speed(speed);
                    self.is_news = true;
                }
                Source::Nothing | Source::Live(_) => self.say(&control::refused(
                    ErrorKind::FailedPrecondition,
                    "live has one speed",
                )),
            },
        }
    }

    fn go_on(&mut self) {
        if !std::mem::take(&mut self.is_paused) {
            return;
        }
        match &mut self.source {
            Source::Recorded(recorded) => {
                recorded.go_on();
                self.is_news = true;
            }
            Source::Nothing | Source::Live(_) => self.go_live(),
        }
    }

    /// What plays goes on until the footage is found.
    fn seek(&mut self, time: WallTime, speed: f64) {
        let Some(playback) = self.seat.playback.clone() else {
            let words = "this session was opened with a right to live video only";
            return self.say(&control::refused(ErrorKind::PermissionDenied, words));
        };
        let channel = self.seat.channel;
        let looking = async move { playback.replay(channel, time, None).await };
        self.seeking = Some((Seeking(looking.boxed()), speed));
    }

    pub(super) fn say(&mut self, message: &Value) {
        let channel = self.control.and_then(|id| self.peer.rtc.channel(id));
        if let Some(mut channel) = channel {
            let text = message.to_string();
            // A channel whose buffer is full belongs to a client that does not listen.
            if let Err(error) = channel.write(false, text.as_bytes()) {
                tracing::debug!(%error, "a webrtc viewer was not told");
            }
        }
    }
}

/// Waits for units, or for footage that was looked for. Cancel-safe.
async fn next_news(
    source: &mut Source,
    seeking: &mut Option<(Seeking, f64)>,
    is_fed: bool,
) -> News {
    let found = async {
        match seeking {
            Some((Seeking(looking), speed)) => (looking.await, *speed),
            None => std::future::pending().await,
        }
    };
    let unit = async {
        match source {
            Source::Live(live) if is_fed => News::Live(live.next(Wake::EveryUnit).await),
            Source::Recorded(recorded) if is_fed => News::Recorded(recorded.next().await),
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        (found, speed) = found => News::Found(found, speed),
        news = unit => news,
    }
}

/// How long a session has lasted, in microseconds.
fn age_us(began: Instant, now: Instant) -> i64 {
    i64::try_from(now.duration_since(began).as_micros()).unwrap_or(i64::MAX)
}

/// The instant of a capture time, for what only knows instants; now for what is not of now.
pub(super) fn instant_of(wall: Option<WallTime>, now: Instant, wall_now: WallTime) -> Instant {
    let Some(wall) = wall else {
        return now;
    };
    let ago_us = u64::try_from(wall_now.micros_since(wall)).unwrap_or(0);
    now.checked_sub(Duration::from_micros(ago_us))
        .unwrap_or(now)
}

fn system_time(wall: WallTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(wall.micros()).unwrap_or(0))
}

#[cfg(test)]
#[path = "viewer_tests.rs"]
mod tests;
