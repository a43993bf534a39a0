//! Many pictures while workers die, and of GOPs that are damaged near their end.

use crate::batch_rig::{Told, all, at, range, request, rest, tell};
use crate::common::{ready_pid, signal, until};
use crate::rig::Rig;
use framewell_imaging::Match;
use framewell_imaging::batch::{EndReason, Rule};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use rustix::process::Signal;

/// One GOP of 48 pictures.
fn long_gop(b_frames: u32) -> EncodedClip {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        gop: 48,
        b_frames,
        frames: 48,
        ..ClipSpec::default()
    };
    spec.encode().unwrap()
}

fn pictures(every_ms: i64, to: i64) -> Vec<Told> {
    let instants = (0..to).step_by(usize::try_from(every_ms).unwrap());
    instants.map(|ms| Told::Picture(ms, ms)).collect()
}

#[tokio::test]
async fn a_worker_killed_in_mid_batch_costs_no_picture() {
    let rig = Rig::new(at(60_000)).await;
    crate::archive::record(&rig, &long_gop(2), 1, 48);
    // In one job, in several of one session, and as differences from picture to picture.
    let at_once = (Rule::Every(160_000), pictures(160, 1_920));
    let in_pieces = (Rule::All, pictures(40, 1_920));
    let changes = (Rule::Changes(0.0), pictures(40, 1_920));
    for (rule, mut expected) in [at_once, in_pieces, changes] {
        let pid = ready_pid(&rig.pool).await;
        signal(pid, Signal::STOP);
        let whole = request(range(0, 1_920), rule, Match::Exact);
        let batch = rig.imaging.batch(whole).await.unwrap();
        until(|| rig.pool.workers()[0].is_busy).await;
        signal(pid, Signal::KILL);
        expected.push(Told::End(EndReason::Complete));
        assert_eq!(tell(&rest(batch).await), expected, "{rule:?}");
        assert_ne!(ready_pid(&rig.pool).await, pid);
    }
}

#[tokio::test]
async fn damage_near_the_end_of_a_gop_costs_no_picture_before_it() {
    for (b_frames, rule, every_ms) in [
        (0, Rule::Every(160_000), 160),
        (0, Rule::All, 40),
        (2, Rule::All, 40),
    ] {
        let rig = Rig::new(at(60_000)).await;
        let mut clip = long_gop(b_frames);
        // In decoding order; nothing shown before 1.6 s refers to these.
        for unit in clip.units.iter_mut().filter(|unit| unit.wall >= at(1_600)) {
            let mut data = unit.data.to_vec();
            data[5..].fill(0xa5);
            unit.data = data.into();
        }
        crate::archive::record(&rig, &clip, 1, 48);
        let whole = request(range(0, 1_920), rule, Match::Exact);
        let told = tell(&all(&rig, whole).await);
        // With B pictures those that refer to the first damaged one are lost with it.
        let lost = if b_frames == 0 { 1_600 } else { 1_520 };
        let good = told
            .iter()
            .take_while(|told| matches!(told, Told::Picture(..)))
            .count();
        assert_eq!(told[..good], pictures(every_ms, 1_600)[..good]);
        let lost_from = i64::try_from(good).unwrap() * every_ms;
        assert!((lost..=1_600).contains(&lost_from), "{told:?}");
        let missing = u64::try_from((1_920 - lost_from) / every_ms).unwrap();
        let expected = [
            Told::Failed(lost_from, 1_920, missing),
            Told::End(EndReason::Complete),
        ];
        assert_eq!(told[good..], expected, "{rule:?} {b_frames}");
    }
}
