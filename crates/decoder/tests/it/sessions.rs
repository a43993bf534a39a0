//! Decoders that keep their position from job to job.

use crate::common::{gops, job, stamp};
use crate::raw::RawWorker;
use framewell_decode::protocol::wire::{Entry, Exit, Failure};
use framewell_decode::{Job, Output, Pick, Picture, Want};
use framewell_media::{AccessUnit, VideoCodec};
use framewell_testkit::encode::{ClipSpec, EncodedClip};

const CODECS: [VideoCodec; 2] = [VideoCodec::H264, VideoCodec::H265];

fn clip(codec: VideoCodec, b_frames: u32) -> EncodedClip {
    let spec = ClipSpec {
        codec,
        width: 320,
        height: 240,
        gop: 12,
        b_frames,
        frames: 24,
        ..ClipSpec::default()
    };
    spec.encode().unwrap()
}

fn units(clip: &EncodedClip) -> Vec<AccessUnit> {
    clip.video().cloned().collect()
}

fn with_newest(mut job: Job, tag: u64) -> Job {
    job.wanted.push(Want {
        tag,
        pick: Pick::Newest,
        output: Output::jpeg(85),
    });
    job
}

fn damaged(unit: &AccessUnit) -> AccessUnit {
    let mut data = unit.data.to_vec();
    let middle = data.len() / 2;
    data[5..middle].fill(0xa5);
    AccessUnit {
        data: data.into(),
        ..unit.clone()
    }
}

#[test]
fn without_reordering_each_picture_comes_with_its_own_sample() {
    for codec in CODECS {
        let clip = clip(codec, 0);
        assert_eq!(clip.parameters.video.reorder_depth, 0);
        let mut worker = RawWorker::start(&[]);
        let mut entry = Entry::Key;
        for unit in units(&clip) {
            let job = job(&clip, std::slice::from_ref(&unit), &[unit.pts.ticks]);
            let pictures = worker
                .session(1, entry, Exit::Keep, &with_newest(job, 7))
                .unwrap();
            assert_eq!(pictures.len(), 2, "{codec:?}");
            for picture in &pictures {
                assert_eq!(stamp(picture).capture, unit.wall, "{codec:?}");
            }
            entry = Entry::Continue;
        }
    }
}

#[test]
fn with_reordering_wants_stay_open_until_their_picture_comes() {
    for codec in CODECS {
        let clip = clip(codec, 2);
        let units = units(&clip);
        let mut worker = RawWorker::start(&[]);
        let mut pictures: Vec<Picture> = Vec::new();
        let mut entry = Entry::Key;
        for (index, unit) in units.iter().enumerate() {
            let mut job = job(&clip, std::slice::from_ref(unit), &[unit.pts.ticks]);
            job.wanted[0].tag = index as u64;
            let exit = if index + 1 == units.len() {
                Exit::Drain
            } else {
                Exit::Keep
            };
            pictures.extend(worker.session(1, entry, exit, &job).unwrap());
            entry = Entry::Continue;
        }
        assert_eq!(pictures.len(), units.len());
        assert!(
            pictures.is_sorted_by_key(|picture| picture.pts),
            "{codec:?}"
        );
        for picture in &pictures {
            let unit = &units[usize::try_from(picture.tag).unwrap()];
            assert_eq!(
                (picture.pts, stamp(picture).capture),
                (unit.pts.ticks, unit.wall)
            );
        }
    }
}

#[test]
fn a_job_without_samples_can_have_the_newest_picture_again() {
    let clip = clip(VideoCodec::H264, 0);
    let units = units(&clip);
    let mut worker = RawWorker::start(&[]);
    let fed = job(&clip, &units[..5], &[]);
    assert_eq!(worker.session(1, Entry::Key, Exit::Keep, &fed), Ok(vec![]));
    let mut again = with_newest(job(&clip, &[], &[units[4].pts.ticks]), 8);
    again.wanted[0].output.width = Some(160);
    let pictures = worker
        .session(1, Entry::Continue, Exit::Keep, &again)
        .unwrap();
    assert_eq!(
        pictures.iter().map(|p| p.width).collect::<Vec<_>>(),
        [160, 320]
    );
    assert_eq!(stamp(&pictures[1]).capture, units[4].wall);
}

#[test]
fn with_reordering_the_last_pictures_can_be_had_when_they_are_out() {
    for codec in CODECS {
        let clip = clip(codec, 2);
        let depth = usize::from(clip.parameters.video.reorder_depth);
        assert!(depth > 0);
        let units = units(&clip);
        // Up to the second key frame, which may push out all that is shown before it.
        let fed = &units[..13];
        let mut times: Vec<i64> = fed.iter().map(|unit| unit.pts.ticks).collect();
        times.sort_unstable();
        let newest = times.len() - 1 - depth;
        let mut worker = RawWorker::start(&[]);
        let first = job(&clip, fed, &[]);
        assert_eq!(
            worker.session(1, Entry::Key, Exit::Keep, &first),
            Ok(vec![])
        );
        let late = job(&clip, &[], &times[newest - depth..=newest]);
        let pictures = worker
            .session(1, Entry::Continue, Exit::Keep, &late)
            .unwrap();
        let shown: Vec<i64> = pictures.iter().map(|picture| picture.pts).collect();
        assert_eq!(shown, times[newest - depth..=newest], "{codec:?}");
        for picture in &pictures {
            let unit = units.iter().find(|unit| unit.pts.ticks == picture.pts);
            assert_eq!(stamp(picture).capture, unit.unwrap().wall, "{codec:?}");
        }
    }
}

#[test]
fn the_newest_picture_of_a_decoder_that_has_given_none_comes_later() {
    let clip = clip(VideoCodec::H264, 2);
    let units = units(&clip);
    let mut worker = RawWorker::start(&[]);
    let first = with_newest(job(&clip, &units[..1], &[]), 3);
    assert_eq!(
        worker.session(1, Entry::Key, Exit::Keep, &first),
        Ok(vec![])
    );
    let rest = job(&clip, &units[1..12], &[]);
    let pictures = worker
        .session(1, Entry::Continue, Exit::Keep, &rest)
        .unwrap();
    assert_eq!(pictures.iter().map(|p| p.tag).collect::<Vec<_>>(), [3]);
}

#[test]
fn sessions_of_one_worker_do_not_mix() {
    let clips = [clip(VideoCodec::H264, 0), clip(VideoCodec::H265, 0)];
    let mut worker = RawWorker::start(&[]);
    for index in 0..24 {
        for (id, clip) in (0..).zip(&clips) {
            let unit = &units(clip)[index];
            let entry = if index == 0 {
                Entry::Key
            } else {
                Entry::Continue
            };
            let job = job(clip, std::slice::from_ref(unit), &[unit.pts.ticks]);
            let pictures = worker.session(id, entry, Exit::Keep, &job).unwrap();
            assert_eq!(stamp(&pictures[0]).capture, unit.wall);
            let alone = crate::common::job(clip, &gops(clip)[1], &[unit.pts.ticks]);
            if index >= 12 {
                let pictures = worker.run(&alone, None).unwrap().unwrap();
                assert_eq!(stamp(&pictures[0]).capture, unit.wall);
            }
        }
    }
}

#[test]
fn a_session_without_a_position_says_so() {
    let clip = clip(VideoCodec::H264, 0);
    let units = units(&clip);
    let mut worker = RawWorker::start(&[]);
    let next = job(&clip, &units[1..2], &[units[1].pts.ticks]);
    let first = job(&clip, &units[..1], &[units[0].pts.ticks]);
    let lost = Err(Failure::PositionLost);
    assert_eq!(worker.session(1, Entry::Continue, Exit::Keep, &next), lost);
    for end in [Exit::Drain, Exit::Close] {
        worker.session(1, Entry::Key, Exit::Keep, &first).unwrap();
        let last = job(&clip, &[], &[]);
        assert_eq!(worker.session(1, Entry::Continue, end, &last), Ok(vec![]));
        assert_eq!(worker.session(1, Entry::Continue, Exit::Keep, &next), lost);
    }
    worker.session(1, Entry::Key, Exit::Keep, &first).unwrap();
    let impossible = job(&clip, &[], &[units[0].pts.ticks - 1]);
    let failed = worker.session(1, Entry::Continue, Exit::Keep, &impossible);
    assert!(matches!(failed, Err(Failure::Bitstream(_))), "{failed:?}");
    assert_eq!(worker.session(1, Entry::Continue, Exit::Keep, &next), lost);
}

#[test]
fn the_session_used_longest_ago_makes_room() {
    const SESSIONS: u64 = 49;
    let clip = clip(VideoCodec::H264, 0);
    let units = units(&clip);
    let mut worker = RawWorker::start(&[]);
    let first = job(&clip, &units[..1], &[units[0].pts.ticks]);
    for id in 1..=SESSIONS {
        worker.session(id, Entry::Key, Exit::Keep, &first).unwrap();
    }
    let next = job(&clip, &units[1..2], &[units[1].pts.ticks]);
    for id in 2..=SESSIONS {
        let pictures = worker
            .session(id, Entry::Continue, Exit::Keep, &next)
            .unwrap();
        assert_eq!(stamp(&pictures[0]).capture, units[1].wall);
    }
    let lost = worker.session(1, Entry::Continue, Exit::Keep, &next);
    assert_eq!(lost, Err(Failure::PositionLost));
}

#[test]
fn damage_is_told_until_the_next_key_frame() {
    for codec in CODECS {
        let clip = clip(codec, 0);
        let units = units(&clip);
        let mut worker = RawWorker::start(&[]);
        let mut opening = units[..7].to_vec();
        opening[6] = damaged(&opening[6]);
        let job_of = |index: usize| job(&clip, &units[index..=index], &[units[index].pts.ticks]);
        let fed = job(&clip, &opening, &[]);
        assert_eq!(worker.session(1, Entry::Key, Exit::Keep, &fed), Ok(vec![]));
        let refused = worker.session(1, Entry::Continue, Exit::Keep, &job_of(7));
        assert!(matches!(refused, Err(Failure::Bitstream(_))), "{codec:?}");

        let until_key = job(&clip, &units[7..12], &[]);
        worker.session(1, Entry::Key, Exit::Keep, &fed).unwrap();
        worker
            .session(1, Entry::Continue, Exit::Keep, &until_key)
            .unwrap();
        for (index, unit) in units.iter().enumerate().skip(12) {
            let healed = worker.session(1, Entry::Continue, Exit::Keep, &job_of(index));
            assert_eq!(stamp(&healed.unwrap()[0]).capture, unit.wall, "{codec:?}");
        }
    }
}

#[test]
fn damage_of_the_wanted_picture_is_told_with_its_own_sample() {
    for codec in CODECS {
        let clip = clip(codec, 0);
        let units = units(&clip);
        let mut worker = RawWorker::start(&[]);
        worker
            .session(1, Entry::Key, Exit::Keep, &job(&clip, &units[..6], &[]))
            .unwrap();
        let bad = [damaged(&units[6])];
        let refused = worker.session(
            1,
            Entry::Continue,
            Exit::Keep,
            &job(&clip, &bad, &[bad[0].pts.ticks]),
        );
        assert!(matches!(refused, Err(Failure::Bitstream(_))), "{codec:?}");
    }
}

#[test]
fn a_key_entry_drops_what_was_open() {
    let clip = clip(VideoCodec::H264, 2);
    let gops = gops(&clip);
    let mut worker = RawWorker::start(&[]);
    let opened = job(&clip, &gops[0][..1], &[gops[0][0].pts.ticks]);
    assert_eq!(
        worker.session(1, Entry::Key, Exit::Keep, &opened),
        Ok(vec![])
    );
    let mut other = job(&clip, &gops[1], &[gops[1][3].pts.ticks]);
    other.wanted[0].tag = 5;
    let pictures = worker.session(1, Entry::Key, Exit::Drain, &other).unwrap();
    assert_eq!(pictures.iter().map(|p| p.tag).collect::<Vec<_>>(), [5]);
    assert_eq!(stamp(&pictures[0]).capture, gops[1][3].wall);
}
