//! Footage that a camera recorded itself.

use crate::rig::{Rig, small_clip};
use framewell_catalog::NewGap;
use framewell_fmp4::{FileClock, build_fragment, build_init};
use framewell_media::{AccessUnit, AudioCodec, TrackKind};
use framewell_model::{ErrorKind, GapReason, HasKind, RecMode, TimeRange, WallTime};
use framewell_recorder::{ImportConfig, ImportError, Imported, Importer, Policy};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::time::Duration;

fn clip() -> EncodedClip {
    let spec = ClipSpec {
        audio: Some(AudioCodec::Aac),
        b_frames: 2,
        ..small_clip()
    };
    spec.encode().unwrap()
}

/// A file of fragments of all units, its media time beginning with the first picture.
fn file(clip: &EncodedClip) -> Vec<u8> {
    let first = clip.video().map(|unit| unit.dts.ticks).min().unwrap();
    let audio = clip.parameters.audio.as_ref();
    let audio_first = audio.map_or(0, |audio| {
        framewell_model::MediaTime::new(first, framewell_model::Timescale::HZ_90K)
            .rescale(audio.timescale())
            .ticks
    });
    let clock = FileClock::at(first, audio_first);
    let mut file = build_init(&clip.parameters, None).to_vec();
    let mut gops: Vec<Vec<AccessUnit>> = Vec::new();
    for unit in &clip.units {
        if unit.track == TrackKind::Video && unit.is_key {
            gops.push(Vec::new());
        }
        if let Some(gop) = gops.last_mut() {
            gop.push(unit.clone());
        }
    }
    for (number, gop) in gops.iter().enumerate() {
        let next = gops.get(number + 1).map(|gop| gop[0].dts.ticks);
        let sequence = u32::try_from(number + 1).unwrap();
        let fragment = build_fragment(&clock, sequence, &clip.parameters, gop, next);
        file.extend_from_slice(&fragment.header);
        fragment
            .payload
            .iter()
            .for_each(|part| file.extend_from_slice(part));
    }
    file
}

/// Digests, and whether each segment names the one before it.
async fn seals(rig: &Rig) -> Vec<(framewell_model::Seal, Option<framewell_model::ChainLink>)> {
    let rows = rig
        .catalog
        .segment_rows(rig.channel, crate::rig::EVER, None, 100);
    let mut seals = Vec::new();
    for row in rows.await.unwrap() {
        let key = framewell_blob::ObjectKey::Segment {
            channel: rig.channel,
            start: row.segment.range.start,
            id: row.segment.id,
        };
        let head = rig.blobs.get_range(&key, 0..1 << 20).await.unwrap();
        seals.push((
            row.seal.unwrap(),
            framewell_fmp4::parse_link(&head).unwrap(),
        ));
    }
    seals
}

#[tokio::test]
async fn an_upload_is_a_chain_of_its_own_and_says_that_it_is_one() {
    let rig = Rig::new().await;
    let clip = clip();
    import(&rig, small_clip().start, &file(&clip))
        .await
        .unwrap();
    let seals = seals(&rig).await;
    assert!(seals.len() > 1);
    assert_eq!(seals[0].1, None);
    for pair in seals.windows(2) {
        assert_eq!(pair[1].1.unwrap().digest, pair[0].0.digest);
    }
    let imported = framewell_model::SealSource::Imported;
    assert!(seals.iter().all(|(seal, _)| seal.source == imported));
}

async fn import(rig: &Rig, start: WallTime, file: &[u8]) -> Result<Imported, ImportError> {
    let importer = Importer::new(rig.node.recorder.clone(), ImportConfig::default());
    let mut upload = importer.begin().await?;
    for chunk in file.chunks(10_000) {
        upload.write(chunk).await?;
    }
    importer.import(rig.channel, start, upload).await
}

fn range(start: WallTime, from_ms: i64, to_ms: i64) -> TimeRange {
    let at = |ms: i64| start.plus_micros(ms * 1_000);
    TimeRange::new(at(from_ms), at(to_ms)).unwrap()
}

#[tokio::test]
async fn every_sample_is_stored_at_its_time_and_a_repetition_changes_nothing() {
    let rig = Rig::new().await;
    let clip = clip();
    let start = small_clip().start;
    rig.clock.advance(Duration::from_secs(3_600));
    let bytes = file(&clip);
    let imported = import(&rig, start, &bytes).await.unwrap();
    assert_eq!(imported.stored, [range(start, 0, 4_000)]);
    assert!(imported.existing.is_empty());
    assert_eq!(rig.pieces().await.len(), imported.records.len());
    let samples = rig.samples().await;
    let video: Vec<_> = samples
        .iter()
        .filter(|s| s.track == TrackKind::Video)
        .collect();
    let sent: Vec<&AccessUnit> = clip.video().collect();
    assert_eq!(video.len(), sent.len());
    for (stored, unit) in video.iter().zip(&sent) {
        assert!(stored.data == unit.data);
        assert!(stored.wall.micros_since(unit.wall).abs() <= 12);
        assert_eq!(stored.is_key, unit.is_key);
    }
    let count = |kind| samples.iter().filter(|s| s.track == kind).count();
    let sound = clip.audio().count();
    assert!((sound - 3..=sound).contains(&count(TrackKind::Audio)));

    let again = import(&rig, start, &bytes).await.unwrap();
    assert_eq!(again.existing, [range(start, 0, 4_000)]);
    assert!(again.stored.is_empty() && again.records.is_empty());
    assert_eq!(rig.samples().await.len(), samples.len());
    // Nothing of it is left beside the records.
    assert!(rig.files("spool").is_empty());
}

#[tokio::test]
async fn existing_footage_wins_and_gaps_are_cut_where_footage_is_now() {
    let rig = Rig::new().await;
    let clip = clip();
    let start = small_clip().start;
    rig.clock.advance(Duration::from_secs(3_600));
    let gap = |from: i64, to: Option<i64>| NewGap {
        channel: rig.channel,
        start: start.plus_micros(from * 1_000_000),
        end: to.map(|to| start.plus_micros(to * 1_000_000)),
        reason: GapReason::CameraOffline,
    };
    for (from, to) in [(-20, Some(-10)), (-5, Some(2)), (3, None)] {
        rig.catalog.insert_gap(gap(from, to)).await.unwrap();
    }
    // Its last two seconds first: the whole file then brings the first two.
    let mut tail = clip.clone();
    let at = clip.units.iter().position(|u| {
        u.is_key && u.track == TrackKind::Video && u.wall >= start.plus_micros(2_000_000)
    });
    tail.units.drain(..at.unwrap());
    let later = start.plus_micros(2_000_000);
    let first = import(&rig, later, &file(&tail)).await.unwrap();
    assert_eq!(first.stored, [range(start, 2_000, 4_000)]);
    let offline = GapReason::CameraOffline;
    let at = |s: i64| start.plus_micros(s * 1_000_000);
    let gaps = rig.gaps().await;
    assert_eq!(
        gaps,
        [
            (at(-20), Some(at(-10)), offline),
            (at(-5), Some(at(2)), offline),
            (at(4), None, offline)
        ]
    );
    let second = import(&rig, start, &file(&clip)).await.unwrap();
    assert_eq!(second.stored, [range(start, 0, 2_000)]);
    assert_eq!(second.existing, [range(start, 2_000, 4_000)]);
    let gaps = rig.gaps().await;
    assert_eq!(
        gaps,
        [
            (at(-20), Some(at(-10)), offline),
            (at(-5), Some(at(0)), offline),
            (at(4), None, offline)
        ]
    );
    let samples = rig.samples().await;
    let pictures = samples.iter().filter(|s| s.track == TrackKind::Video);
    assert_eq!(pictures.count(), 40);
}

#[tokio::test]
async fn what_a_crash_left_of_an_upload_is_gone_with_the_next_start() {
    let mut rig = Rig::new().await;
    let importer = Importer::new(rig.node.recorder.clone(), ImportConfig::default());
    let mut upload = importer.begin().await.unwrap();
    upload.write(&file(&clip())).await.unwrap();
    // As a crash does: nobody tidies up.
    std::mem::forget(upload);
    assert_eq!(rig.files("spool").len(), 1);
    rig.crash().await;
    rig.node.recorder.recover(|_| RecMode::On).await.unwrap();
    assert!(rig.files("spool").is_empty());
    assert!(rig.pieces().await.is_empty());
}

#[tokio::test]
async fn limits_and_times_that_cannot_be_are_errors() {
    let rig = Rig::new().await;
    let clip = clip();
    let (bytes, start) = (file(&clip), small_clip().start);
    let early = import(&rig, start.plus_micros(600_000_000), &bytes)
        .await
        .unwrap_err();
    assert!(early.to_string().contains("future"), "{early}");
    for before in [WallTime::from_micros(-1), WallTime::from_micros(i64::MIN)] {
        let refused = import(&rig, before, &bytes).await.unwrap_err();
        assert!(refused.to_string().contains("before 1970"), "{refused}");
    }
    rig.clock.advance(Duration::from_secs(7_200));
    rig.set_policy(Policy {
        mode: RecMode::On,
        retention: Some(Duration::from_secs(3_600)),
        max_bytes: None,
        rolls: None,
    });
    let old = import(&rig, start, &bytes).await.unwrap_err();
    assert!(old.to_string().contains("not kept"), "{old}");
    assert_eq!(old.kind(), ErrorKind::InvalidArgument);

    let config = ImportConfig {
        max_bytes: 1_000,
        at_once: 1,
    };
    let importer = Importer::new(rig.node.recorder.clone(), config);
    let mut upload = importer.begin().await.unwrap();
    let busy = importer.begin().await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Unavailable);
    let large = upload.write(&bytes).await.unwrap_err();
    assert!(matches!(large, ImportError::TooLarge { limit: 1_000 }));
    drop(upload);
    assert!(importer.begin().await.is_ok());
}
