//! The picture on screen at an instant.

use crate::archive::{Archive, EVER, gops, new_run, small_clip, with_open_gops};
use framewell_footage::{CONTINUITY_US, Error, TICK_US};
use framewell_media::AccessUnit;
use framewell_model::{MediaTime, WallTime};
use framewell_testkit::encode::{ClipSpec, EncodedClip};

/// Asks for many instants of a clip and checks that the samples are the needed ones: from a key
/// frame on, in decoding order, ending with the last one that counts.
async fn check_instants(archive: &Archive, clip: &EncodedClip) {
    let mut walls: Vec<WallTime> = clip.video().map(|unit| unit.wall).collect();
    walls.sort();
    for (n, wall) in walls.iter().enumerate() {
        for at in [*wall, wall.plus_micros(37_000), wall.plus_micros(99_980)] {
            let gop = archive.footage.gop_at(archive.channel, at).await.unwrap();
            assert!(gop.samples[0].is_key);
            assert_eq!(gop.samples.iter().filter(|s| s.is_key).count(), 1);
            assert_eq!(*gop.video, clip.parameters.video);
            let until = at.plus_micros(TICK_US);
            let shown = gop.samples.iter().map(|s| s.wall).filter(|w| *w <= until);
            // The file counts in ticks of 11.1 us; both sides round.
            let shown = shown.max().unwrap();
            assert!(shown.micros_since(*wall).abs() <= 1, "picture {n}: {shown}");
            let first = clip.video().position(|u| u.data == gop.samples[0].data);
            let sent = clip.video().skip(first.unwrap());
            for (sample, unit) in gop.samples.iter().zip(sent) {
                assert!(sample.data == unit.data);
                assert_eq!(sample.pts, unit.pts.ticks);
            }
            let newest = gop.samples.last().unwrap().wall;
            assert!(newest <= at.plus_micros(TICK_US), "nothing needless");
        }
    }
}

async fn every_instant_has_its_picture(spec: ClipSpec, cut: usize) {
    let clip = spec.encode().unwrap();
    let (run, gops) = (new_run(), gops(&clip));
    // GOPs in fragments of `cut` units, as long GOPs are.
    let fragments: Vec<&[AccessUnit]> = gops.iter().flat_map(|gop| gop.chunks(cut)).collect();
    let stored = Archive::new().await;
    stored
        .publish(&stored.make(run, 0, &clip, &fragments))
        .await;
    check_instants(&stored, &clip).await;
    let spooled = Archive::new().await;
    spooled.spool(&spooled.make(run, 0, &clip, &fragments));
    check_instants(&spooled, &clip).await;
}

#[tokio::test]
async fn every_instant_has_its_picture_without_reordering() {
    every_instant_has_its_picture(small_clip(), 10).await;
}

#[tokio::test]
async fn every_instant_of_a_long_gop_has_its_picture() {
    let spec = ClipSpec {
        gop: 40,
        ..small_clip()
    };
    every_instant_has_its_picture(spec, 7).await;
}

#[tokio::test]
async fn every_instant_has_its_picture_with_reordering_across_fragments() {
    let spec = ClipSpec {
        gop: 20,
        b_frames: 2,
        ..small_clip()
    };
    every_instant_has_its_picture(spec, 3).await;
}

#[tokio::test]
async fn outside_of_footage_the_neighbours_are_named() {
    let archive = Archive::new().await;
    let clip = small_clip().encode().unwrap();
    let all = gops(&clip);
    let (start, end) = (clip.units[0].wall, small_clip().stamp(40).capture);
    // The first second is published, the last one is spooled, of another run.
    let first = archive.make(new_run(), 0, &clip, &all[..1]);
    let last = archive.make(new_run(), 0, &clip, &all[3..]);
    archive.publish(&first).await;
    archive.spool(&last);
    let around = async |at: WallTime| {
        let error = archive.footage.gop_at(archive.channel, at).await;
        match error.unwrap_err() {
            Error::NoFootage { before, after, .. } => (before, after),
            other => panic!("{other}"),
        }
    };
    let second = |n: i64| start.plus_micros(n * 1_000_000);
    assert_eq!(around(second(-1)).await, (None, Some(start)));
    assert_eq!(around(second(2)).await, (Some(second(1)), Some(second(3))));
    assert_eq!(around(second(1)).await, (Some(second(1)), Some(second(3))));
    assert_eq!(around(end).await, (Some(end), None));
    let last = archive
        .footage
        .gop_at(archive.channel, end.plus_micros(-1))
        .await
        .unwrap();
    assert_eq!(last.samples.len(), 10, "the last picture is on to its end");
}

/// The second half of the clip, later by some time.
fn later(clip: &EncodedClip, micros: i64) -> Vec<AccessUnit> {
    let move_unit = |unit: &AccessUnit| {
        let shift = |time: MediaTime| {
            MediaTime::new(time.ticks + time.scale.from_micros(micros), time.scale)
        };
        AccessUnit {
            wall: unit.wall.plus_micros(micros),
            pts: shift(unit.pts),
            dts: shift(unit.dts),
            ..unit.clone()
        }
    };
    gops(clip)[2..]
        .iter()
        .flat_map(|gop| gop.iter().map(move_unit))
        .collect()
}

#[tokio::test]
async fn a_hole_of_rounding_in_a_run_is_none() {
    for (is_same_run, hole_us, has_picture) in [
        (true, CONTINUITY_US, true),
        (true, CONTINUITY_US + 2, false),
        (false, 20_000, false),
    ] {
        let archive = Archive::new().await;
        let clip = small_clip().encode().unwrap();
        let (run, all) = (new_run(), gops(&clip));
        let rest = later(&clip, hole_us);
        let next_run = if is_same_run { run } else { new_run() };
        let first = archive.make(run, 0, &clip, &all[..2]);
        archive.publish(&first).await;
        archive
            .publish(&archive.make(next_run, 1, &clip, &[&rest]))
            .await;
        let at = first.range.end.plus_micros(hole_us / 2);
        let found = archive.footage.gop_at(archive.channel, at).await;
        assert_eq!(found.is_ok(), has_picture, "{is_same_run} {hole_us}");
        if let Ok(gop) = found {
            assert!(gop.samples.last().unwrap().wall < first.range.end);
        }
    }
}

#[tokio::test]
async fn a_pause_inside_a_segment_is_a_hole() {
    let archive = Archive::new().await;
    let clip = small_clip().encode().unwrap();
    let all = gops(&clip);
    let rest = later(&clip, 10_000_000);
    let made = archive.make(new_run(), 0, &clip, &[all[0], all[1], &rest]);
    archive.publish(&made).await;
    assert_eq!(made.range.micros(), 14_000_000);
    let start = made.range.start;
    let at = start.plus_micros(5_000_000);
    let error = archive.footage.gop_at(archive.channel, at).await;
    match error.unwrap_err() {
        Error::NoFootage { before, after, .. } => {
            assert_eq!(before, Some(start.plus_micros(2_000_000)));
            assert_eq!(after, Some(start.plus_micros(12_000_000)));
        }
        other => panic!("{other}"),
    }
    let pieces = archive.footage.pieces(archive.channel, EVER).await.unwrap();
    assert_eq!(pieces.len(), 1);
}

#[tokio::test]
async fn the_capture_time_that_live_video_gave_finds_the_same_picture() {
    // A third of a second is no whole number of microseconds, and fragments that begin within a GOP
    // round from their own first picture.
    let spec = ClipSpec {
        fps: 30,
        gop: 60,
        frames: 60,
        ..small_clip()
    };
    let clip = spec.encode().unwrap();
    let fragments: Vec<&[AccessUnit]> = clip.units.chunks(7).collect();
    let archive = Archive::new().await;
    archive.spool(&archive.make(new_run(), 0, &clip, &fragments));
    for unit in clip.video() {
        let gop = archive.footage.gop_at(archive.channel, unit.wall).await;
        assert!(gop.unwrap().samples.last().unwrap().data == unit.data);
    }
}

#[tokio::test]
async fn leading_pictures_are_decoded_from_the_key_frame_before_theirs() {
    let clip = with_open_gops(&small_clip().encode().unwrap());
    let (run, gops) = (new_run(), gops(&clip));
    let together = Archive::new().await;
    together.spool(&together.make(run, 0, &clip, &gops));
    let apart = Archive::new().await;
    for (n, gop) in gops.iter().enumerate() {
        let made = apart.make(run, n as i64, &clip, &[gop]);
        apart.publish(&made).await;
    }
    for archive in [together, apart] {
        for (n, unit) in clip.video().enumerate() {
            let at = unit.wall.plus_micros(50_000);
            let gop = archive.footage.gop_at(archive.channel, at).await.unwrap();
            let shown = gop.samples.iter().filter(|s| s.wall <= at);
            let wanted = shown.max_by_key(|s| s.wall).unwrap();
            assert!(wanted.data == unit.data, "sample {n}");
            assert!(gop.samples[0].is_key);
            let key = gop.samples[0].wall;
            assert!(key <= unit.wall, "sample {n} needs the key frame before");
            let is_leading = clip.units[..n]
                .iter()
                .any(|u| u.is_key && u.wall > unit.wall);
            let keys = gop.samples.iter().filter(|s| s.is_key).count();
            assert_eq!(keys, 1 + usize::from(is_leading));
        }
    }
}
