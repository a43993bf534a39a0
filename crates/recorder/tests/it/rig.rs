//! A recorder with everything around it, and a camera that feeds its ring.

use framewell_blob::BlobStore;
use framewell_catalog::{Catalog, CatalogConfig};
use framewell_fmp4::parse_fragment;
use framewell_footage::{Footage, Piece, Spool};
use framewell_live::{EndReason, Registry, RingConfig, SourceState, Track};
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{
    ChannelId, ChannelStatus, Gap, GapReason, MediaTime, NewChannel, RecMode, RunId, Secret,
    TimeRange, WallClock, WallTime,
};
use framewell_recorder::{Policy, Recorder, RecorderConfig, Rolls, RoomConfig};
use framewell_testkit::account::{Account, Hole};
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A test fails when something has not happened by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// All time there is, as far as tests go.
pub(crate) const EVER: TimeRange = TimeRange {
    start: WallTime::from_micros(0),
    end: WallTime::from_secs(4_000_000_000),
};

/// Polls until there is an answer.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// 4 s at 10 pictures per second, a key frame per second.
pub(crate) fn small_clip() -> ClipSpec {
    ClipSpec {
        width: 320,
        height: 240,
        fps: 10,
        gop: 10,
        frames: 40,
        ..ClipSpec::default()
    }
}

pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) channel: ChannelId,
    pub(crate) catalog: Catalog,
    pub(crate) blobs: BlobStore,
    pub(crate) clock: Arc<MovableClock>,
    pub(crate) node: Node,
    setup: Setup,
}

/// What a rig is made of.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) ring: RingConfig,
    pub(crate) room: RoomConfig,
    pub(crate) max_bytes: Option<u64>,
    /// URL of the database; `None`: SQLite in the rig's folder.
    pub(crate) database: Option<String>,
    /// Folder of the spool; `None`: in the rig's.
    pub(crate) spool: Option<PathBuf>,
    /// `None`: a folder of the rig's.
    pub(crate) blobs: Option<BlobStore>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            ring: RingConfig {
                max_age_us: 600_000_000,
                ..RingConfig::default()
            },
            room: RoomConfig {
                min_free_bytes: 0,
                ..RoomConfig::default()
            },
            max_bytes: None,
            database: None,
            spool: None,
            blobs: None,
        }
    }
}

/// What a crash takes with it.
pub(crate) struct Node {
    pub(crate) registry: Registry,
    pub(crate) spool: Spool,
    pub(crate) recorder: Recorder,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with_ring(ring: RingConfig) -> Self {
        let setup = Setup {
            ring,
            ..Setup::default()
        };
        Self::with(setup).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let own = format!("sqlite:{}", dir.path().join("db").display());
        let url = setup.database.clone().unwrap_or(own);
        let config = CatalogConfig {
            url: Secret::new(url),
            max_connections: 4,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let clock = Arc::new(MovableClock::new(small_clip().start));
        let channel = new_channel(&catalog).await;
        let own = || BlobStore::local(&dir.path().join("objects")).unwrap();
        let blobs = setup.blobs.clone().unwrap_or_else(own);
        let node = Node::new(dir.path(), &setup, &catalog, &blobs, &clock);
        Self {
            dir,
            channel,
            catalog,
            blobs,
            clock,
            node,
            setup,
        }
    }

    pub(crate) fn start(&mut self) {
        let stop = CancellationToken::new();
        self.node.stop = stop.clone();
        self.node.tasks.spawn(self.node.recorder.clone().run(stop));
    }

    pub(crate) fn set_mode(&self, mode: RecMode) {
        self.set_policy(Policy {
            mode,
            retention: None,
            max_bytes: None,
            rolls: None,
        });
    }

    pub(crate) fn set_policy(&self, policy: Policy) {
        let wanted = BTreeMap::from([(self.channel, policy)]);
        self.node.recorder.set_wanted(wanted);
    }

    /// Starts the recorder with its channel on. When this returns it follows the ring: the runtime of
    /// a test has one thread and runs each waiting task once per turn.
    pub(crate) async fn record(&mut self) {
        self.set_mode(RecMode::On);
        self.start();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    /// A graceful end.
    pub(crate) async fn stop(&mut self) {
        self.node.stop.cancel();
        while let Some(ended) = self.node.tasks.join_next().await {
            ended.unwrap();
        }
    }

    /// Ends all tasks where they are, as `kill -9` would; what was in RAM is gone.
    pub(crate) async fn crash(&mut self) {
        self.node.tasks.shutdown().await;
        self.renew();
    }

    fn renew(&mut self) {
        self.node = Node::new(
            self.dir.path(),
            &self.setup,
            &self.catalog,
            &self.blobs,
            &self.clock,
        );
    }

    /// Finishes what a crash interrupted.
    pub(crate) async fn recover(&self) {
        let recovered = self.node.recorder.recover(|channel| channel.rec_mode);
        recovered.await.unwrap();
    }

    /// Compares what a camera sent with what is stored.
    pub(crate) async fn account(&self, sent: &[&AccessUnit]) -> Account {
        let sent: Vec<WallTime> = sent.iter().map(|unit| unit.wall).collect();
        let samples = self.samples().await;
        let video = samples.iter().filter(|s| s.track == TrackKind::Video);
        let stored: Vec<WallTime> = video.map(|sample| sample.wall).collect();
        let holes: Vec<Hole> = self
            .gaps()
            .await
            .into_iter()
            .map(|(start, end, reason)| Hole {
                start,
                end,
                reason: reason.as_str().to_owned(),
            })
            .collect();
        // The file counts in ticks of 11.1 us; both sides round.
        let rounding = Duration::from_micros(20);
        Account::of(&sent, &stored, &holes, rounding, rounding)
    }

    /// The same node with a limit of bytes; nothing may run.
    pub(crate) fn limit_bytes(&mut self, max_bytes: u64) {
        self.setup.max_bytes = Some(max_bytes);
        self.renew();
    }

    pub(crate) fn track(&self) -> Track {
        self.node.registry.track(self.channel)
    }

    pub(crate) fn footage(&self) -> Footage {
        Footage::new(
            self.catalog.clone(),
            self.blobs.clone(),
            self.node.spool.clone(),
        )
    }

    pub(crate) async fn pieces(&self) -> Vec<Piece> {
        self.footage().pieces(self.channel, EVER).await.unwrap()
    }

    pub(crate) async fn gaps(&self) -> Vec<(WallTime, Option<WallTime>, GapReason)> {
        let gaps = self.catalog.gaps_in(self.channel, EVER).await.unwrap();
        let parts = |gap: Gap| (gap.start, gap.end, gap.reason);
        gaps.into_iter().map(parts).collect()
    }

    /// Waits for gap rows that are as wanted.
    pub(crate) async fn until_gaps(
        &self,
        what: &str,
        is_wanted: impl Fn(&[(WallTime, Option<WallTime>, GapReason)]) -> bool,
    ) -> Vec<(WallTime, Option<WallTime>, GapReason)> {
        until(what, async || {
            let gaps = self.gaps().await;
            is_wanted(&gaps).then_some(gaps)
        })
        .await
    }

    /// Waits until this many pictures are in fragments, published or not.
    pub(crate) async fn until_recorded(&self, pictures: usize) {
        until("recorded pictures", async || {
            let samples = self.samples().await;
            let count = samples.iter().filter(|s| s.track == TrackKind::Video);
            (count.count() >= pictures).then_some(())
        })
        .await;
    }

    pub(crate) async fn until_published(&self, segments: usize) -> Vec<Piece> {
        until("published segments", async || {
            let pieces = self.pieces().await;
            let published = pieces.iter().filter(|piece| piece.record.is_some());
            (published.count() >= segments).then_some(pieces)
        })
        .await
    }

    /// Every sample of the channel's footage, in file order.
    pub(crate) async fn samples(&self) -> Vec<Recorded> {
        let footage = self.footage();
        let mut all = Vec::new();
        for piece in self.pieces().await {
            for entry in &piece.index.fragments {
                let range = entry.offset..entry.offset + u64::from(entry.len);
                let bytes = footage.read(&piece, range).await.unwrap();
                for sample in parse_fragment(&bytes).unwrap() {
                    let start = sample.offset as usize;
                    all.push(Recorded {
                        track: sample.track,
                        pts: sample.pts,
                        dts: sample.dts,
                        is_key: sample.is_key,
                        wall: entry.wall_of(sample.pts),
                        data: bytes.slice(start..start + sample.size as usize),
                    });
                }
            }
        }
        all
    }

    /// The video samples and those that were sent are the same, each once, in order.
    pub(crate) async fn assert_recorded(&self, sent: &[&AccessUnit]) {
        let samples = self.samples().await;
        let video: Vec<&Recorded> = samples
            .iter()
            .filter(|s| s.track == TrackKind::Video)
            .collect();
        assert_eq!(video.len(), sent.len(), "pictures");
        for (recorded, sent) in video.iter().zip(sent) {
            assert_eq!(recorded.pts, sent.pts.ticks);
            assert_eq!(recorded.dts, sent.dts.ticks);
            assert_eq!(recorded.is_key, sent.is_key);
            assert!(recorded.data == sent.data, "picture at {}", sent.wall);
            // The file counts in ticks of 11.1 us; both sides round.
            assert!(recorded.wall.micros_since(sent.wall).abs() <= 1);
        }
    }

    /// Files below a folder of the rig.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        files_below(&self.dir.path().join(folder))
    }
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    files
}

pub(crate) struct Recorded {
    pub(crate) track: TrackKind,
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) is_key: bool,
    pub(crate) wall: WallTime,
    pub(crate) data: bytes::Bytes,
}

impl Node {
    fn new(
        dir: &Path,
        setup: &Setup,
        catalog: &Catalog,
        blobs: &BlobStore,
        clock: &Arc<MovableClock>,
    ) -> Self {
        let config = RecorderConfig {
            spool_dir: setup.spool.clone().unwrap_or_else(|| dir.join("spool")),
            segment: Duration::from_secs(2),
            fragment: Duration::from_secs(1),
            max_bytes: setup.max_bytes,
            room: setup.room,
            rolls: Rolls {
                pre: Duration::from_secs(2),
                post: Duration::from_secs(3),
            },
        };
        let clock: Arc<dyn WallClock> = Arc::<MovableClock>::clone(clock);
        let spool = Spool::new();
        let registry = Registry::new(setup.ring, Arc::clone(&clock));
        let recorder = Recorder::new(
            config,
            registry.clone(),
            blobs.clone(),
            catalog.clone(),
            spool.clone(),
            clock,
        );
        Self {
            registry,
            spool,
            recorder,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

pub(crate) async fn new_channel(catalog: &Catalog) -> ChannelId {
    let now = WallTime::from_secs(1_700_000_000);
    let name = Uuid::now_v7().to_string();
    let account = catalog.create_account(&name, now).await.unwrap();
    let new = NewChannel {
        name,
        rec_mode: RecMode::On,
        timezone: "UTC".to_owned(),
        source: None,
        retention_s: None,
        meta: BTreeMap::new(),
    };
    let channel = catalog.create_channel(account.id, &new, now).await.unwrap();
    channel.id
}

/// Plays a clip into a ring, over and over, as ingest would.
pub(crate) struct Camera {
    track: Track,
    clip: EncodedClip,
    run: RunId,
    parameters: Arc<StreamParameters>,
    start: WallTime,
    loops: i64,
    /// Microseconds for which the run has been going on before the first picture pushed.
    since_us: i64,
    /// Everything that was pushed.
    pub(crate) sent: Vec<AccessUnit>,
}

impl Camera {
    /// Begins a run; its first picture is captured at `start`.
    pub(crate) fn connect(rig: &Rig, clip: &EncodedClip, start: WallTime) -> Self {
        let track = rig.track();
        let run = RunId::from_uuid(Uuid::now_v7());
        let parameters = clip.parameters.clone().into_shared();
        set_status(&track, ChannelStatus::Active, start);
        track.begin_run(run, Arc::clone(&parameters));
        Self {
            track,
            clip: clip.starting_at(start),
            run,
            parameters,
            start,
            loops: 0,
            since_us: 0,
            sent: Vec::new(),
        }
    }

    /// The run has been going on for this long, unrecorded.
    pub(crate) fn since(mut self, seconds: i64) -> Self {
        self.since_us = seconds * 1_000_000;
        self
    }

    /// Pushes the whole clip once more.
    pub(crate) fn play(&mut self) {
        let count = self.clip.units.len();
        self.play_units(count);
    }

    /// Pushes the first `count` units of the clip once more.
    pub(crate) fn play_units(&mut self, count: usize) {
        let shift = self.clip.duration.micros() * self.loops;
        let media_shift = self.since_us + shift;
        self.loops += 1;
        for unit in &self.clip.units[..count] {
            let later = |time: MediaTime| {
                MediaTime::new(time.ticks + time.scale.from_micros(media_shift), time.scale)
            };
            let unit = AccessUnit {
                pts: later(unit.pts),
                dts: later(unit.dts),
                wall: unit.wall.plus_micros(shift),
                ..unit.clone()
            };
            assert!(self.track.push(unit.clone()));
            self.sent.push(unit);
        }
    }

    /// Other parameters from the next picture on, which must be a key frame.
    pub(crate) fn change(&mut self, clip: &EncodedClip) {
        self.clip = clip.starting_at(self.start);
        self.parameters = clip.parameters.clone().into_shared();
        self.track.set_parameters(Arc::clone(&self.parameters));
    }

    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    /// Capture time of the next picture, which is the end of the one before.
    pub(crate) fn end(&self) -> WallTime {
        self.start
            .plus_micros(self.clip.duration.micros() * self.loops)
    }

    pub(crate) fn video(&self) -> Vec<&AccessUnit> {
        let is_video = |unit: &&AccessUnit| unit.track == TrackKind::Video;
        self.sent.iter().filter(is_video).collect()
    }

    /// The camera goes away.
    pub(crate) fn disconnect(&self, status: ChannelStatus) {
        set_status(&self.track, status, self.end());
        self.track.end_run(EndReason::CameraLost);
    }

    /// The session ends for another reason.
    pub(crate) fn end_run(&self, reason: EndReason) {
        self.track.end_run(reason);
    }
}

pub(crate) fn set_status(track: &Track, status: ChannelStatus, since: WallTime) {
    track.set_source_state(SourceState {
        status,
        since,
        detail: None,
        run: None,
    });
}
