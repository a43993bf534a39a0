//! How long it takes until the first byte of a clip of many hours is there, and until its header is: synthetic
//! rows, and objects that are as long as they should be and hold nothing but their head.
//!
//! `day_clip HOURS`, 24 without. Segments of ten seconds, a group of pictures a second, 25 pictures and 48 frames of
//! sound in each, B frames in every second hour.

use anyhow::Context;
use framewell_blob::{BlobStore, ObjectKey};
use framewell_catalog::{Catalog, CatalogConfig, NewSegment, SegmentFacts};
use framewell_fmp4::{
    FragmentEntry, Sample, SegmentIdentity, SegmentIndex, build_fragment, build_segment_init,
    fingerprint,
};
use framewell_footage::{Footage, Spool};
use framewell_live::{Registry, RingConfig};
use framewell_media::{AccessUnit, AudioCodec, TrackKind};
use framewell_model::{
    ChannelId, ClockSource, NewChannel, RecMode, RunId, Secret, SegmentId, TimeRange, WallTime,
};
use framewell_playback::Playback;
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

const SEGMENT_US: i64 = 10_000_000;
/// A segment in ticks of the sound.
const SOUND_TICKS: i64 = 480_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let hours = std::env::args()
        .nth(1)
        .map_or(Ok(24), |hours| hours.parse::<i64>())?;
    let dir = tempfile::tempdir()?;
    let now = WallTime::from_secs(1_767_225_600);
    let url = Secret::new(format!("sqlite:{}", dir.path().join("db").display()));
    let config = CatalogConfig {
        url,
        max_connections: 4,
    };
    let catalog = Catalog::open(&config).await?;
    let channel = channel(&catalog, now).await?;
    let made = [template(channel, 0).await?, template(channel, 2).await?];
    let run = RunId::from_uuid(Uuid::now_v7());
    let count = hours * 360;
    for number in 0..count {
        let template = &made[usize::from(number / 360 % 2 == 1)];
        publish(
            &catalog,
            dir.path(),
            (template, run),
            (channel, now),
            number,
        )
        .await?;
    }
    let blobs = BlobStore::local(&dir.path().join("objects"))?;
    let footage = Footage::new(catalog.clone(), blobs, Spool::new());
    let registry = Registry::new(RingConfig::default(), Arc::new(MovableClock::new(now)));
    let playback = Playback::new(registry, footage);
    // Cuts into the first and the last second.
    let wanted = TimeRange {
        start: now.plus_micros(410_000),
        end: now.plus_micros(count * SEGMENT_US - 390_000),
    };
    for _ in 0..3 {
        measure(&playback, channel, wanted).await?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a measurement")]
async fn measure(playback: &Playback, channel: ChannelId, wanted: TimeRange) -> anyhow::Result<()> {
    let began = Instant::now();
    let clip = playback.clip(channel, wanted).await?;
    let opened = began.elapsed();
    let first_media = clip.segments()[0].bytes.start;
    let mut body = clip.stream(0..first_media);
    let mut length = body.next().await.context("a body")??.len();
    let first = began.elapsed();
    while let Some(bytes) = body.next().await {
        length += bytes?.len();
    }
    println!(
        "open {opened:?}, first byte {first:?}, header of {length} bytes {:?}, file of {} bytes",
        began.elapsed(),
        clip.len
    );
    Ok(())
}

async fn channel(catalog: &Catalog, now: WallTime) -> anyhow::Result<ChannelId> {
    let account = catalog.create_account("test", now).await?.id;
    let new = NewChannel {
        name: "camera".to_owned(),
        rec_mode: RecMode::On,
        timezone: "UTC".to_owned(),
        source: None,
        retention_s: None,
        meta: BTreeMap::new(),
    };
    Ok(catalog.create_channel(account, &new, now).await?.id)
}

/// Ten seconds: the head of a segment, and its index.
struct Template {
    head: Vec<u8>,
    /// Without fragments.
    index: SegmentIndex,
    fragments: Vec<(FragmentEntry, Vec<Sample>)>,
    codecs: String,
}

async fn template(channel: ChannelId, b_frames: u32) -> anyhow::Result<Template> {
    let spec = ClipSpec {
        frames: 250,
        fps: 25,
        gop: 25,
        b_frames,
        audio: Some(AudioCodec::Aac),
        start: WallTime::from_secs(1_767_225_600),
        ..ClipSpec::default()
    };
    let clip: EncodedClip = tokio::task::spawn_blocking(move || spec.encode()).await??;
    let mut gops: Vec<Vec<AccessUnit>> = Vec::new();
    for unit in &clip.units {
        if unit.track == TrackKind::Video && unit.is_key {
            gops.push(Vec::new());
        }
        gops.last_mut()
            .context("begins with a key frame")?
            .push(unit.clone());
    }
    let identity = SegmentIdentity {
        segment: SegmentId::from_uuid(Uuid::now_v7()),
        channel,
        run: RunId::from_uuid(Uuid::now_v7()),
        sequence: 0,
        wall_start: clip.units[0].wall,
        clock: ClockSource::CameraRtcp,
    };
    let (init, clock) = build_segment_init(&clip.parameters, &identity, &gops[0]);
    let index = SegmentIndex {
        init_len: u32::try_from(init.len())?,
        parameters: fingerprint(&clip.parameters),
        ..SegmentIndex::default()
    };
    let mut fragments = Vec::new();
    let mut offset = u64::from(index.init_len);
    for (number, units) in gops.iter().enumerate() {
        let next = gops.get(number + 1).map(|next| next[0].dts.ticks);
        let sequence = u32::try_from(number + 1)?;
        let fragment = build_fragment(&clock, sequence, &clip.parameters, units, next);
        let mut entry = fragment.entry;
        entry.offset = offset;
        offset += u64::from(entry.len);
        fragments.push((entry, fragment.samples));
    }
    cut_sound(&mut fragments);
    Ok(Template {
        head: init.to_vec(),
        index,
        fragments,
        codecs: clip.parameters.codecs(),
    })
}

/// Lets the sound end with the segment, where that of the next one begins.
fn cut_sound(fragments: &mut [(FragmentEntry, Vec<Sample>)]) {
    let samples = fragments.iter_mut().flat_map(|(_, samples)| samples);
    let last = samples.filter(|sample| sample.track == TrackKind::Audio);
    if let Some(last) = last.last() {
        let rest = (SOUND_TICKS - last.pts).clamp(0, i64::from(last.duration));
        last.duration = u32::try_from(rest).unwrap_or(last.duration);
    }
}

async fn publish(
    catalog: &Catalog,
    folder: &Path,
    (template, run): (&Template, RunId),
    (channel, start): (ChannelId, WallTime),
    number: i64,
) -> anyhow::Result<()> {
    let mut index = template.index.clone();
    let ticks = number * SEGMENT_US / 100 * 9;
    for (entry, samples) in &template.fragments {
        let (mut entry, mut samples) = (*entry, samples.clone());
        entry.wall = entry.wall.plus_micros(number * SEGMENT_US);
        for time in [
            &mut entry.anchor_pts,
            &mut entry.dts,
            &mut entry.min_pts,
            &mut entry.end_pts,
        ] {
            *time += ticks;
        }
        for sample in &mut samples {
            let ticks = match sample.track {
                TrackKind::Video => ticks,
                TrackKind::Audio => number * SOUND_TICKS,
            };
            sample.dts += ticks;
            sample.pts += ticks;
        }
        index.push(entry, &samples);
    }
    let range = TimeRange {
        start: start.plus_micros(number * SEGMENT_US),
        end: start.plus_micros((number + 1) * SEGMENT_US),
    };
    let id = SegmentId::from_uuid(Uuid::now_v7());
    let row = NewSegment {
        id,
        channel,
        run,
        sequence: number,
        range,
        clock: ClockSource::CameraRtcp,
        size_bytes: i64::try_from(index.len_bytes())?,
        codecs: template.codecs.clone(),
        index: index.encode(),
    };
    let facts = SegmentFacts {
        sample_runs: &index.samples.encode_runs(),
        sample_sizes: index.samples.encoded_sizes(),
        ..SegmentFacts::default()
    };
    let record = catalog.stage_known_segment(&row, facts, start).await?;
    catalog.publish_segment(record, start).await?;
    let key = ObjectKey::Segment {
        channel,
        start: range.start,
        id,
    };
    let path = folder.join("objects").join(key.path());
    std::fs::create_dir_all(path.parent().context("a folder")?)?;
    std::fs::write(&path, &template.head)?;
    let file = std::fs::OpenOptions::new().write(true).open(&path)?;
    file.set_len(index.len_bytes())?;
    Ok(())
}
