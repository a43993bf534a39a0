//! Killed at any moment: everything complete is published exactly once, and the hole has a row.

use crate::rig::{Camera, Rig, small_clip, until};
use framewell_blob::ObjectKey;
use framewell_catalog::{Excess, NewSegment};
use framewell_fmp4::parse_link;
use framewell_live::EndReason;
use framewell_model::{
    ClockSource, DeletionReason, GapReason, RunId, SegmentId, TimeRange, WallTime,
};
use framewell_testkit::encode::EncodedClip;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// Records a loop and a half and kills the recorder; the open segment is a spool file.
async fn crashed_rig() -> (Rig, Camera) {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.play_units(19);
    rig.until_recorded(50).await;
    rig.until_published(2).await;
    rig.crash().await;
    (rig, camera)
}

fn cut(file: &Path, len: u64) {
    let file = File::options().write(true).open(file).unwrap();
    file.set_len(len).unwrap();
}

/// Every segment once, the gap since the tail open.
async fn assert_recovered(rig: &Rig, camera: &Camera, pictures: usize) {
    let pieces = rig.pieces().await;
    assert!(pieces.iter().all(|piece| piece.record.is_some()));
    let ids: BTreeSet<_> = pieces.iter().map(|piece| piece.id).collect();
    assert_eq!(ids.len(), pieces.len());
    rig.assert_recorded(&camera.video()[..pictures]).await;
    assert!(rig.files("spool").is_empty());
    assert_eq!(rig.files("objects").len(), pieces.len());
    let staged = rig.catalog.list_staged_segments(10).await.unwrap();
    assert!(staged.is_empty());
    let tail = pieces.last().unwrap().range.end;
    assert_eq!(rig.gaps().await, [(tail, None, GapReason::ServerDown)]);
}

#[tokio::test]
async fn complete_fragments_of_an_open_file_are_published_and_the_hole_gets_a_row() {
    let (mut rig, camera) = crashed_rig().await;
    rig.recover().await;
    assert_recovered(&rig, &camera, 50).await;
    // Once more changes nothing.
    rig.recover().await;
    assert_recovered(&rig, &camera, 50).await;

    let tail = rig.pieces().await.last().unwrap().range.end;
    let back = tail.plus_micros(20_000_000);
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, back);
    camera.play();
    let gaps = rig
        .until_gaps("a closed gap", |gaps| gaps[0].1.is_some())
        .await;
    assert_eq!(gaps, [(tail, Some(back), GapReason::ServerDown)]);
    rig.stop().await;
}

#[tokio::test]
async fn a_file_torn_at_any_byte_keeps_its_complete_fragments() {
    let (rig, _) = crashed_rig().await;
    let spooled = rig.files("spool");
    assert_eq!(spooled.len(), 1);
    let whole = std::fs::read(&spooled[0]).unwrap();
    let index = framewell_fmp4::scan_segment(&whole).unwrap().index;
    let ends: Vec<u64> = index
        .fragments
        .iter()
        .map(|fragment| fragment.offset + u64::from(fragment.len))
        .collect();
    assert_eq!(ends.last(), Some(&(whole.len() as u64)));
    // Around every border, and in between.
    let init = u64::from(index.init_len);
    let mut lengths: BTreeSet<u64> = (0..whole.len() as u64).step_by(997).collect();
    for border in ends.iter().copied().chain([init]) {
        lengths.extend([border - 1, border, border + 1]);
    }
    let channel = rig.channel.to_string();
    for length in lengths {
        let fresh = Rig::new().await;
        assert_eq!(fresh.channel, rig.channel, "ids count from 1 in each rig");
        let folder = fresh.dir.path().join("spool").join(&channel);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(spooled[0].file_name().unwrap());
        std::fs::write(&file, &whole).unwrap();
        cut(&file, length);
        fresh.recover().await;
        let pieces = fresh.pieces().await;
        let kept = ends.iter().filter(|end| **end <= length).count();
        let found = pieces.first().map_or(0, |p| p.index.fragments.len());
        assert_eq!(found, kept, "cut to {length} bytes");
        assert_eq!(pieces.len(), usize::from(kept > 0));
        if kept > 0 {
            assert_eq!(pieces[0].size_bytes, ends[kept - 1]);
            let object = std::fs::metadata(&fresh.files("objects")[0]).unwrap();
            assert_eq!(object.len(), ends[kept - 1], "the torn tail is cut off");
        }
        assert!(fresh.files("spool").is_empty());
    }
}

/// The kernel finishes a system call of a killed process or never begins it; here, a blocking call
/// goes on without its task. With one thread for such calls, an empty one waits for those before it.
fn with_one_blocking_thread(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap()
        .block_on(test);
}

#[test]
fn killed_at_many_moments_nothing_complete_is_lost_or_doubled() {
    let clip = small_clip().encode().unwrap();
    for moment in 0..24usize {
        with_one_blocking_thread(kill_at(moment, &clip));
    }
}

/// The recorder runs some way while the pictures come, and is killed somewhere: with a file half
/// written, a row staged, an object moved.
async fn kill_at(moment: usize, clip: &EncodedClip) {
    let mut rig = Rig::new().await;
    rig.record().await;
    let mut camera = Camera::connect(&rig, clip, small_clip().start);
    for _ in 0..3 {
        camera.play();
        for _ in 0..moment {
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        }
    }
    let announced = rig.samples().await.len();
    rig.crash().await;
    tokio::task::spawn_blocking(|| ()).await.unwrap();
    rig.recover().await;
    let recovered = rig.samples().await.len();
    assert!(
        recovered >= announced,
        "{recovered} of {announced} at moment {moment}"
    );
    if recovered > 0 {
        assert_recovered(&rig, &camera, recovered).await;
    }
}

async fn delete_channel(rig: &Rig) {
    let channel = rig.catalog.load_channel(rig.channel).await.unwrap();
    rig.catalog
        .delete_channel(channel.account, rig.channel, small_clip().start)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_file_of_a_channel_that_no_database_knows_is_kept() {
    let (rig, _) = crashed_rig().await;
    let file = rig.files("spool").pop().unwrap();
    let footage = std::fs::read(&file).unwrap();
    // Without the channel and its entry in the account: this is what an empty database looks like.
    let fresh = Rig::new().await;
    delete_channel(&fresh).await;
    let end_of_time = WallTime::from_micros(i64::MAX);
    let forgotten = fresh.catalog.forget_deletions(end_of_time).await;
    assert_eq!(forgotten.unwrap(), 1);
    let folder = fresh.dir.path().join("spool").join("1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    for _ in 0..2 {
        fresh.recover().await;
        let kept = fresh.files("spool");
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert!(kept[0].ends_with(Path::new("unknown/1").join(file.file_name().unwrap())));
        assert!(std::fs::read(&kept[0]).unwrap() == footage);
    }
    assert!(fresh.files("objects").is_empty());
}

#[tokio::test]
async fn a_file_of_a_deleted_channel_or_without_footage_is_removed() {
    let (rig, _) = crashed_rig().await;
    assert_eq!(rig.files("spool").len(), 1);
    delete_channel(&rig).await;
    let folder = rig.dir.path().join("spool").join("1");
    let empty = format!("{}.mp4", Uuid::now_v7());
    std::fs::write(folder.join(empty), b"").unwrap();
    let garbage = format!("{}.mp4", Uuid::now_v7());
    std::fs::write(folder.join(garbage), [0xa5; 5_000]).unwrap();
    rig.recover().await;
    assert!(rig.files("spool").is_empty());
    rig.node.recorder.sweep().await.unwrap();
    assert!(rig.files("objects").is_empty());
}

#[tokio::test]
async fn a_staged_row_is_finished_if_its_object_is_there_and_dropped_if_not() {
    let rig = Rig::new().await;
    let now = small_clip().start;
    let stage = async |n: u128| {
        let row = NewSegment {
            id: SegmentId::from_uuid(Uuid::from_u128(n)),
            channel: rig.channel,
            run: RunId::from_uuid(Uuid::from_u128(1)),
            sequence: 0,
            range: TimeRange::new(now, now.plus_micros(2_000_000)).unwrap(),
            clock: ClockSource::ServerArrival,
            size_bytes: 7,
            codecs: "avc1.64001f".to_owned(),
            index: Vec::new(),
        };
        rig.catalog.stage_segment(&row, now).await.unwrap()
    };
    let (stored, lost) = (stage(1).await, stage(2).await);
    let file = rig.dir.path().join("stored");
    std::fs::write(&file, b"footage").unwrap();
    let key = ObjectKey::Segment {
        channel: rig.channel,
        start: now,
        id: SegmentId::from_uuid(Uuid::from_u128(1)),
    };
    rig.blobs.put_file(&key, &file).await.unwrap();
    rig.recover().await;
    assert!(rig.catalog.load_segment(stored).await.is_ok());
    assert!(rig.catalog.load_segment(lost).await.is_err());
    let staged = rig.catalog.list_staged_segments(10).await.unwrap();
    assert!(staged.is_empty());
}

#[tokio::test]
async fn what_the_store_does_not_take_at_the_start_is_published_while_running() {
    let (mut rig, camera) = crashed_rig().await;
    let (objects, away) = (rig.dir.path().join("objects"), rig.dir.path().join("away"));
    std::fs::rename(&objects, &away).unwrap();
    std::fs::write(&objects, b"in the way").unwrap();
    rig.recover().await;
    let waiting = rig.files("spool");
    assert_eq!(waiting.len(), 1);
    // What waits is not missing: the hole begins behind it.
    let tail = camera.video()[50].wall;
    let down = |gaps: &[(WallTime, Option<WallTime>, GapReason)]| {
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!((gaps[0].1, gaps[0].2), (None, GapReason::ServerDown));
        assert!(gaps[0].0.micros_since(tail).abs() <= 20, "{gaps:?}");
    };
    down(&rig.gaps().await);
    // Nor does another start make it so.
    rig.crash().await;
    rig.recover().await;
    down(&rig.gaps().await);
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut next = Camera::connect(&rig, &clip, tail.plus_micros(20_000_000));
    next.play_units(19);
    // The next segment names the one that waits.
    let opened = until("the next segment", async || {
        let mut files = rig.files("spool");
        files.retain(|file| !waiting.contains(file));
        let head = std::fs::read(files.first()?).ok()?;
        parse_link(&head).ok()
    })
    .await;
    let named = opened.unwrap().segment.to_string();
    assert!(waiting[0].to_string_lossy().contains(&named));
    std::fs::remove_file(&objects).unwrap();
    std::fs::rename(&away, &objects).unwrap();
    until("a spool without what waited", async || {
        (!waiting[0].exists()).then_some(())
    })
    .await;
    rig.until_published(3).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_hole_whose_row_the_crash_took_has_no_made_up_reason() {
    let (mut rig, camera) = crashed_rig().await;
    let clip = small_clip().encode().unwrap();
    let tail = camera.video()[50].wall;
    rig.recover().await;
    let back = tail.plus_micros(20_000_000);
    rig.record().await;
    let mut again = Camera::connect(&rig, &clip, back);
    again.play();
    rig.until_gaps("a closed gap", |gaps| gaps[0].1.is_some())
        .await;
    let all = TimeRange {
        start: tail.plus_micros(-1_000),
        end: back,
    };
    rig.catalog.cut_gaps(rig.channel, all, 0).await.unwrap();
    rig.crash().await;
    rig.recover().await;
    let gaps = rig.gaps().await;
    assert_eq!((gaps[0].1, gaps[0].2), (Some(back), GapReason::Unknown));
    assert_eq!(gaps.len(), 2, "{gaps:?}");
}

#[tokio::test]
async fn a_gap_that_was_over_before_the_crash_ends_where_footage_began() {
    let (mut rig, _) = crashed_rig().await;
    // The row of an older gap was never closed, though footage came back at once.
    let open = framewell_catalog::NewGap {
        channel: rig.channel,
        start: small_clip().start.plus_micros(-5_000_000),
        end: None,
        reason: GapReason::CameraOffline,
    };
    rig.catalog.insert_gap(open).await.unwrap();
    rig.recover().await;
    let tail = rig.pieces().await.last().unwrap().range.end;
    assert_eq!(
        rig.gaps().await,
        [
            (
                open.start,
                Some(small_clip().start),
                GapReason::CameraOffline
            ),
            (tail, None, GapReason::ServerDown)
        ]
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_graceful_stop_publishes_everything_and_says_that_the_server_is_down() {
    let mut rig = Rig::new().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let mut camera = Camera::connect(&rig, &clip, small_clip().start);
    camera.play();
    camera.end_run(EndReason::Stopped);
    rig.stop().await;
    rig.assert_recorded(&camera.video()).await;
    let down = (camera.end(), None, GapReason::ServerDown);
    assert_eq!(rig.gaps().await, [down]);
    assert!(rig.files("spool").is_empty());
    rig.crash().await;
    rig.recover().await;
    assert_eq!(rig.gaps().await, [down]);
}

/// All that is published goes for a full disk.
async fn discard_everything(rig: &Rig) {
    let everything = Excess {
        channel: None,
        bytes: i64::MAX,
        limit: 1_000,
        reason: DeletionReason::Pressure,
    };
    rig.catalog
        .doom_oldest_segments(everything, small_clip().start)
        .await
        .unwrap();
    assert!(rig.pieces().await.is_empty());
}

#[tokio::test]
async fn footage_that_a_crash_took_after_all_before_had_to_go_lies_in_a_gap() {
    let (mut rig, _) = crashed_rig().await;
    rig.recover().await;
    let first = small_clip().start;
    let back = rig.pieces().await.last().unwrap().range.end + Duration::from_secs(20);
    // Footage is back for a moment, of which nothing becomes a file.
    rig.catalog.close_gap(rig.channel, back).await.unwrap();
    discard_everything(&rig).await;
    rig.recover().await;
    let down = (back, None, GapReason::ServerDown);
    let gaps = rig.gaps().await;
    assert_eq!(gaps.last(), Some(&down), "{gaps:?}");
    assert_eq!(gaps[0].0, first, "{gaps:?}");
    let reached = gaps.iter().try_fold(first, |reached, (start, end, _)| {
        (start.micros_since(reached) <= 1_000).then_some(end.unwrap_or(*start))
    });
    assert_eq!(reached, Some(back), "no hole between the rows: {gaps:?}");

    // And the one that was open ends with the next footage.
    rig.crash().await;
    rig.recover().await;
    rig.record().await;
    let clip = small_clip().encode().unwrap();
    let again = back + Duration::from_secs(10);
    Camera::connect(&rig, &clip, again).play();
    let closed = (back, Some(again), GapReason::ServerDown);
    rig.until_gaps("a closed gap", |gaps| gaps.last() == Some(&closed))
        .await;
    rig.stop().await;
}

#[tokio::test]
async fn footage_that_goes_on_behind_a_gap_that_was_over_is_missed_from_its_end_on() {
    let (mut rig, _) = crashed_rig().await;
    rig.recover().await;
    let tail = rig.pieces().await.last().unwrap().range.end;
    let back = tail + Duration::from_secs(20);
    rig.catalog.close_gap(rig.channel, back).await.unwrap();
    rig.recover().await;
    assert_eq!(
        rig.gaps().await,
        [
            (tail, Some(back), GapReason::ServerDown),
            (back, None, GapReason::ServerDown)
        ]
    );
    rig.stop().await;
}
