//! Imaging over a ring that the test fills, an empty catalog, and the real decoder.

use crate::common::{config, gray};
use bytes::Bytes;
use framewell_blob::BlobStore;
use framewell_catalog::{Catalog, CatalogConfig};
use framewell_decode::{Output, Picture, Pool};
use framewell_footage::{Footage, Spool};
use framewell_imaging::{Error, Image, Imaging, Match, Request, When};
use framewell_live::{Registry, RingConfig, SourceState, Track};
use framewell_media::AccessUnit;
use framewell_model::{ChannelId, ChannelStatus, RunId, Secret, WallClock, WallTime};
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use framewell_testkit::stamp::{Stamp, read_stamp};
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) struct Rig {
    pub(crate) clock: Arc<MovableClock>,
    pub(crate) registry: Registry,
    pub(crate) track: Track,
    pub(crate) spool: Spool,
    pub(crate) blobs: BlobStore,
    pub(crate) footage: Footage,
    pub(crate) pool: Pool,
    pub(crate) imaging: Imaging,
    pub(crate) folder: TempDir,
}

pub(crate) fn channel() -> ChannelId {
    ChannelId::new(7).unwrap()
}

pub(crate) fn run(number: u32) -> RunId {
    format!("01900000-0000-7000-8000-{number:012}")
        .parse()
        .unwrap()
}

/// Two seconds with B pictures: closed GOPs of 12 at 25 fps.
pub(crate) fn b_clip() -> (ClipSpec, EncodedClip) {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        gop: 12,
        b_frames: 2,
        frames: 48,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    (spec, clip)
}

impl Rig {
    /// With the clock at `now`.
    pub(crate) async fn new(now: WallTime) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let catalog = Catalog::open(&CatalogConfig {
            url: Secret::new(url),
            max_connections: 2,
        })
        .await
        .unwrap();
        let clock = Arc::new(MovableClock::new(now));
        let registry = Registry::new(RingConfig::default(), Arc::<MovableClock>::clone(&clock));
        let spool = Spool::new();
        let blobs = BlobStore::memory();
        let footage = Footage::new(catalog, blobs.clone(), spool.clone());
        let pool = Pool::start(config()).unwrap();
        let track = registry.track(channel());
        Self {
            imaging: Imaging::new(
                registry.clone(),
                footage.clone(),
                pool.clone(),
                Arc::<MovableClock>::clone(&clock),
            ),
            clock,
            registry,
            track,
            spool,
            blobs,
            footage,
            pool,
            folder,
        }
    }

    /// The camera delivers these pictures, and goes on delivering.
    pub(crate) fn stream<'a>(
        &self,
        number: u32,
        clip: &EncodedClip,
        units: impl IntoIterator<Item = &'a AccessUnit>,
    ) {
        self.show(ChannelStatus::Active);
        let parameters = clip.parameters.clone().into_shared();
        self.track.begin_run(run(number), parameters);
        self.push(units);
    }

    pub(crate) fn push<'a>(&self, units: impl IntoIterator<Item = &'a AccessUnit>) {
        for unit in units {
            assert!(self.track.push(unit.clone()));
        }
    }

    pub(crate) fn show(&self, status: ChannelStatus) {
        self.track.set_source_state(SourceState {
            status,
            since: WallTime::from_secs(0),
            detail: None,
            run: None,
        });
    }

    pub(crate) fn imaging_now(&self) -> WallTime {
        self.clock.now()
    }

    /// A picture near an instant.
    pub(crate) async fn matching(&self, at: WallTime, matching: Match) -> Result<Image, Error> {
        let request = Request {
            matching,
            ..request(Some(at))
        };
        self.imaging.image(&request).await
    }

    pub(crate) async fn image(&self, at: Option<WallTime>) -> Result<Image, Error> {
        self.imaging.image(&request(at)).await
    }
}

pub(crate) fn request(at: Option<WallTime>) -> Request {
    Request {
        channel: channel(),
        when: at.map_or(When::Now, When::At),
        matching: Match::Exact,
        output: Output::jpeg(85),
    }
}

pub(crate) fn stamp(image: &Image) -> Stamp {
    let picture = Picture {
        tag: 0,
        pts: image.frame.ticks,
        width: image.width,
        height: image.height,
        format: image.format,
        data: Bytes::clone(&image.data),
        change: None,
    };
    read_stamp(&gray(&picture)).expect("a readable stamp")
}

/// What is on screen at `at`: the greatest capture time that is not later.
pub(crate) fn on_screen(clip: &EncodedClip, at: WallTime) -> WallTime {
    clip.video()
        .map(|unit| unit.wall)
        .filter(|wall| *wall <= at)
        .max()
        .unwrap()
}
