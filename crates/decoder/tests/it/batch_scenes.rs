//! Pictures chosen by how much they differ.

use crate::archive::record;
use crate::batch_rig::{all, at, behind, cursor, ms, range, request};
use crate::rig::Rig;
use framewell_imaging::Match;
use framewell_imaging::batch::{Entry, Rule};
use framewell_media::AccessUnit;
use framewell_testkit::encode::EncodedClip;
use std::process::Command;

/// Black, white from 1 s on, gray from 2 s on, to 3 s; GOPs of 0.48 s, so both changes lie inside of one.
fn scenes(rig: &Rig) -> EncodedClip {
    let file = rig.folder.path().join("scenes.mp4");
    let part = |colour: &str| format!("color={colour}:size=320x240:rate=25:duration=1");
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(["-f", "lavfi", "-i", &part("black")])
        .args(["-f", "lavfi", "-i", &part("white")])
        .args(["-f", "lavfi", "-i", &part("gray")])
        .args(["-filter_complex", "[0][1][2]concat=n=3"])
        .args(["-c:v", "libx264", "-bf", "2", "-g", "12"])
        .args(["-keyint_min", "12", "-sc_threshold", "0"])
        .args(["-x264-params", "open-gop=0"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(done.success());
    EncodedClip::from_file(&file, at(0)).unwrap()
}

/// Capture time in ms and how much it changed, in percent.
fn chosen(entries: &[Entry]) -> Vec<(i64, i64)> {
    entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Picture(sample) => {
                let change = f64::from(sample.change.unwrap());
                Some((ms(sample.captured), (change * 100.0).round() as i64))
            }
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn each_scene_gives_its_first_picture_wherever_it_begins() {
    let rig = Rig::new(at(60_000)).await;
    record(&rig, &scenes(&rig), 1, 12);
    let scenes = request(range(0, 3_000), Rule::Changes(0.1), Match::Exact);
    let entries = all(&rig, scenes).await;
    let found = chosen(&entries);
    let times: Vec<i64> = found.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(times, [0, 1_000, 2_000], "{found:?}");
    assert_eq!(found[0].1, 100);
    assert!((95..=100).contains(&found[1].1), "{found:?}");
    assert!((40..=60).contains(&found[2].1), "{found:?}");
    for (index, entry) in entries.iter().enumerate() {
        if let Some(cursor) = cursor(entry) {
            let rest = all(&rig, behind(cursor)).await;
            assert_eq!(chosen(&rest), found[(index + 1).min(3)..], "behind {index}");
        }
    }
    let late = request(range(1_500, 3_000), Rule::Changes(0.1), Match::Exact);
    let late: Vec<i64> = chosen(&all(&rig, late).await).iter().map(|f| f.0).collect();
    assert_eq!(late, [1_520, 2_000]);
    let never = request(range(0, 3_000), Rule::Changes(1.0), Match::Exact);
    assert_eq!(chosen(&all(&rig, never).await), [(0, 100)]);
    // Without pixels the same pictures are named.
    let mut named = request(range(0, 3_000), Rule::Changes(0.1), Match::Exact);
    named.output = None;
    assert_eq!(chosen(&all(&rig, named).await), found);
}

#[tokio::test]
async fn damage_behind_a_scene_costs_no_picture_before_it() {
    let rig = Rig::new(at(60_000)).await;
    let mut clip = scenes(&rig);
    // Near the end of the GOP in which white begins.
    let is_hit = |unit: &&mut AccessUnit| (at(1_300)..at(1_440)).contains(&unit.wall);
    for unit in clip.units.iter_mut().filter(is_hit) {
        let mut data = unit.data.to_vec();
        data[5..].fill(0xa5);
        unit.data = data.into();
    }
    record(&rig, &clip, 1, 12);
    let whole = request(range(0, 3_000), Rule::Changes(0.1), Match::Exact);
    let entries = all(&rig, whole).await;
    let times: Vec<i64> = chosen(&entries).iter().map(|found| found.0).collect();
    assert_eq!(times, [0, 1_000, 2_000], "{entries:?}");
    let Entry::Failed(failed) = &entries[2] else {
        panic!("{entries:?}");
    };
    let (start, end) = (ms(failed.range.start), ms(failed.range.end));
    assert!((1_160..=1_320).contains(&start), "{failed:?}");
    assert_eq!((end, failed.missing), (1_440, 1));
    // Behind the failure the batch goes on as before.
    let rest = all(&rig, behind(failed.cursor)).await;
    assert_eq!(chosen(&rest).last().map(|found| found.0), Some(2_000));
}
