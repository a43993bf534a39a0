//! A channel with a camera, and what came out of it.

use framewell_ingest::{Ingest, IngestConfig};
use framewell_live::{
    Batch, Registry, RingConfig, SourceState, Start, Subscriber, SystemClock, Track, Wake,
};
use framewell_media::{AccessUnit, TrackKind};
use framewell_model::{
    CameraSource, ChannelId, ChannelStatus, RtspTransport, RunId, Secret, WallTime,
};
use framewell_testkit::camera::{Camera, CameraConfig, Source};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Nothing that a test waits for takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn impatient() -> IngestConfig {
    IngestConfig {
        silence: Duration::from_millis(1_500),
        connect: Duration::from_secs(10),
        backoff_min: Duration::from_millis(50),
        backoff_max: Duration::from_millis(200),
        metadata: true,
        ..IngestConfig::default()
    }
}

/// A short clip with a key frame every 0.4 s.
pub(crate) fn spec() -> ClipSpec {
    ClipSpec {
        width: 320,
        height: 240,
        gop: 10,
        frames: 50,
        ..ClipSpec::default()
    }
}

pub(crate) fn channel(number: i64) -> ChannelId {
    ChannelId::new(number).unwrap()
}

pub(crate) fn source(camera: &Camera) -> CameraSource {
    CameraSource {
        url: camera.url(),
        login: camera.login().to_owned(),
        password: Secret::new(camera.password().to_owned()),
        transport: RtspTransport::Tcp,
    }
}

/// A running ingest.
pub(crate) struct Rig {
    pub(crate) ingest: Ingest,
    pub(crate) registry: Registry,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Rig {
    pub(crate) fn new(config: IngestConfig) -> Self {
        let registry = Registry::new(RingConfig::default(), Arc::new(SystemClock));
        let ingest = Ingest::new(config, registry.clone(), Arc::new(SystemClock));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(ingest.clone().run(stop.clone()));
        Self {
            ingest,
            registry,
            stop,
            tasks,
        }
    }

    /// Channel 1 with this source.
    pub(crate) fn with(source: CameraSource) -> (Self, Viewer) {
        let rig = Self::new(impatient());
        let viewer = rig.viewer(1);
        rig.ingest
            .set_wanted(BTreeMap::from([(channel(1), source)]));
        (rig, viewer)
    }

    pub(crate) fn viewer(&self, number: i64) -> Viewer {
        let track = self.registry.track(channel(number));
        Viewer {
            subscriber: track.subscribe(Start::Oldest),
            track,
        }
    }

    /// Stops everything and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(LIMIT, self.tasks.join_next()).await;
        ended.unwrap().unwrap().unwrap();
    }
}

/// A reader of one channel.
pub(crate) struct Viewer {
    pub(crate) track: Track,
    subscriber: Subscriber,
}

/// A unit and the batch it came in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) unit: AccessUnit,
    pub(crate) run: RunId,
    pub(crate) width: u32,
}

impl Viewer {
    /// Waits until `done` accepts the units so far.
    pub(crate) async fn until(&mut self, done: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let mut seen = Vec::new();
        let wait = async {
            while !done(&seen) {
                let batch: Batch = self.subscriber.next(Wake::EveryUnit).await;
                let (run, width) = (batch.run, batch.parameters.video.width);
                let units = batch.units.into_iter();
                seen.extend(units.map(|unit| Seen { unit, run, width }));
            }
        };
        let is_in_time = tokio::time::timeout(LIMIT, wait).await.is_ok();
        let state = self.track.source_state().borrow().clone();
        assert!(is_in_time, "{} units, {state:?}", seen.len());
        seen
    }

    /// Waits for this many video units.
    pub(crate) async fn video(&mut self, count: usize) -> Vec<Seen> {
        let video = |s: &Seen| s.unit.track == TrackKind::Video;
        let mut seen = self
            .until(|seen| seen.iter().filter(|s| video(s)).count() >= count)
            .await;
        seen.retain(video);
        seen
    }

    /// Waits for a state.
    pub(crate) async fn state(&self, status: ChannelStatus) -> SourceState {
        let mut states = self.track.source_state();
        let wait = states.wait_for(|state| {
            // While it connects, a channel is offline without having failed.
            state.status == status && state.detail.as_deref() != Some("connecting")
        });
        match tokio::time::timeout(LIMIT, wait).await {
            Ok(state) => state.unwrap().clone(),
            Err(_) => panic!(
                "no {status:?} within the limit: {:?}",
                self.track.source_state().borrow()
            ),
        }
    }
}

/// A clip and a camera that plays it.
pub(crate) async fn playing(spec: &ClipSpec) -> (Camera, Arc<EncodedClip>) {
    let clip = Arc::new(spec.encode().unwrap());
    let config = CameraConfig::new(Source::Clip(Arc::clone(&clip)));
    (Camera::start(config).await.unwrap(), clip)
}

/// The number in the stamp of the picture that this unit holds.
pub(crate) fn frame_number(clip: &EncodedClip, unit: &AccessUnit) -> u32 {
    let found = clip.video().find(|u| u.data == unit.data);
    let pts = found.expect("the unit is one of the clip's").pts.ticks;
    let earlier = clip.video().filter(|u| u.pts.ticks < pts).count();
    u32::try_from(earlier).unwrap()
}

/// Largest distance between a unit's wall time and the camera's truth, in microseconds.
pub(crate) fn largest_error_us(camera: &Camera, clip: &EncodedClip, seen: &[Seen]) -> i64 {
    let errors = seen.iter().map(|s| {
        let frame = frame_number(clip, &s.unit);
        let capture = camera.truth().capture_near(frame, s.unit.wall).unwrap();
        s.unit.wall.micros_since(capture).abs()
    });
    errors.max().unwrap()
}

pub(crate) fn now() -> WallTime {
    framewell_testkit::clock::wall_now()
}
