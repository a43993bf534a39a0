//! A channel with footage, made without the recorder.

use framewell_blob::BlobStore;
use framewell_catalog::{Catalog, CatalogConfig, NewSegment};
use framewell_fmp4::{
    FragmentEntry, SegmentIdentity, SegmentIndex, build_fragment, build_segment_init,
};
use framewell_footage::{Footage, Piece, Spool, SpoolSegment};
use framewell_media::{AccessUnit, TrackKind};
use framewell_model::{
    ChannelId, ClockSource, MediaTime, NewChannel, RecMode, RunId, Secret, SegmentId, TimeRange,
    WallTime,
};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;
use uuid::Uuid;

/// All time there is, as far as tests go.
pub(crate) const EVER: TimeRange = TimeRange {
    start: WallTime::from_micros(0),
    end: WallTime::from_secs(4_000_000_000),
};

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

pub(crate) struct Archive {
    pub(crate) dir: TempDir,
    pub(crate) catalog: Catalog,
    pub(crate) blobs: BlobStore,
    pub(crate) spool: Spool,
    pub(crate) footage: Footage,
    pub(crate) channel: ChannelId,
}

/// A segment that is written and not yet anywhere.
pub(crate) struct Made {
    pub(crate) identity: SegmentIdentity,
    pub(crate) range: TimeRange,
    pub(crate) index: SegmentIndex,
    pub(crate) bytes: Vec<u8>,
}

impl Archive {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("db").display());
        let config = CatalogConfig {
            url: Secret::new(url),
            max_connections: 4,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let now = small_clip().start;
        let account = catalog.create_account("test", now).await.unwrap();
        let new = NewChannel {
            name: String::new(),
            rec_mode: RecMode::On,
            timezone: "UTC".to_owned(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        let channel = catalog.create_channel(account.id, &new, now).await.unwrap();
        let blobs = BlobStore::local(&dir.path().join("objects")).unwrap();
        let spool = Spool::new();
        Self {
            footage: Footage::new(catalog.clone(), blobs.clone(), spool.clone()),
            channel: channel.id,
            dir,
            catalog,
            blobs,
            spool,
        }
    }

    /// Writes a segment with a fragment for each item of `fragments`.
    pub(crate) fn make(
        &self,
        run: RunId,
        sequence: i64,
        clip: &EncodedClip,
        fragments: &[&[AccessUnit]],
    ) -> Made {
        let identity = SegmentIdentity {
            segment: SegmentId::from_uuid(Uuid::now_v7()),
            channel: self.channel,
            run,
            sequence,
            wall_start: fragments[0][0].wall,
            clock: ClockSource::CameraRtcp,
        };
        let (init, clock) = build_segment_init(&clip.parameters, &identity, fragments[0]);
        let mut bytes = init.to_vec();
        let mut index = SegmentIndex {
            init_len: bytes.len() as u32,
            parameters: 0,
            ..SegmentIndex::default()
        };
        for (n, units) in fragments.iter().enumerate() {
            let next = fragments.get(n + 1).map(|next| next[0].dts.ticks);
            // A pause before the next fragment is not part of this one's last picture.
            let last = units.last().unwrap().dts.ticks;
            let end_dts = next.filter(|next| next - last < 90_000);
            let built = build_fragment(&clock, n as u32 + 1, &clip.parameters, units, end_dts);
            index.fragments.push(FragmentEntry {
                offset: bytes.len() as u64,
                ..built.entry
            });
            bytes.extend_from_slice(&built.header);
            built
                .payload
                .iter()
                .for_each(|part| bytes.extend_from_slice(part));
        }
        let end = index.fragments.iter().map(|f| f.wall_of(f.end_pts)).max();
        Made {
            range: TimeRange::new(identity.wall_start, end.unwrap()).unwrap(),
            identity,
            index,
            bytes,
        }
    }

    /// The segment lies in the spool.
    pub(crate) fn spool(&self, made: &Made) -> PathBuf {
        let path = self.dir.path().join(made.identity.segment.to_string());
        std::fs::write(&path, &made.bytes).unwrap();
        self.spool.open(&SpoolSegment {
            identity: made.identity,
            path: path.clone(),
            init_len: made.index.init_len,
        });
        for entry in &made.index.fragments {
            self.spool.append(made.identity.segment, *entry);
        }
        path
    }

    /// The segment lies in the store.
    pub(crate) async fn publish(&self, made: &Made) -> Piece {
        let (identity, now) = (&made.identity, small_clip().start);
        let row = NewSegment {
            id: identity.segment,
            channel: self.channel,
            run: identity.run,
            sequence: identity.sequence,
            range: made.range,
            clock: identity.clock,
            size_bytes: made.bytes.len() as i64,
            codecs: "avc1.64001f".to_owned(),
            index: made.index.encode(),
        };
        let record = self.catalog.stage_segment(&row, now).await.unwrap();
        let file = self.dir.path().join("putting");
        std::fs::write(&file, &made.bytes).unwrap();
        self.catalog.publish_segment(record, now).await.unwrap();
        let pieces = self.footage.pieces(self.channel, made.range).await.unwrap();
        let piece = pieces.into_iter().find(|p| p.id == identity.segment);
        let piece = piece.unwrap();
        self.blobs
            .put_file(&piece.object_key(), &file)
            .await
            .unwrap();
        piece
    }
}

pub(crate) fn new_run() -> RunId {
    RunId::from_uuid(Uuid::now_v7())
}

/// The GOPs of a clip.
pub(crate) fn gops(clip: &EncodedClip) -> Vec<&[AccessUnit]> {
    let starts_gop = |unit: &AccessUnit| unit.track == TrackKind::Video && unit.is_key;
    let starts: Vec<usize> = (0..clip.units.len())
        .filter(|n| starts_gop(&clip.units[*n]))
        .collect();
    let end_of = |n: usize| starts.get(n + 1).copied().unwrap_or(clip.units.len());
    (0..starts.len())
        .map(|n| &clip.units[starts[n]..end_of(n)])
        .collect()
}

/// The clip as an encoder with open GOPs would order it: the last two pictures of each GOP but the
/// last come behind the next key frame. Nothing here decodes them.
pub(crate) fn with_open_gops(clip: &EncodedClip) -> EncodedClip {
    let mut clip = clip.clone();
    let keys: Vec<usize> = (1..clip.units.len())
        .filter(|n| clip.units[*n].is_key)
        .collect();
    for key in keys {
        clip.units[key - 2..=key].rotate_right(1);
    }
    for (n, unit) in clip.units.iter_mut().enumerate() {
        let ticks = (n as i64 - 2) * 9_000;
        unit.dts = MediaTime::new(ticks, unit.dts.scale);
    }
    clip
}
