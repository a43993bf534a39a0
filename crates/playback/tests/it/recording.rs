//! Recordings made of clips: segments in a store, rows in a catalog, some of it still in the spool.

use bytes::Bytes;
use framewell_blob::{BlobStore, ObjectKey};
use framewell_catalog::{Catalog, CatalogConfig, NewGap, NewSegment, SegmentFacts};
use framewell_fmp4::{
    SampleTables, SegmentIdentity, SegmentIndex, build_fragment, build_segment_init, fingerprint,
};
use framewell_footage::{Footage, Spool, SpoolSegment};
use framewell_live::{Registry, RingConfig};
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{
    ChannelId, ClockSource, GapReason, NewChannel, RecMode, RecordId, RunId, Secret, SegmentId,
    TimeRange, WallTime,
};
use framewell_playback::Playback;
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::EncodedClip;
use framewell_testkit::stamp::{Stamp, read_stamps_video_bytes};
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

/// How a clip is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cuts {
    /// Key frames per segment.
    pub(crate) gops: usize,
    /// Pictures per fragment at most.
    pub(crate) pictures: usize,
}

pub(crate) struct Recording {
    pub(crate) playback: Playback,
    pub(crate) channel: ChannelId,
    pub(crate) catalog: Catalog,
    pub(crate) records: Vec<RecordId>,
    pub(crate) dir: TempDir,
    /// Whether rows are as they were before they told of samples.
    pub(crate) is_old: bool,
    /// What rows tell of samples, without their sizes, instead of the truth.
    pub(crate) crafted: Option<Vec<u8>>,
    keys: Vec<ObjectKey>,
    pub(crate) registry: Registry,
    blobs: BlobStore,
    spool: Spool,
    now: WallTime,
}

/// A segment file that is written but nowhere known.
struct Written {
    identity: SegmentIdentity,
    path: PathBuf,
    index: SegmentIndex,
    codecs: String,
}

impl Written {
    fn range(&self) -> TimeRange {
        let ends = self
            .index
            .fragments
            .iter()
            .map(|entry| entry.wall_of(entry.end_pts));
        TimeRange::new(self.identity.wall_start, ends.max().unwrap()).unwrap()
    }
}

impl Recording {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = WallTime::from_secs(1_767_225_600);
        let url = Secret::new(format!("sqlite:{}", dir.path().join("db").display()));
        let catalog = Catalog::open(&CatalogConfig {
            url,
            max_connections: 4,
        })
        .await
        .unwrap();
        let account = catalog.create_account("test", now).await.unwrap().id;
        let new = NewChannel {
            name: "camera".to_owned(),
            rec_mode: RecMode::On,
            timezone: "UTC".to_owned(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        let channel = catalog.create_channel(account, &new, now).await.unwrap().id;
        let blobs = BlobStore::local(&dir.path().join("objects")).unwrap();
        let spool = Spool::new();
        let footage = Footage::new(catalog.clone(), blobs.clone(), spool.clone());
        let registry = Registry::new(RingConfig::default(), Arc::new(MovableClock::new(now)));
        let playback = Playback::new(registry.clone(), footage);
        Self {
            registry,
            playback,
            channel,
            catalog,
            records: Vec::new(),
            dir,
            is_old: false,
            crafted: None,
            keys: Vec::new(),
            blobs,
            spool,
            now,
        }
    }

    /// Publishes a clip as one run.
    pub(crate) async fn publish(&mut self, clip: &EncodedClip, cuts: Cuts) {
        let run = RunId::from_uuid(Uuid::now_v7());
        self.publish_run(clip, cuts, run).await;
    }

    /// Publishes a clip as this run.
    pub(crate) async fn publish_run(&mut self, clip: &EncodedClip, cuts: Cuts, run: RunId) {
        for written in self.write(clip, cuts, run) {
            let range = written.range();
            let key = ObjectKey::Segment {
                channel: self.channel,
                start: range.start,
                id: written.identity.segment,
            };
            let row = NewSegment {
                id: written.identity.segment,
                channel: self.channel,
                run: written.identity.run,
                sequence: written.identity.sequence,
                range,
                clock: ClockSource::CameraRtcp,
                size_bytes: i64::try_from(written.index.len_bytes()).unwrap(),
                codecs: written.codecs.clone(),
                index: written.index.encode(),
            };
            let samples = self.samples_of(&written);
            let runs = self.crafted.clone();
            let facts = SegmentFacts {
                sample_runs: &runs.unwrap_or_else(|| samples.encode_runs()),
                sample_sizes: samples.encoded_sizes(),
                ..SegmentFacts::default()
            };
            let staging = self.catalog.stage_known_segment(&row, facts, self.now);
            let record = staging.await.unwrap();
            self.blobs.put_file(&key, &written.path).await.unwrap();
            self.catalog
                .publish_segment(record, self.now)
                .await
                .unwrap();
            self.records.push(record);
            self.keys.push(key);
        }
    }

    /// The samples as they get into the row.
    fn samples_of(&self, written: &Written) -> SampleTables {
        match self.is_old {
            true => SampleTables::default(),
            false => written.index.samples.clone(),
        }
    }

    /// Leaves a clip in the spool, as a recorder that writes now.
    pub(crate) fn spool(&self, clip: &EncodedClip, cuts: Cuts) {
        let run = RunId::from_uuid(Uuid::now_v7());
        for written in self.write(clip, cuts, run) {
            let id = written.identity.segment;
            self.spool.open(&SpoolSegment {
                identity: written.identity,
                path: written.path,
                init_len: written.index.init_len,
            });
            for entry in written.index.fragments {
                self.spool.append(id, entry);
            }
        }
    }

    /// The same recording after a restart of the server: nothing of it is in memory.
    pub(crate) fn restarted(&self) -> Playback {
        let footage = Footage::new(self.catalog.clone(), self.blobs.clone(), Spool::new());
        Playback::new(self.registry.clone(), footage)
    }

    /// What lies in the object of a record.
    pub(crate) fn object(&self, number: usize) -> PathBuf {
        self.dir
            .path()
            .join("objects")
            .join(self.keys[number].path())
    }

    /// Deletes the object of a record, behind the catalog's back.
    pub(crate) async fn lose(&self, number: usize) {
        self.blobs.delete(&self.keys[number]).await.unwrap();
    }

    fn write(&self, clip: &EncodedClip, cuts: Cuts, run: RunId) -> Vec<Written> {
        let gops = split(&clip.units, |unit| unit.is_key);
        let segments: Vec<_> = gops.chunks(cuts.gops).collect();
        let start_dts = |gops: &&[Vec<AccessUnit>]| gops[0][0].dts.ticks;
        segments
            .iter()
            .enumerate()
            .map(|(sequence, gops)| {
                let identity = SegmentIdentity {
                    segment: SegmentId::from_uuid(Uuid::now_v7()),
                    channel: self.channel,
                    run,
                    sequence: i64::try_from(sequence).unwrap(),
                    wall_start: gops[0][0].wall,
                    clock: ClockSource::CameraRtcp,
                };
                let end_dts = segments.get(sequence + 1).map(start_dts);
                self.write_segment(identity, &clip.parameters, gops, end_dts, cuts)
            })
            .collect()
    }

    fn write_segment(
        &self,
        identity: SegmentIdentity,
        parameters: &StreamParameters,
        gops: &[Vec<AccessUnit>],
        end_dts: Option<i64>,
        cuts: Cuts,
    ) -> Written {
        let pieces: Vec<_> = gops
            .iter()
            .flat_map(|gop| fragments_of(gop, cuts.pictures))
            .collect();
        let (init, clock) = build_segment_init(parameters, &identity, &pieces[0]);
        let mut file = init.to_vec();
        let init_len = u32::try_from(file.len()).unwrap();
        let mut index = SegmentIndex {
            init_len,
            parameters: fingerprint(parameters),
            ..SegmentIndex::default()
        };
        for (number, units) in pieces.iter().enumerate() {
            let next = pieces
                .get(number + 1)
                .map_or(end_dts, |next| Some(first_dts(next)));
            let sequence = u32::try_from(number + 1).unwrap();
            let fragment = build_fragment(&clock, sequence, parameters, units, next);
            let mut entry = fragment.entry;
            entry.offset = file.len() as u64;
            index.push(entry, &fragment.samples);
            file.extend_from_slice(&fragment.header);
            file.extend(fragment.payload.iter().flatten());
        }
        let path = self.dir.path().join(format!("{}.mp4", identity.segment));
        std::fs::write(&path, &file).unwrap();
        Written {
            identity,
            path,
            index,
            codecs: parameters.codecs(),
        }
    }

    pub(crate) async fn insert_gap(&self, start: WallTime, end: WallTime) {
        let reason = GapReason::CameraOffline;
        let gap = NewGap {
            channel: self.channel,
            start,
            end: Some(end),
            reason,
        };
        self.catalog.insert_gap(gap).await.unwrap();
    }
}

/// Splits before every video unit that `starts`.
fn split(units: &[AccessUnit], starts: impl Fn(&AccessUnit) -> bool) -> Vec<Vec<AccessUnit>> {
    let mut parts: Vec<Vec<AccessUnit>> = Vec::new();
    for unit in units {
        if unit.track == TrackKind::Video && starts(unit) {
            parts.push(Vec::new());
        }
        parts.last_mut().unwrap().push(unit.clone());
    }
    parts
}

fn fragments_of(gop: &[AccessUnit], pictures: usize) -> Vec<Vec<AccessUnit>> {
    let single = split(gop, |_| true);
    single.chunks(pictures).map(<[_]>::concat).collect()
}

fn first_dts(units: &[AccessUnit]) -> i64 {
    units
        .iter()
        .find(|unit| unit.track == TrackKind::Video)
        .unwrap()
        .dts
        .ticks
}

/// All bytes of a body.
pub(crate) async fn collect(body: framewell_playback::ByteStream) -> Vec<u8> {
    let chunks: Vec<Bytes> = body.try_collect().await.unwrap();
    chunks.concat()
}

pub(crate) fn cut(bytes: &[u8], range: &Range<u64>) -> Vec<u8> {
    bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
}

pub(crate) async fn stamps_of(file: Vec<u8>) -> Vec<Stamp> {
    tokio::task::spawn_blocking(move || read_stamps_video_bytes(&file))
        .await
        .unwrap()
        .unwrap()
}
