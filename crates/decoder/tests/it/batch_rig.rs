//! Batches over footage of three runs, and what they ought to give.

use crate::common::gops;
use crate::rig::{Rig, channel, run, stamp};
use framewell_fmp4::{SegmentIdentity, build_fragment, build_segment_init};
use framewell_footage::SpoolSegment;
use framewell_imaging::batch::{
    Batch, BatchRequest, Budget, Cursor, EndReason, Entry, Rule, Sample, What,
};
use framewell_imaging::{Error, Image, Match, Output};
use framewell_media::{AccessUnit, VideoCodec};
use framewell_model::{SegmentId, TimeRange, WallTime};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::time::Duration;

/// Where the footage begins.
pub(crate) fn start() -> WallTime {
    ClipSpec::default().start
}

/// Milliseconds behind the beginning.
pub(crate) fn at(ms: i64) -> WallTime {
    start().plus_micros(ms * 1_000)
}

pub(crate) fn range(from_ms: i64, to_ms: i64) -> TimeRange {
    TimeRange::new(at(from_ms), at(to_ms)).unwrap()
}

/// What an entry says, short: instants and capture times in ms behind the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// Requested and captured.
    Picture(i64, i64),
    /// Start, end, missing.
    Gap(i64, i64, u64),
    /// Start, end, missing.
    Failed(i64, i64, u64),
    End(EndReason),
}

/// Three runs: 0 to 1.92 s (H.264, B pictures, with pictures missing here and there), 1.92 to 3.84 s
/// (another size and no B pictures), 8 to 9.92 s (H.265, B pictures). GOPs of 0.48 s.
pub(crate) struct Footage3 {
    pub(crate) rig: Rig,
    /// Capture times of all pictures, ascending.
    pub(crate) captured: Vec<WallTime>,
}

pub(crate) fn clip(codec: VideoCodec, width: usize, b_frames: u32, after_ms: i64) -> EncodedClip {
    let spec = ClipSpec {
        codec,
        width,
        height: 240,
        gop: 12,
        b_frames,
        frames: 48,
        start: at(after_ms),
        ..ClipSpec::default()
    };
    spec.encode().unwrap()
}

/// Without the last pictures of each GOP but the last, in decoding order: nothing refers to them.
fn thinned(mut clip: EncodedClip) -> EncodedClip {
    let keys: Vec<usize> = (0..clip.units.len())
        .filter(|index| clip.units[*index].is_key)
        .collect();
    let is_last = |index: usize| {
        keys[1..]
            .iter()
            .any(|key| (1..=2).contains(&(key - index.min(*key))))
    };
    let mut index = 0;
    clip.units.retain(|_| {
        index += 1;
        !is_last(index - 1)
    });
    clip
}

impl Footage3 {
    pub(crate) async fn new() -> Self {
        let rig = Rig::new(at(3_600_000)).await;
        let clips = [
            thinned(clip(VideoCodec::H264, 320, 2, 0)),
            clip(VideoCodec::H264, 352, 0, 1_920),
            clip(VideoCodec::H265, 320, 2, 8_000),
        ];
        let mut captured = Vec::new();
        for (number, clip) in (1..).zip(&clips) {
            let lengths: Vec<usize> = gops(clip).iter().map(Vec::len).collect();
            record_fragments(&rig, clip, number, &lengths);
            captured.extend(clip.video().map(|unit| unit.wall));
        }
        captured.sort_unstable();
        Self { rig, captured }
    }

    /// What is on screen: nothing from 3.84 to 8 s and behind 9.92 s.
    pub(crate) fn on_screen(&self, instant: WallTime) -> Option<WallTime> {
        let ms = instant.micros_since(start()) / 1_000;
        let has_footage = (0..3_840).contains(&ms) || (8_000..9_920).contains(&ms);
        let before = self.captured.iter().rfind(|wall| **wall <= instant);
        before.copied().filter(|_| has_footage)
    }
}

/// Writes the clip as one segment into the spool, with fragments of so many pictures each.
pub(crate) fn record_fragments(rig: &Rig, clip: &EncodedClip, number: u32, lengths: &[usize]) {
    let units: Vec<AccessUnit> = clip.video().cloned().collect();
    let id: SegmentId = format!("01900000-0000-7000-9000-{number:012}")
        .parse()
        .unwrap();
    let identity = SegmentIdentity {
        segment: id,
        channel: channel(),
        run: run(number),
        sequence: 0,
        wall_start: units[0].wall,
        clock: units[0].clock,
    };
    let first = &units[..lengths[0].min(units.len())];
    let (init, clock) = build_segment_init(&clip.parameters, &identity, first);
    let mut file = init.to_vec();
    let path = rig.folder.path().join(format!("{number}.mp4"));
    rig.spool.open(&SpoolSegment {
        identity,
        path: path.clone(),
        init_len: u32::try_from(file.len()).unwrap(),
    });
    let mut entries = Vec::new();
    let mut rest = &units[..];
    for (index, length) in lengths.iter().enumerate() {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        rest = behind;
        let next = rest.first();
        let sequence = u32::try_from(index + 1).unwrap();
        let end_dts = next.map(|unit| unit.dts.ticks);
        let mut fragment = build_fragment(&clock, sequence, &clip.parameters, piece, end_dts);
        fragment.entry.offset = file.len() as u64;
        file.extend_from_slice(&fragment.header);
        let payload = fragment.payload.iter();
        payload.for_each(|part| file.extend_from_slice(part));
        entries.push(fragment.entry);
    }
    std::fs::write(path, file).unwrap();
    let entries = entries.into_iter();
    entries.for_each(|entry| rig.spool.append(id, entry));
}

pub(crate) fn request(range: TimeRange, rule: Rule, matching: Match) -> BatchRequest {
    BatchRequest {
        channel: channel(),
        what: What::Range {
            range,
            rule,
            matching,
        },
        output: Some(Output::jpeg(85)),
        budget: Budget::default(),
    }
}

pub(crate) fn behind(cursor: Cursor) -> BatchRequest {
    // As text, which is what survives a restart.
    let cursor = cursor.to_string().parse().unwrap();
    BatchRequest {
        channel: channel(),
        what: What::After(cursor),
        output: Some(Output::jpeg(85)),
        budget: Budget::default(),
    }
}

/// All entries.
pub(crate) async fn all(rig: &Rig, request: BatchRequest) -> Vec<Entry> {
    let batch = rig.imaging.batch(request).await.unwrap();
    rest(batch).await
}

pub(crate) async fn rest(mut batch: Batch) -> Vec<Entry> {
    let mut entries = Vec::new();
    let collect = async {
        while let Some(entry) = batch.next().await {
            entries.push(entry);
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(60), collect).await;
    done.expect("the batch ends");
    entries
}

pub(crate) async fn refused(rig: &Rig, request: BatchRequest) -> Error {
    rig.imaging.batch(request).await.map(|_| ()).unwrap_err()
}

/// Says what the entries are, and checks that every picture shows what it is said to be.
pub(crate) fn tell(entries: &[Entry]) -> Vec<Told> {
    entries.iter().map(tell_one).collect()
}

pub(crate) fn ms(at: WallTime) -> i64 {
    (at.micros_since(start()) + 500).div_euclid(1_000)
}

fn tell_one(entry: &Entry) -> Told {
    match entry {
        Entry::Picture(sample) => {
            if sample.pixels.is_some() {
                let shown = stamp(&image(sample)).capture;
                let error_us = shown.micros_since(sample.captured).abs();
                assert!(error_us <= 20, "{} shows {shown}", sample.captured);
            }
            Told::Picture(ms(sample.requested), ms(sample.captured))
        }
        Entry::Gap(gap) => Told::Gap(ms(gap.range.start), ms(gap.range.end), gap.missing),
        Entry::Failed(failed) => {
            Told::Failed(ms(failed.range.start), ms(failed.range.end), failed.missing)
        }
        Entry::End(end) => Told::End(end.reason),
        other => panic!("{other:?}"),
    }
}

fn image(sample: &Sample) -> Image {
    let pixels = sample.pixels.clone().unwrap();
    Image {
        data: pixels.data,
        format: pixels.format,
        width: pixels.width,
        height: pixels.height,
        requested: sample.requested,
        captured: sample.captured,
        clock: sample.clock,
        frame: sample.frame,
        is_key: sample.is_key,
        is_live: sample.is_live,
    }
}

pub(crate) fn cursor(entry: &Entry) -> Option<Cursor> {
    match entry {
        Entry::Picture(sample) => Some(sample.cursor),
        Entry::Gap(gap) => Some(gap.cursor),
        Entry::Failed(failed) => Some(failed.cursor),
        Entry::End(end) => end.next,
        _ => None,
    }
}

/// Units of a clip as one run after another would send them.
pub(crate) fn units(clip: &EncodedClip) -> Vec<AccessUnit> {
    clip.video().cloned().collect()
}
