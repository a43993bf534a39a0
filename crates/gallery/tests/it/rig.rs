//! A gallery on a folder and SQLite, with one channel.

use bytes::Bytes;
use framewell_blob::BlobStore;
use framewell_catalog::{Catalog, CatalogConfig, ImageFilter, NewSegment, Order, Slice};
use framewell_decode::{Pool, PoolConfig};
use framewell_footage::{Footage, Spool};
use framewell_gallery::{ChannelPolicy, Gallery, GalleryConfig, NewPicture, Stored};
use framewell_imaging::Imaging;
use framewell_live::{Registry, RingConfig};
use framewell_model::{
    AccountId, ChannelId, ClockSource, FrameId, ImageId, ImageOrigin, NewChannel, RecMode, RunId,
    Secret, SegmentId, StoredImage, TimeRange, WallClock, WallTime,
};
use framewell_testkit::clock::MovableClock;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// When each test begins.
pub(crate) const START: WallTime = WallTime::from_secs(1_714_550_400);

pub(crate) struct Rig {
    pub(crate) catalog: Catalog,
    pub(crate) gallery: Gallery,
    pub(crate) clock: Arc<MovableClock>,
    pub(crate) account: AccountId,
    pub(crate) channel: ChannelId,
    dir: TempDir,
}

impl Rig {
    pub(crate) async fn new(config: GalleryConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::local(&dir.path().join("objects")).unwrap();
        Self::with(dir, blobs, config).await
    }

    pub(crate) async fn with(dir: TempDir, blobs: BlobStore, config: GalleryConfig) -> Self {
        let url = format!("sqlite:{}", dir.path().join("catalog.db").display());
        let open = CatalogConfig {
            url: Secret::new(url),
            max_connections: 4,
        };
        let catalog = Catalog::open(&open).await.unwrap();
        let clock = Arc::new(MovableClock::new(START));
        let gallery = gallery(
            &catalog,
            blobs,
            config,
            Arc::clone(&clock) as Arc<dyn WallClock>,
        );
        let account = catalog.create_account("owner", START).await.unwrap().id;
        let mut rig = Self {
            catalog,
            gallery,
            clock,
            account,
            channel: ChannelId::new(1).unwrap(),
            dir,
        };
        rig.channel = rig.new_channel("gate").await;
        rig
    }

    pub(crate) async fn new_channel(&self, name: &str) -> ChannelId {
        let new = NewChannel {
            name: name.into(),
            rec_mode: RecMode::On,
            timezone: "UTC".into(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        let channel = self.catalog.create_channel(self.account, &new, START).await;
        channel.unwrap().id
    }

    /// A picture captured so many seconds after [`START`].
    pub(crate) fn picture(&self, seconds: i64) -> NewPicture {
        NewPicture {
            channel: self.channel,
            origin: ImageOrigin::GeneratedFromRecords,
            origin_id: Some(55),
            captured: at(seconds),
            clock: ClockSource::CameraRtcp,
            frame: FrameId {
                run: RunId::from_uuid(Uuid::from_u128(7)),
                ticks: seconds * 90_000,
            },
            width: 1280,
            height: 720,
            data: Bytes::from(vec![u8::try_from(seconds % 251).unwrap(); 1_000]),
        }
    }

    pub(crate) async fn store(&self, picture: &NewPicture) -> ImageId {
        match self.gallery.store(picture).await.unwrap() {
            Stored::New(id) | Stored::Known(id) => id,
        }
    }

    /// All pictures of the channel that readers see, oldest first.
    pub(crate) async fn seen(&self) -> Vec<StoredImage> {
        let filter = ImageFilter {
            channels: vec![self.channel],
            ..ImageFilter::default()
        };
        let all = Slice {
            limit: 1_000,
            offset: 0,
        };
        let page = self.catalog.list_images(&filter, Order::Ascending, all);
        page.await.unwrap().items
    }

    /// Their capture times, in seconds after [`START`].
    pub(crate) async fn seconds(&self) -> Vec<i64> {
        let seen = self.seen().await;
        let seconds = |image: &StoredImage| image.time.secs() - START.secs();
        seen.iter().map(seconds).collect()
    }

    pub(crate) async fn sweep(&self) {
        self.gallery.sweep().await.unwrap();
    }

    pub(crate) fn set_policy(&self, policy: ChannelPolicy) {
        let wanted = BTreeMap::from([(self.channel, policy)]);
        self.gallery.set_wanted(wanted);
    }

    /// Names of all files in the store.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files_below(&self.dir.path().join("objects"))
    }

    /// A published row of footage; no object lies behind it.
    pub(crate) async fn footage(&self, start: i64, end: i64) {
        let segment = NewSegment {
            id: SegmentId::from_uuid(Uuid::now_v7()),
            channel: self.channel,
            run: RunId::from_uuid(Uuid::now_v7()),
            sequence: 0,
            range: TimeRange::new(at(start), at(end)).unwrap(),
            clock: ClockSource::CameraRtcp,
            size_bytes: 1_000,
            codecs: "avc1.64001f".into(),
            index: Vec::new(),
        };
        let record = self.catalog.stage_segment(&segment, START).await.unwrap();
        self.catalog.publish_segment(record, START).await.unwrap();
    }
}

fn gallery(
    catalog: &Catalog,
    blobs: BlobStore,
    config: GalleryConfig,
    clock: Arc<dyn WallClock>,
) -> Gallery {
    // Nothing is decoded here; a process that holds the socket and says nothing stands for a worker.
    let pool = Pool::start(PoolConfig {
        workers: 1,
        deadline: Duration::from_secs(1),
        queue: 1,
        ..PoolConfig::new("/bin/cat".into())
    });
    let registry = Registry::new(RingConfig::default(), Arc::clone(&clock));
    let footage = Footage::new(catalog.clone(), blobs.clone(), Spool::new());
    let imaging = Imaging::new(registry.clone(), footage, pool.unwrap(), Arc::clone(&clock));
    Gallery::new(catalog.clone(), blobs, registry, imaging, config, clock)
}

pub(crate) fn at(seconds: i64) -> WallTime {
    START.plus_micros(seconds * 1_000_000)
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
