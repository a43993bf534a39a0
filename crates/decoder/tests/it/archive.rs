//! Footage for the tests: segments in spool and store, made without the recorder.

use crate::rig::{Rig, channel, run};
use framewell_catalog::NewSegment;
use framewell_fmp4::{
    FragmentEntry, SegmentIdentity, SegmentIndex, build_fragment, build_segment_init,
};
use framewell_footage::SpoolSegment;
use framewell_media::AccessUnit;
use framewell_model::{NewChannel, RecMode, SegmentId, TimeRange};
use framewell_testkit::encode::EncodedClip;
use std::collections::BTreeMap;

/// A segment that is written and not yet anywhere.
pub(crate) struct Made {
    identity: SegmentIdentity,
    init_len: u32,
    entries: Vec<FragmentEntry>,
    pub(crate) bytes: Vec<u8>,
}

/// Writes some units of a run as one segment, with fragments of `per_fragment` pictures. `next_dts` is
/// that of the picture behind it in the run.
pub(crate) fn make(
    clip: &EncodedClip,
    units: &[AccessUnit],
    (run_number, segment): (u32, u32),
    per_fragment: usize,
    next_dts: Option<i64>,
) -> Made {
    let id: SegmentId = format!("01900000-0000-7000-9000-{segment:012}")
        .parse()
        .unwrap();
    let identity = SegmentIdentity {
        segment: id,
        channel: channel(),
        run: run(run_number),
        sequence: 0,
        wall_start: units[0].wall,
        clock: units[0].clock,
    };
    let first = &units[..per_fragment.min(units.len())];
    let (init, clock) = build_segment_init(&clip.parameters, &identity, first);
    let mut bytes = init.to_vec();
    let init_len = u32::try_from(bytes.len()).unwrap();
    let mut entries = Vec::new();
    for (index, piece) in units.chunks(per_fragment).enumerate() {
        let next = units.get((index + 1) * per_fragment);
        let sequence = u32::try_from(index + 1).unwrap();
        let end_dts = next.map(|unit| unit.dts.ticks).or(next_dts);
        let mut fragment = build_fragment(&clock, sequence, &clip.parameters, piece, end_dts);
        fragment.entry.offset = bytes.len() as u64;
        bytes.extend_from_slice(&fragment.header);
        let payload = fragment.payload.iter();
        payload.for_each(|part| bytes.extend_from_slice(part));
        entries.push(fragment.entry);
    }
    Made {
        identity,
        init_len,
        entries,
        bytes,
    }
}

/// Writes the clip as one segment of a run of its own into the spool.
pub(crate) fn record(rig: &Rig, clip: &EncodedClip, number: u32, per_fragment: usize) {
    let units: Vec<AccessUnit> = clip.video().cloned().collect();
    rig.keep_in_spool(&make(clip, &units, (number, number), per_fragment, None));
}

impl Rig {
    pub(crate) fn keep_in_spool(&self, made: &Made) {
        let id = made.identity.segment;
        let path = self.folder.path().join(format!("{id}.mp4"));
        std::fs::write(&path, &made.bytes).unwrap();
        self.spool.open(&SpoolSegment {
            identity: made.identity,
            path,
            init_len: made.init_len,
        });
        let entries = made.entries.iter();
        entries.for_each(|entry| self.spool.append(id, *entry));
    }

    /// Publishes a segment, with these bytes as its object.
    pub(crate) async fn publish(&self, made: &Made, object: &[u8]) {
        self.create_channel().await;
        let (identity, now) = (&made.identity, made.identity.wall_start);
        let ends = made
            .entries
            .iter()
            .map(|entry| entry.wall_of(entry.end_pts));
        let index = SegmentIndex {
            init_len: made.init_len,
            parameters: 0,
            fragments: made.entries.clone(),
            ..SegmentIndex::default()
        };
        let row = NewSegment {
            id: identity.segment,
            channel: identity.channel,
            run: identity.run,
            sequence: identity.sequence,
            range: TimeRange::new(now, ends.max().unwrap()).unwrap(),
            clock: identity.clock,
            size_bytes: i64::try_from(made.bytes.len()).unwrap(),
            codecs: String::new(),
            index: index.encode(),
        };
        let catalog = self.footage.catalog();
        let record = catalog.stage_segment(&row, now).await.unwrap();
        catalog.publish_segment(record, now).await.unwrap();
        let pieces = self
            .footage
            .pieces(identity.channel, row.range)
            .await
            .unwrap();
        let piece = pieces.iter().find(|piece| piece.id == identity.segment);
        let file = self.folder.path().join("putting");
        std::fs::write(&file, object).unwrap();
        let key = piece.unwrap().object_key();
        self.blobs.put_file(&key, &file).await.unwrap();
    }

    /// Segments belong to a row; the tests' channel number is that of the seventh one.
    async fn create_channel(&self) {
        let catalog = self.footage.catalog();
        let now = self.imaging_now();
        if catalog.load_channel(channel()).await.is_ok() {
            return;
        }
        let account = catalog.create_account("test", now).await.unwrap();
        let new = NewChannel {
            name: String::new(),
            rec_mode: RecMode::On,
            timezone: "UTC".to_owned(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        while catalog.load_channel(channel()).await.is_err() {
            catalog.create_channel(account.id, &new, now).await.unwrap();
        }
    }
}
