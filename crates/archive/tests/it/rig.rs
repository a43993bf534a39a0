//! Recorded footage as the recorder leaves it: objects, rows with digests, links.

use framewell_archive::{Archive, CheckOptions, CheckReport, Finding, FindingKind, VerifyReport};
use framewell_blob::{BlobStore, ObjectKey, S3Config};
use framewell_catalog::{Catalog, CatalogConfig, NewSegment, SegmentRow};
use framewell_fmp4::{SegmentIdentity, build_fragment, build_linked_init, scan_segment};
use framewell_media::TrackKind;
use framewell_model::{
    AccountId, ChainLink, ChannelId, ClockSource, RunId, Seal, SealSource, Secret, SegmentDigest,
    SegmentId, TimeRange, WallTime,
};
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use framewell_testkit::s3::TestBucket;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const EVER: TimeRange = TimeRange {
    start: WallTime::from_micros(0),
    end: WallTime::from_secs(4_000_000_000),
};

/// Seconds of each segment.
pub(crate) const SEGMENT_S: i64 = 4;

pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) archive: Archive,
    pub(crate) account: AccountId,
    clock: Arc<MovableClock>,
    clip: EncodedClip,
    link: Option<ChainLink>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::local(&dir.path().join("objects")).unwrap();
        Self::with_store(dir, blobs).await
    }

    pub(crate) async fn on_a_bucket() -> Self {
        let bucket = TestBucket::create().unwrap();
        let blobs = BlobStore::s3(&S3Config {
            bucket: bucket.name,
            prefix: "site".to_owned(),
            endpoint: bucket.endpoint,
            region: "us-east-1".to_owned(),
            access_key: "key".to_owned(),
            secret_key: Secret::new("hunter2".to_owned()),
        });
        Self::with_store(tempfile::tempdir().unwrap(), blobs.unwrap()).await
    }

    async fn with_store(dir: TempDir, blobs: BlobStore) -> Self {
        let spec = ClipSpec {
            width: 320,
            height: 240,
            fps: 10,
            gop: 10,
            frames: 40,
            ..ClipSpec::default()
        };
        // Objects carry the time of the machine: what is made now is old by the clock of the check.
        let clock = Arc::new(MovableClock::new(WallTime::from_secs(3_900_000_000)));
        let catalog = open(&dir.path().join("db")).await;
        let account = catalog
            .create_account("owner", spec.start)
            .await
            .unwrap()
            .id;
        let archive = Archive {
            catalog,
            blobs,
            spool_dir: dir.path().join("spool"),
            clock: Arc::<MovableClock>::clone(&clock),
        };
        Self {
            dir,
            archive,
            account,
            clock,
            clip: spec.encode().unwrap(),
            link: None,
        }
    }

    /// Another database, empty, as after the loss of the first.
    pub(crate) async fn lose_the_database(&mut self) {
        self.archive.catalog.close().await;
        let path = self.dir.path().join(format!("db-{}", Uuid::now_v7()));
        self.archive.catalog = open(&path).await;
        let now = self.clip_start();
        let account = self.archive.catalog.create_account("recovered", now);
        self.account = account.await.unwrap().id;
    }

    pub(crate) fn clip_start(&self) -> WallTime {
        self.clip.units[0].wall
    }

    /// Time passes, or has not yet.
    pub(crate) fn set_clock(&self, now: WallTime) {
        self.clock.set(now);
    }

    pub(crate) async fn channel(&self, id: i64) -> ChannelId {
        let channel = ChannelId::new(id).unwrap();
        let now = self.clip_start();
        self.archive
            .catalog
            .restore_channel(self.account, channel, "gate", now)
            .await
            .unwrap();
        channel
    }

    /// A run of segments from `start` (seconds behind the clip's) on, one behind the other.
    pub(crate) async fn record(&mut self, channel: ChannelId, start: i64, count: i64) -> RunId {
        let run = RunId::from_uuid(Uuid::now_v7());
        for number in 0..count {
            let segment = self.segment(channel, run, number, start + number * SEGMENT_S);
            self.publish(&segment).await;
        }
        run
    }

    /// A segment as the recorder writes it; the next one names it.
    pub(crate) fn segment(
        &mut self,
        channel: ChannelId,
        run: RunId,
        sequence: i64,
        offset_s: i64,
    ) -> Recorded {
        let id = SegmentId::from_uuid(Uuid::now_v7());
        self.odd_segment(channel, (run, sequence), id, [offset_s, 0])
    }

    /// The same with this id, and with a pause of so many seconds in its middle.
    pub(crate) fn odd_segment(
        &mut self,
        channel: ChannelId,
        (run, sequence): (RunId, i64),
        segment: SegmentId,
        [offset_s, pause_s]: [i64; 2],
    ) -> Recorded {
        let mut units = self.clip.units.clone();
        let half = units.len() / 2;
        for (number, unit) in units.iter_mut().enumerate() {
            let pause_s = if number < half { 0 } else { pause_s };
            unit.wall = unit.wall.plus_micros((offset_s + pause_s) * 1_000_000);
        }
        let identity = SegmentIdentity {
            segment,
            channel,
            run,
            sequence,
            wall_start: units[0].wall,
            clock: ClockSource::CameraRtcp,
        };
        let parameters = &self.clip.parameters;
        let link = self.link.as_ref();
        let (init, clock) = build_linked_init(parameters, &identity, link, &units);
        let mut bytes = init.to_vec();
        let keys: Vec<usize> = units
            .iter()
            .enumerate()
            .filter(|(_, unit)| unit.track == TrackKind::Video && unit.is_key)
            .map(|(at, _)| at)
            .chain([units.len()])
            .collect();
        for (number, pair) in keys.windows(2).enumerate() {
            let next = units.get(pair[1]).map(|unit| unit.dts.ticks);
            let gop = &units[pair[0]..pair[1]];
            let number = u32::try_from(number + 1).unwrap();
            let fragment = build_fragment(&clock, number, parameters, gop, next);
            bytes.extend_from_slice(&fragment.header);
            fragment
                .payload
                .iter()
                .for_each(|part| bytes.extend_from_slice(part));
        }
        let recorded = Recorded::new(identity, bytes);
        self.link = Some(ChainLink {
            segment: identity.segment,
            digest: recorded.seal.digest,
        });
        recorded
    }

    pub(crate) async fn put(&self, recorded: &Recorded) {
        let data = recorded.bytes.clone().into();
        self.archive
            .blobs
            .put_bytes(&recorded.key(), data)
            .await
            .unwrap();
    }

    pub(crate) async fn publish(&self, recorded: &Recorded) {
        self.put(recorded).await;
        let (row, seal) = (&recorded.row, Some(&recorded.seal));
        let catalog = &self.archive.catalog;
        let record = catalog
            .stage_sealed_segment(row, seal, self.clip_start())
            .await
            .unwrap();
        catalog
            .publish_segment(record, self.clip_start())
            .await
            .unwrap();
    }

    /// Rows of a channel by start, as far as clients can tell them apart.
    pub(crate) async fn rows(&self, channel: ChannelId) -> Vec<SegmentRow> {
        let rows = self
            .archive
            .catalog
            .segment_rows(channel, EVER, None, 1_000);
        rows.await.unwrap()
    }

    pub(crate) async fn read(&self, key: &ObjectKey) -> Vec<u8> {
        let size = self.archive.blobs.size(key).await.unwrap();
        self.archive
            .blobs
            .get_range(key, 0..size)
            .await
            .unwrap()
            .to_vec()
    }

    pub(crate) async fn overwrite(&self, key: &ObjectKey, data: Vec<u8>) {
        self.archive
            .blobs
            .put_bytes(key, data.into())
            .await
            .unwrap();
    }

    pub(crate) async fn check(&self, options: CheckOptions) -> CheckReport {
        self.archive.check(&options, |_| {}).await.unwrap()
    }

    pub(crate) async fn verify(&self, channel: ChannelId) -> VerifyReport {
        self.archive.verify(channel, EVER, |_| {}).await.unwrap()
    }
}

/// What a row says that a rebuilt one has to say too.
pub(crate) fn facts(row: &SegmentRow) -> impl PartialEq + std::fmt::Debug + use<> {
    let segment = &row.segment;
    (
        (segment.id, segment.channel, segment.run, segment.sequence),
        (segment.range, segment.clock, segment.size_bytes),
        (segment.codecs.clone(), segment.index.clone()),
        (row.state, row.seal.unwrap().digest),
    )
}

pub(crate) fn key_of(row: &SegmentRow) -> ObjectKey {
    ObjectKey::Segment {
        channel: row.segment.channel,
        start: row.segment.range.start,
        id: row.segment.id,
    }
}

pub(crate) fn kinds(report: &CheckReport) -> Vec<FindingKind> {
    let kind = |finding: &Finding| finding.kind;
    report.findings.listed.iter().map(kind).collect()
}

/// A segment that may or may not be published.
pub(crate) struct Recorded {
    pub(crate) row: NewSegment,
    pub(crate) seal: Seal,
    pub(crate) bytes: Vec<u8>,
}

impl Recorded {
    fn new(identity: SegmentIdentity, bytes: Vec<u8>) -> Self {
        let scanned = scan_segment(&bytes).unwrap();
        let ends = scanned.index.fragments.iter().map(|f| f.wall_of(f.end_pts));
        Self {
            row: NewSegment {
                id: identity.segment,
                channel: identity.channel,
                run: identity.run,
                sequence: identity.sequence,
                range: TimeRange::new(identity.wall_start, ends.max().unwrap()).unwrap(),
                clock: identity.clock,
                size_bytes: i64::try_from(bytes.len()).unwrap(),
                codecs: scanned.parameters.codecs(),
                index: scanned.index.encode(),
            },
            seal: Seal {
                digest: SegmentDigest::new(Sha256::digest(&bytes).into()),
                source: SealSource::Written,
            },
            bytes,
        }
    }

    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::Segment {
            channel: self.row.channel,
            start: self.row.range.start,
            id: self.row.id,
        }
    }
}

async fn open(path: &Path) -> Catalog {
    let config = CatalogConfig {
        url: Secret::new(format!("sqlite:{}", path.display())),
        max_connections: 4,
    };
    Catalog::open(&config).await.unwrap()
}
