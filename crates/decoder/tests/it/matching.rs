//! Which picture of those around an instant comes back, from ring, spool and store alike.

use crate::archive::make;
use crate::common::{poll_once, within};
use crate::rig::{Rig, b_clip, stamp};
use framewell_imaging::{Error, Match};
use framewell_live::EndReason;
use framewell_media::AccessUnit;
use framewell_model::{ChannelStatus, ErrorKind, FrameId, HasKind, WallTime};
use framewell_testkit::encode::EncodedClip;
use std::collections::HashMap;
use std::time::Duration;

const ALL: [Match; 5] = [
    Match::Exact,
    Match::Before,
    Match::After,
    Match::Nearest,
    Match::Keyframe,
];

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn units(clip: &EncodedClip) -> Vec<AccessUnit> {
    clip.video().cloned().collect()
}

/// Capture times of the pictures and of the key frames of some clips, each of a run of its own.
struct Truth {
    runs: Vec<(Vec<WallTime>, Vec<WallTime>)>,
}

impl Truth {
    fn of(clips: &[&EncodedClip]) -> Self {
        let of_clip = |clip: &&EncodedClip| {
            let mut walls: Vec<WallTime> = clip.video().map(|unit| unit.wall).collect();
            walls.sort();
            let keys = clip.video().filter(|unit| unit.is_key);
            (walls, keys.map(|unit| unit.wall).collect())
        };
        Self {
            runs: clips.iter().map(of_clip).collect(),
        }
    }

    /// A clip that was moved in time still shows the times of the first one.
    fn painted(&self, captured: WallTime) -> WallTime {
        let begun = |(walls, _): &&(Vec<WallTime>, Vec<WallTime>)| walls[0] <= captured;
        let run = self.runs.iter().rfind(begun).unwrap();
        captured.plus_micros(-run.0[0].micros_since(self.runs[0].0[0]))
    }

    fn expected(&self, at: WallTime, matching: Match) -> Option<WallTime> {
        let all = || {
            self.runs
                .iter()
                .flat_map(|(walls, _)| walls.iter().copied())
        };
        let before = all().filter(|wall| *wall <= at).max();
        let after = all().filter(|wall| *wall >= at).min();
        // A picture is on screen for 40 ms, or until the next one of its run.
        let run = self
            .runs
            .iter()
            .find(|(walls, _)| walls[0] <= at && at < walls[walls.len() - 1].plus_micros(40_000));
        match matching {
            Match::Exact => before.filter(|_| run.is_some()),
            Match::Before => before,
            Match::After => after,
            Match::Nearest => match (before, after) {
                (Some(before), Some(after)) => {
                    let is_before = at.micros_since(before) <= after.micros_since(at);
                    Some(if is_before { before } else { after })
                }
                (before, after) => before.or(after),
            },
            Match::Keyframe => run.and_then(|(_, keys)| keys.iter().copied().rfind(|k| *k <= at)),
        }
    }
}

/// Asks for every match at these instants; the frames by capture time.
async fn check(rig: &Rig, truth: &Truth, instants: &[WallTime], frames: &mut Frames) {
    for at in instants {
        for matching in ALL {
            let result = within(rig.matching(*at, matching)).await;
            let Some(expected) = truth.expected(*at, matching) else {
                let error = result.unwrap_err();
                assert_eq!(
                    error.kind(),
                    ErrorKind::NotFound,
                    "{at} {matching:?} {error:?}"
                );
                continue;
            };
            let image = result.unwrap_or_else(|error| panic!("{at} {matching:?}: {error:?}"));
            let painted = truth.painted(expected);
            assert_eq!(stamp(&image).capture, painted, "{at} {matching:?}");
            let off_us = image.captured.micros_since(expected).abs();
            assert!(off_us <= 1, "{at} {matching:?} stated {}", image.captured);
            assert_eq!(image.requested, *at);
            let known = frames.entry(expected).or_insert(image.frame);
            assert_eq!(
                *known, image.frame,
                "a frame has one name: {at} {matching:?}"
            );
        }
    }
}

type Frames = HashMap<WallTime, FrameId>;

#[tokio::test]
async fn every_match_finds_its_picture_wherever_it_lies() {
    let (spec, first) = b_clip();
    let second = first.starting_at(spec.start + Duration::from_secs(20));
    let truth = Truth::of(&[&first, &second]);
    let after = |count| spec.start + ms(count);
    let instants = [
        0, 13, 40, 95, 479, 481, 1_000, 1_870, 1_900, 5_000, 15_000, 20_000, 20_777,
    ]
    .map(after);
    let now = after(21_000);
    let mut frames = Frames::new();

    let live = Rig::new(now).await;
    live.stream(1, &first, first.video());
    live.track.end_run(EndReason::CameraLost);
    live.stream(2, &second, second.video());
    // The ring does not know how long the last picture of a run is shown.
    let known = instants.iter().copied().filter(|at| *at != after(1_900));
    check(&live, &truth, &known.collect::<Vec<_>>(), &mut frames).await;

    let spooled = Rig::new(now).await;
    let stored = Rig::new(now).await;
    for (number, clip) in [(1, &first), (2, &second)] {
        spooled.keep_in_spool(&make(clip, &units(clip), (number, number), 6, None));
        let by_gop = make(clip, &units(clip), (number, number), 12, None);
        stored.publish(&by_gop, &by_gop.bytes).await;
    }
    check(&spooled, &truth, &instants, &mut frames).await;
    check(&stored, &truth, &instants, &mut frames).await;
    let before_all = stored.matching(spec.start - ms(5_000), Match::After).await;
    assert_eq!(before_all.unwrap().frame, frames[&spec.start]);
}

#[tokio::test]
async fn at_the_seams_of_store_spool_and_ring_the_answers_agree() {
    let (spec, clip) = b_clip();
    let units = units(&clip);
    let rig = Rig::new(spec.start + ms(1_900)).await;
    // GOPs 0 and 1 are published, 2 is spooled, and the ring has 2 and 3.
    let dts = |n: usize| Some(units[n].dts.ticks);
    let stored = make(&clip, &units[..24], (1, 1), 12, dts(24));
    rig.publish(&stored, &stored.bytes).await;
    rig.keep_in_spool(&make(&clip, &units[24..36], (1, 2), 12, dts(36)));
    rig.stream(1, &clip, &units[24..]);
    let truth = Truth::of(&[&clip]);
    let instants: Vec<WallTime> = (0..1_880).step_by(59).map(|n| spec.start + ms(n)).collect();
    let mut frames = Frames::new();
    check(&rig, &truth, &instants, &mut frames).await;
    // Without the ring the spool answers the same.
    rig.track.end_run(EndReason::Stopped);
    let alone = Rig::new(spec.start + ms(1_900)).await;
    alone.publish(&stored, &stored.bytes).await;
    alone.keep_in_spool(&make(&clip, &units[24..36], (1, 2), 12, dts(36)));
    let recorded: Vec<WallTime> = instants
        .into_iter()
        .filter(|at| *at < spec.start + ms(1_400))
        .collect();
    check(&alone, &truth, &recorded, &mut frames).await;
}

#[tokio::test]
async fn after_the_newest_picture_the_next_one_is_waited_for() {
    let (spec, clip) = b_clip();
    let units = units(&clip);
    let rig = Rig::new(spec.start + ms(1_000)).await;
    rig.stream(1, &clip, &units[..13]);
    let newest = units[..13].iter().map(|unit| unit.wall).max().unwrap();
    let at = newest + ms(1);
    for matching in [Match::After, Match::Nearest] {
        let mut image = Box::pin(rig.matching(at, matching));
        assert!(
            poll_once(image.as_mut()).await.is_none(),
            "{matching:?} waits"
        );
        drop(image);
    }
    let mut image = Box::pin(rig.matching(at, Match::After));
    assert!(poll_once(image.as_mut()).await.is_none());
    rig.push(&units[13..]);
    let image = within(image).await.unwrap();
    assert_eq!(stamp(&image).capture, newest + ms(40));
}

#[tokio::test]
async fn what_comes_after_the_last_picture_of_a_lost_camera_is_not_invented() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + ms(10_000)).await;
    rig.stream(1, &clip, clip.video());
    rig.track.end_run(EndReason::CameraLost);
    rig.show(ChannelStatus::Offline);
    let at = spec.start + ms(5_000);
    let last = spec.stamp(47).capture;
    let error = rig.matching(at, Match::After).await.unwrap_err();
    let Error::Footage(framewell_footage::Error::NoFootage { before, after, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!((before, after), (Some(last), None));
    let nearest = rig.matching(at, Match::Nearest).await.unwrap();
    assert_eq!(nearest.captured, last);
    for matching in ALL {
        let error = rig.matching(spec.start + ms(11_000), matching).await;
        assert!(matches!(error, Err(Error::Future { .. })), "{matching:?}");
    }
}

#[tokio::test]
async fn the_newest_key_frame_is_a_cheap_picture_of_now() {
    let (spec, clip) = b_clip();
    let rig = Rig::new(spec.start + ms(1_900)).await;
    rig.stream(1, &clip, clip.video());
    let request = framewell_imaging::Request {
        matching: Match::Keyframe,
        ..crate::rig::request(None)
    };
    let image = rig.imaging.image(&request).await.unwrap();
    assert_eq!(stamp(&image), spec.stamp(36));
    assert!(image.is_key && image.is_live);
    assert_eq!(rig.imaging.decode_counts().frames, 1);
}
