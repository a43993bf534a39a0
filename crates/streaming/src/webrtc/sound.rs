//! Sound that browsers do not take becomes Opus: in a process of its own for each channel, for all of its viewers.

use bytes::Bytes;
use framewell_access::places::{NoPlace, Place, Places};
use framewell_decode::protocol::sound::{Coding, MAX_FRAMES};
use framewell_decode::{Error, SoundFrame, Transcoded, Transcoder, WorkerOptions};
use framewell_live::{Start, Subscriber, Track, Wake};
use framewell_media::{AccessUnit, AudioParameters, StreamParameters, TrackKind};
use framewell_model::{ChannelId, Holder, RunId, WallTime};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Packets that a viewer may be behind, of 20 ms each; then it misses some.
const PACKETS: usize = 64;
/// Pieces of recorded sound that wait while a process starts; then some are left out.
const PIECES: usize = 64;
/// Pauses before a process that ended is replaced: the first, and the longest of one that ends again and again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// One that ran for so long has shown that it can.
const STEADY: Duration = Duration::from_secs(60);

/// How sound is transcoded.
#[derive(Debug, Clone)]
pub struct SoundConfig {
    /// The `framewell-decoder` executable.
    pub program: PathBuf,
    /// What each process may use.
    pub worker: WorkerOptions,
    /// Places of processes: one for each channel that is listened to live, which whoever came first pays for, and
    /// one for each session that plays recorded footage.
    pub places: Places,
}

/// 20 ms of Opus.
#[derive(Debug, Clone)]
pub(super) struct Sound {
    pub(super) run: RunId,
    /// Which of the listener's seeks it belongs to.
    seek: u64,
    /// Time in the run, in microseconds, as that of pictures.
    pub(super) at_us: i64,
    pub(super) wall: WallTime,
    pub(super) data: Bytes,
}

/// Sound of one run to be transcoded.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) run: RunId,
    pub(super) parameters: Arc<StreamParameters>,
    pub(super) units: Vec<AccessUnit>,
    /// Which of the listener's seeks it follows.
    seek: u64,
}

impl Piece {
    /// The sound among units.
    pub(super) fn of(run: RunId, parameters: &Arc<StreamParameters>, units: &[AccessUnit]) -> Self {
        let is_sound = |unit: &&AccessUnit| unit.track == TrackKind::Audio;
        Self {
            run,
            parameters: Arc::clone(parameters),
            units: units.iter().filter(is_sound).cloned().collect(),
            seek: 0,
        }
    }
}

/// Whether sound is of a kind that can become Opus.
pub(super) fn is_transcodable(audio: &AudioParameters) -> bool {
    Coding::of(audio.codec).is_some()
}

/// Transcodes for whoever listens; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Sounds {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: SoundConfig,
    live: Mutex<HashMap<ChannelId, Weak<Feed>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What keeps a process alive: it ends with the last listener, and its place is free at once.
#[derive(Debug)]
struct Feed {
    packets: broadcast::Sender<Sound>,
    _place: Place,
    _over: DropGuard,
}

/// Hears what came of a track.
#[derive(Debug)]
pub(super) struct Listener {
    packets: broadcast::Receiver<Sound>,
    /// Of recorded footage: where its sound goes.
    pieces: Option<mpsc::Sender<Piece>>,
    /// Seeks so far: the process stays, and what it made of the sound before is not heard.
    seek: u64,
    _feed: Arc<Feed>,
}

/// A viewer's part: it hears live sound, or that of the footage it plays.
#[derive(Debug)]
pub(super) struct Hearing {
    pub(super) sounds: Sounds,
    /// Who pays for what it hears.
    pub(super) holder: Holder,
    pub(super) listener: Option<Listener>,
}

impl Sounds {
    pub(super) fn new(config: SoundConfig, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                live: Mutex::default(),
                tasks,
                stop,
            }),
        }
    }

    /// Hears a channel live; starts its process if nobody else does.
    pub(super) fn listen(
        &self,
        channel: ChannelId,
        track: &Track,
        holder: Holder,
    ) -> Result<Listener, NoPlace> {
        let mut live = self.shared.live.lock();
        if let Some(feed) = live.get(&channel).and_then(Weak::upgrade) {
            return Ok(Listener {
                packets: feed.packets.subscribe(),
                pieces: None,
                seek: 0,
                _feed: feed,
            });
        }
        let place = self.shared.config.places.take(holder)?;
        live.retain(|_, feed| feed.strong_count() > 0);
        let mut subscriber = track.subscribe(Start::NewestKey);
        skip(&mut subscriber);
        let listener = self.begin(channel, Source::Live(subscriber), None, place);
        live.insert(channel, Arc::downgrade(&listener._feed));
        Ok(listener)
    }

    /// Hears what [`Listener::feed`] is given.
    pub(super) fn follow(&self, channel: ChannelId, holder: Holder) -> Result<Listener, NoPlace> {
        let place = self.shared.config.places.take(holder)?;
        let (pieces, given) = mpsc::channel(PIECES);
        Ok(self.begin(channel, Source::Given(given), Some(pieces), place))
    }

    fn begin(
        &self,
        channel: ChannelId,
        source: Source,
        pieces: Option<mpsc::Sender<Piece>>,
        place: Place,
    ) -> Listener {
        let (sender, packets) = broadcast::channel(PACKETS);
        let over = CancellationToken::new();
        let work = Work {
            channel,
            shared: Arc::clone(&self.shared),
            source,
            packets: sender.clone(),
        };
        self.shared.tasks.spawn(work.run(over.clone()));
        Listener {
            packets,
            pieces,
            seek: 0,
            _feed: Arc::new(Feed {
                packets: sender,
                _place: place,
                _over: over.drop_guard(),
            }),
        }
    }
}

impl Listener {
    /// Whether it hears a channel live.
    pub(super) const fn is_live(&self) -> bool {
        self.pieces.is_none()
    }

    /// What is fed from now on is of another place of the footage.
    pub(super) const fn seek(&mut self) {
        self.seek += 1;
    }

    /// Sound of recorded footage, when it is due.
    pub(super) fn feed(&self, mut piece: Piece) {
        piece.seek = self.seek;
        if let Some(pieces) = self.pieces.as_ref().filter(|_| !piece.units.is_empty()) {
            // A process that starts, or starts again, misses some.
            let _left_out = pieces.try_send(piece);
        }
    }
}

/// The next packet that a viewer hears. Cancel-safe.
pub(super) async fn heard(hearing: &mut Option<Hearing>) -> Sound {
    let listener = hearing
        .as_mut()
        .and_then(|hearing| hearing.listener.as_mut());
    if let Some(listener) = listener {
        loop {
            match listener.packets.recv().await {
                Ok(sound) if sound.seek == listener.seek => return sound,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break,
            }
        }
    }
    std::future::pending().await
}

/// Where sound comes from.
#[derive(Debug)]
enum Source {
    Live(Subscriber),
    Given(mpsc::Receiver<Piece>),
}

impl Source {
    /// Waits for more; `None` when there will be none.
    async fn next(&mut self) -> Option<Piece> {
        match self {
            Self::Live(live) => {
                let batch = live.next(Wake::EveryUnit).await;
                Some(Piece::of(batch.run, &batch.parameters, &batch.units))
            }
            Self::Given(given) => given.recv().await,
        }
    }

    /// What is there already is of the past.
    fn skip(&mut self) {
        match self {
            Self::Live(live) => skip(live),
            Self::Given(given) => while given.try_recv().is_ok() {},
        }
    }
}

fn skip(live: &mut Subscriber) {
    while live.try_next().is_some() {}
}

/// One process and its successors.
struct Work {
    channel: ChannelId,
    shared: Arc<Shared>,
    source: Source,
    packets: broadcast::Sender<Sound>,
}

impl Work {
    async fn run(mut self, over: CancellationToken) {
        let stop = self.shared.stop.clone();
        let gauge = metrics::gauge!("framewell_sound_transcoders");
        gauge.increment(1.0);
        tokio::select! {
            () = self.work() => {}
            () = over.cancelled() => {}
            () = stop.cancelled() => {}
        }
        gauge.decrement(1.0);
    }

    async fn work(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let Err(error) = self.transcode().await else {
                return;
            };
            if began.elapsed() > STEADY {
                pause = FIRST_PAUSE;
            }
            let channel = self.channel.get();
            tracing::warn!(channel.id = channel, %error, "a transcoder of sound ended and is replaced");
            metrics::counter!("framewell_sound_transcoder_restarts_total").increment(1);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.source.skip();
        }
    }

    /// Runs one process for as long as it lives, or there is sound.
    async fn transcode(&mut self) -> Result<(), Error> {
        let config = &self.shared.config;
        let mut transcoder = Transcoder::start(&config.program, &config.worker).await?;
        let mut present: Option<(RunId, u64, Arc<StreamParameters>)> = None;
        let mut is_told = false;
        while let Some(piece) = self.source.next().await {
            let audio = piece.parameters.audio.as_ref();
            let Some(audio) = audio.filter(|audio| is_transcodable(audio)) else {
                continue;
            };
            let goes_on = present.as_ref().is_some_and(|(run, seek, parameters)| {
                (*run, *seek) == (piece.run, piece.seek)
                    && parameters.audio == piece.parameters.audio
            });
            if !goes_on {
                transcoder.begin_anew();
                present = Some((piece.run, piece.seek, Arc::clone(&piece.parameters)));
            }
            for units in piece.units.chunks(MAX_FRAMES) {
                let frames: Vec<SoundFrame> = units.iter().map(frame).collect();
                match transcoder.transcode(audio, &frames).await {
                    Ok(made) => self.send(made, (piece.run, piece.seek), units),
                    Err(error @ (Error::Bitstream(_) | Error::Invalid(_))) => {
                        count_damaged(frames.len() as u64);
                        if !std::mem::replace(&mut is_told, true) {
                            let channel = self.channel.get();
                            tracing::warn!(channel.id = channel, %error, "sound is left out");
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn send(&self, made: Transcoded, (run, seek): (RunId, u64), units: &[AccessUnit]) {
        count_damaged(made.damaged.into());
        let Some(newest) = units.last() else { return };
        for packet in made.packets {
            let since_us = packet.at_us - newest.pts.micros();
            let sound = Sound {
                run,
                seek,
                at_us: packet.at_us,
                wall: newest.wall.plus_micros(since_us),
                data: packet.data,
            };
            // Nobody may listen at this moment: then the task is about to be ended.
            let _unheard = self.packets.send(sound);
        }
    }
}

fn frame(unit: &AccessUnit) -> SoundFrame {
    SoundFrame {
        at_us: unit.pts.micros(),
        data: unit.data.clone(),
    }
}

fn count_damaged(frames: u64) {
    if frames > 0 {
        metrics::counter!("framewell_sound_damaged_frames_total").increment(frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_access::places::Occupation;
    use framewell_model::AccountId;

    fn sounds(places: Places) -> Sounds {
        let config = SoundConfig {
            program: PathBuf::from("no-such-program"),
            worker: WorkerOptions::default(),
            places,
        };
        Sounds::new(config, TaskTracker::new(), CancellationToken::new())
    }

    fn holder(account: i64) -> Holder {
        Holder {
            account: AccountId::new(account).unwrap(),
            serial: None,
        }
    }

    #[tokio::test]
    async fn a_place_is_free_as_soon_as_nobody_listens() {
        let sounds = sounds(Places::new(Occupation::Transcoder, 1, 100));
        let channel = ChannelId::new(1).unwrap();
        let first = sounds.follow(channel, holder(1)).unwrap();
        let error = sounds.follow(channel, holder(2)).unwrap_err();
        assert!(matches!(error, NoPlace::Full { limit: 1, .. }), "{error}");
        drop(first);
        // Nothing has run since.
        sounds.follow(channel, holder(2)).unwrap();
    }

    #[tokio::test]
    async fn who_has_a_share_of_the_places_leaves_the_others_theirs() {
        let sounds = sounds(Places::new(Occupation::Transcoder, 4, 50));
        let channel = ChannelId::new(1).unwrap();
        let follow = |account| sounds.follow(channel, holder(account));
        let _taken = (follow(1).unwrap(), follow(1).unwrap());
        let error = follow(1).unwrap_err();
        assert!(matches!(error, NoPlace::Share { limit: 2, .. }), "{error}");
        let _others = (follow(2).unwrap(), follow(2).unwrap());
        let error = follow(3).unwrap_err();
        assert!(matches!(error, NoPlace::Full { limit: 4, .. }), "{error}");
    }
}
