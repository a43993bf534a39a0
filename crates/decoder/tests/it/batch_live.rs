//! Many pictures at the seam from recorded footage to the live ring, and ahead of now.

use crate::batch_rig::{
    Told, all, at, behind, clip, cursor, range, record_fragments, request, rest, tell, units,
};
use crate::rig::Rig;
use framewell_imaging::Match;
use framewell_imaging::batch::{EndReason, Entry, Rule};
use framewell_media::{AccessUnit, VideoCodec};
use framewell_model::ChannelStatus;

/// Half of the clip is recorded, all of it is in the ring.
async fn rig(b_frames: u32) -> (Rig, Vec<AccessUnit>) {
    let rig = Rig::new(at(1_920)).await;
    let clip = clip(VideoCodec::H264, 320, b_frames, 0);
    let mut first_half = clip.clone();
    first_half.units.truncate(24);
    record_fragments(&rig, &first_half, 1, &[12, 12]);
    let units = units(&clip);
    rig.stream(1, &clip, &[]);
    (rig, units)
}

fn pictures(every_ms: i64, from: i64, to: i64) -> Vec<Told> {
    let count = (to - from + every_ms - 1) / every_ms;
    (0..count)
        .map(|n| from + n * every_ms)
        .map(|ms| Told::Picture(ms, ms - ms % 40))
        .collect()
}

#[tokio::test]
async fn recorded_and_live_footage_are_one() {
    for b_frames in [0, 2] {
        let (rig, units) = rig(b_frames).await;
        // The ring begins inside of what is recorded.
        rig.push(&units[12..]);
        rig.track.end_run(framewell_live::EndReason::Stopped);
        let rule = Rule::Every(100_000);
        let entries = all(&rig, request(range(0, 1_900), rule, Match::Exact)).await;
        let mut expected = pictures(100, 0, 1_900);
        expected.push(Told::End(EndReason::Complete));
        assert_eq!(tell(&entries), expected);
        let live = entries.iter().filter(|entry| match entry {
            Entry::Picture(sample) => sample.is_live,
            _ => false,
        });
        assert_eq!(live.count(), 14);
        for (index, entry) in entries.iter().enumerate() {
            if let Some(cursor) = cursor(entry) {
                let rest = all(&rig, behind(cursor)).await;
                assert_eq!(tell(&rest), expected[index + 1..], "behind {index}");
            }
        }
    }
}

#[tokio::test]
async fn look_back_and_look_ahead_are_served_from_the_ring() {
    for b_frames in [0, 2] {
        let (rig, units) = rig(b_frames).await;
        rig.push(&units[..30]);
        rig.clock.set(at(1_200));
        let whole = request(range(400, 1_800), Rule::Every(200_000), Match::Exact);
        let mut batch = rig.imaging.batch(whole).await.unwrap();
        // What is there comes at once.
        let mut told = Vec::new();
        for _ in 0..3 {
            let entry = batch.next().await.unwrap();
            assert!(matches!(&entry, Entry::Picture(sample) if sample.is_live));
            told.extend(tell(&[entry]));
        }
        rig.push(&units[30..]);
        told.extend(tell(&rest(batch).await));
        let mut expected = pictures(200, 400, 1_800);
        expected.push(Told::End(EndReason::Complete));
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn a_camera_that_stays_silent_leaves_a_hole_at_the_end() {
    let (rig, units) = rig(0).await;
    rig.push(&units);
    rig.track.end_run(framewell_live::EndReason::Stopped);
    rig.show(ChannelStatus::Offline);
    rig.clock.set(at(2_000));
    let whole = request(range(1_500, 2_300), Rule::Every(100_000), Match::Exact);
    let told = tell(&all(&rig, whole).await);
    let mut expected = pictures(100, 1_500, 1_920);
    expected.push(Told::Gap(1_920, 2_300, 3));
    expected.push(Told::End(EndReason::Complete));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_channel_that_is_not_recorded_has_what_the_ring_holds() {
    let rig = Rig::new(at(1_920)).await;
    let clip = clip(VideoCodec::H264, 320, 2, 0);
    rig.stream(1, &clip, &units(&clip));
    rig.track.end_run(framewell_live::EndReason::Stopped);
    let whole = request(range(-1_000, 1_900), Rule::Count(4), Match::Exact);
    let told = tell(&all(&rig, whole).await);
    assert_eq!(told[0], Told::Gap(-1_000, 0, 0));
    assert_eq!(told[1], Told::Picture(0, 0));
    assert_eq!(told.len(), 6, "{told:?}");
}
