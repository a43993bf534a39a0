//! Clips are taken apart again by an independent parser and compared with what was recorded.

use super::recorded::{RUN_US, Recorded, Recording, RunPlan, Shown, demux, listed, moov_of};
use super::*;
use crate::sample_data::{FRAME, START, aac, pcma};
use framewell_media::AudioParameters;
use framewell_model::WallTime;
use proptest::prelude::*;

/// A run of 25 Hz with GOPs of 10 frames.
fn run(gops: usize, bframes: i64, audio: Option<AudioParameters>) -> RunPlan {
    RunPlan {
        gop_frames: vec![10; gops],
        bframes,
        lost: Vec::new(),
        audio,
        is_h265: false,
        first_frame: 0,
    }
}

fn range(start_us: i64, end_us: i64) -> TimeRange {
    TimeRange::new(START.plus_micros(start_us), START.plus_micros(end_us)).unwrap()
}

/// Builds the clip, and checks its pictures against what was recorded.
fn checked_clip(recording: &Recording, wanted: TimeRange) -> (ClipPlan, Vec<u8>) {
    let plan = ClipPlan::build(wanted, &recording.sources, Holes::Collapse).unwrap();
    let file = recording.assemble(&plan);
    let moov = moov_of(&file);
    let (presented, samples) = demux(&file, &moov.trak[0]);
    assert!(samples[0].is_key);
    assert!(samples.is_sorted_by(|a, b| a.dts < b.dts));
    let mut shown: Vec<&Shown> = samples
        .iter()
        .filter(|sample| presented.contains(&(sample.at + 1e-6)))
        .collect();
    shown.sort_by(|a, b| a.at.total_cmp(&b.at));
    let wanted_pictures = recording.shown(wanted);
    let data = |pictures: &[Recorded]| pictures.iter().map(|p| p.data.clone()).collect::<Vec<_>>();
    assert_eq!(
        shown.iter().map(|s| s.data.clone()).collect::<Vec<_>>(),
        data(&wanted_pictures)
    );
    assert_eq!(plan.range.start, wanted_pictures[0].wall);
    assert_eq!(plan.range.end, wanted_pictures.last().unwrap().until);
    assert!(
        shown[0].at.abs() < 1e-9,
        "the first picture is shown at once"
    );
    (plan, file)
}

#[test]
fn a_clip_begins_and_ends_at_the_exact_picture() {
    for bframes in [0, 1, 3] {
        let recording = Recording::new(&[run(6, bframes, None)]);
        // In mid-frame, in mid-GOP: picture 13 is on screen; the last one before the end is 41.
        let (plan, file) = checked_clip(&recording, range(539_000, 1_640_001));
        assert_eq!(plan.range, range(520_000, 1_680_000));
        let moov = moov_of(&file);
        assert_eq!(moov.mvhd.duration, 29 * FRAME.unsigned_abs());
        assert_eq!(moov.trak[0].tkhd.duration, 29 * FRAME.unsigned_abs());
        let (_, samples) = demux(&file, &moov.trak[0]);
        assert!(
            samples.len() >= 3 + 29 && samples.len() <= 3 + 29 + 3,
            "{}",
            samples.len()
        );
    }
}

#[test]
fn the_bounds_are_half_open() {
    let recording = Recording::new(&[run(2, 0, None)]);
    // Exactly from picture 5 to picture 10: 5 to 9 are shown.
    let (plan, _) = checked_clip(&recording, range(200_000, 400_000));
    assert_eq!(plan.range, range(200_000, 400_000));
    let one = checked_clip(&recording, range(210_000, 210_001)).0;
    assert_eq!(one.range, range(200_000, 240_000));
}

#[test]
fn audio_lies_where_it_was_heard() {
    for audio in [aac(), pcma()] {
        for bframes in [0, 2] {
            let recording = Recording::new(&[run(6, bframes, Some(audio.clone()))]);
            let (plan, file) = checked_clip(&recording, range(530_000, 1_500_000));
            let (presented, frames) = demux(&file, &moov_of(&file).trak[1]);
            assert!((presented.end - plan.range.micros() as f64 / 1e6).abs() < 1e-3);
            let heard: Vec<&Recorded> = recording
                .audio
                .iter()
                .filter(|frame| frame.until > plan.range.start && frame.wall < plan.range.end)
                .collect();
            // One frame more, before the first, wakes the decoder.
            assert_eq!(frames.len(), heard.len() + 1);
            for (frame, recorded) in frames[1..].iter().zip(heard) {
                assert_eq!(frame.data, recorded.data);
                let at = recorded.wall.micros_since(plan.range.start) as f64 / 1e6;
                assert!((frame.at - at).abs() < 2e-4, "{} instead of {at}", frame.at);
            }
        }
    }
}

#[test]
fn of_a_long_clip_only_the_ends_are_looked_into() {
    for (bframes, audio) in [(0, None), (2, Some(aac())), (0, Some(pcma()))] {
        let recording = Recording::new(&[run(60, bframes, audio.clone())]);
        let wanted = range(530_000, 20_250_000);
        let (plan, file) = checked_clip(&recording, wanted);
        for holes in [Holes::Collapse, Holes::Keep] {
            let (looked_into, other, same) = recording.clip_without_sizes(wanted, holes);
            assert!(looked_into <= 8, "{looked_into} of 60");
            assert_eq!(other.parts, plan.parts);
            assert!(same == file, "{bframes} {audio:?}");
        }
    }
}

#[test]
fn gaps_and_runs_collapse() {
    let first = RunPlan {
        lost: vec![2, 3],
        ..run(6, 2, Some(aac()))
    };
    let recording = Recording::new(&[first, run(3, 0, Some(aac())), run(3, 3, Some(aac()))]);
    let wanted = range(300_000, 3 * RUN_US);
    let (_, file) = checked_clip(&recording, wanted);
    let moov = moov_of(&file);
    let (presented, samples) = demux(&file, &moov.trak[0]);
    let shown = recording.shown(wanted).len();
    // A freeze of a few frames at most where decode times had to make room.
    let length = presented.end - presented.start;
    let footage = shown as f64 * 0.04;
    assert!(
        length >= footage - 1e-9 && length <= footage + 0.25,
        "{length} for {footage}"
    );
    assert!(samples.len() >= shown);
    let (_, frames) = demux(&file, &moov.trak[1]);
    assert!(frames.is_sorted_by(|a, b| a.dts < b.dts));
}

#[test]
fn a_hole_that_is_kept_takes_the_time_that_it_took() {
    let first = RunPlan {
        lost: vec![2, 3],
        ..run(6, 2, Some(aac()))
    };
    let recording = Recording::new(&[first, run(3, 0, Some(aac()))]);
    let wanted = range(300_000, 2 * RUN_US);
    let plan = ClipPlan::build(wanted, &recording.sources, Holes::Keep).unwrap();
    let file = recording.assemble(&plan);
    let moov = moov_of(&file);
    for (track, recorded, tolerance) in [
        (0, recording.shown(wanted), 1e-4),
        (1, recording.audio.clone(), 2e-4),
    ] {
        let (presented, samples) = demux(&file, &moov.trak[track]);
        let end = samples.last().unwrap().at;
        assert!(presented.end > end && presented.end < end + 0.1);
        for sample in &samples {
            let Some(recorded) = recorded.iter().find(|r| r.data == sample.data) else {
                continue;
            };
            let at = recorded.wall.micros_since(plan.range.start) as f64 / 1e6;
            assert!((sample.at - at).abs() < tolerance, "{} for {at}", sample.at);
        }
    }
    let walls: Vec<f64> = (plan.parts.iter())
        .map(|part| part.range.start.micros_since(plan.range.start) as f64 / 1e6)
        .collect();
    for (part, wall) in plan.parts.iter().zip(walls) {
        assert!((part.at_ticks as f64 / 9e4 - wall).abs() < 1e-4);
    }
}

#[test]
fn a_hole_longer_than_a_sample_can_last_is_not_kept() {
    let mut recording = Recording::new(&[run(2, 0, None), run(2, 0, None)]);
    let away_us = 7 * 3_600_000_000;
    for source in &mut recording.sources[2..] {
        source.entry.wall = source.entry.wall.plus_micros(away_us);
    }
    let wanted = range(0, away_us + 2 * RUN_US);
    let error = ClipPlan::build(wanted, &recording.sources, Holes::Keep).unwrap_err();
    assert!(matches!(error, Error::HoleTooLong { .. }), "{error}");
    let plan = ClipPlan::build(wanted, &recording.sources, Holes::Collapse).unwrap();
    assert_eq!(plan.parts.len(), 2);
}

#[test]
fn a_start_in_a_gap_shows_what_follows_it() {
    let recording = Recording::new(&[run(2, 0, None), run(2, 0, None)]);
    let (plan, _) = checked_clip(&recording, range(10_000_000, RUN_US + 100_000));
    assert_eq!(plan.range.start, START.plus_micros(RUN_US));
}

#[test]
fn new_parameters_make_a_new_sample_entry() {
    let other = RunPlan {
        is_h265: true,
        ..run(2, 0, Some(pcma()))
    };
    let recording = Recording::new(&[run(2, 0, Some(aac())), other, run(2, 0, Some(aac()))]);
    let (_, file) = checked_clip(&recording, range(0, 4 * RUN_US));
    let moov = moov_of(&file);
    for trak in &moov.trak {
        assert_eq!(trak.mdia.minf.stbl.stsd.codecs.len(), 2);
        let (_, samples) = demux(&file, trak);
        let mut entries: Vec<u32> = samples.iter().map(|sample| sample.entry).collect();
        entries.dedup();
        assert_eq!(entries, [1, 2, 1]);
    }
    let (_, samples) = demux(&file, &moov.trak[1]);
    let recorded: Vec<&Bytes> = recording.audio.iter().map(|frame| &frame.data).collect();
    assert_eq!(
        samples.iter().map(|s| &s.data).collect::<Vec<_>>(),
        recorded
    );
}

#[test]
fn audio_that_starts_late_waits_behind_an_empty_edit() {
    let mut recording = Recording::new(&[run(4, 0, Some(aac()))]);
    for source in &mut recording.sources[..2] {
        listed(&mut source.samples).retain(|sample| sample.track == TrackKind::Video);
    }
    let (_, file) = checked_clip(&recording, range(0, 2_000_000));
    let (presented, frames) = demux(&file, &moov_of(&file).trak[1]);
    assert!((presented.start - 0.810_667).abs() < 1e-3, "{presented:?}");
    assert!((frames[0].at - presented.start).abs() < 1e-4);
}

#[test]
fn whole_segments_are_one_piece_each() {
    let recording = Recording::new(&[run(8, 2, Some(aac()))]);
    let (plan, _) = checked_clip(&recording, range(0, 100_000_000));
    assert_eq!(plan.pieces.len(), 1 + 4);
}

#[test]
fn without_a_picture_there_is_no_clip() {
    let recording = Recording::new(&[run(2, 0, None)]);
    for wanted in [range(-5_000_000, 0), range(800_000, 5_000_000)] {
        let error = ClipPlan::build(wanted, &recording.sources, Holes::Collapse).unwrap_err();
        let (start, end) = (wanted.start, wanted.end);
        assert_eq!(error, Error::NoPicture { start, end });
    }
    assert!(ClipPlan::build(range(0, 1), &[], Holes::Collapse).is_err());
}

#[test]
fn a_clip_of_more_than_4_gib_has_64_bit_sizes_and_offsets() {
    let mut recording = Recording::new(&[run(4, 0, None)]);
    for (n, source) in recording.sources.iter_mut().enumerate() {
        // Segments of their own, each picture 150 MiB, back to back.
        source.segment = n;
        let size = 150 << 20;
        source.entry.offset = (n as u64) << 32;
        for (at, sample) in (0u32..).zip(listed(&mut source.samples)) {
            sample.size = size;
            sample.offset = at * size + 500;
        }
    }
    let plan = ClipPlan::build(range(0, 2_000_000), &recording.sources, Holes::Collapse).unwrap();
    let data_len = 40 * (150u64 << 20);
    let PieceData::Memory(head) = &plan.pieces[0].data else {
        panic!("headers first");
    };
    assert_eq!(plan.len, head.len() as u64 + data_len);
    let moov = moov_of(head);
    let offsets = &moov.trak[0].mdia.minf.stbl.co64.as_ref().unwrap().entries;
    let starts: Vec<u64> = plan.pieces[1..]
        .iter()
        .map(|piece| piece.range.start)
        .collect();
    assert_eq!(*offsets, starts);
    let mdat_head = &head[head.len() - 16..];
    assert_eq!(mdat_head[..8], *b"\0\0\0\x01mdat");
    assert_eq!(mdat_head[8..], (data_len + 16).to_be_bytes());
}

fn any_run() -> impl Strategy<Value = RunPlan> {
    (
        prop::collection::vec(1i64..14, 1..14),
        0i64..4,
        prop::collection::vec(0usize..6, 0..2),
        0u8..3,
        any::<bool>(),
        0i64..1000,
    )
        .prop_map(
            |(gop_frames, bframes, lost, audio, is_h265, first_frame)| RunPlan {
                gop_frames,
                bframes,
                lost,
                audio: [None, Some(aac()), Some(pcma())][usize::from(audio)].clone(),
                is_h265,
                first_frame,
            },
        )
}

proptest! {
    #[test]
    fn any_clip_shows_exactly_what_was_recorded(
        runs in prop::collection::vec(any_run(), 1..4),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        lead_us in 0i64..40_000,
        tail_us in 1i64..40_000,
    ) {
        let recording = Recording::new(&runs);
        prop_assume!(!recording.pictures.is_empty());
        let (a, b) = (from.index(recording.pictures.len()), to.index(recording.pictures.len()));
        let start = recording.pictures[a.min(b)].wall.plus_micros(lead_us);
        let end = recording.pictures[a.max(b)].wall.plus_micros(tail_us);
        let Some(wanted) = TimeRange::new(start, end) else {
            return Ok(());
        };
        let (plan, file) = checked_clip(&recording, wanted);
        let (_, other, same) = recording.clip_without_sizes(wanted, Holes::Collapse);
        prop_assert!(same == file, "the same bytes without a look at each sample");
        prop_assert_eq!(other.parts, plan.parts);
        prop_assert_eq!((other.range, other.len), (plan.range, plan.len));
    }

    #[test]
    fn slices_add_up_to_the_file(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let recording = Recording::new(&[run(4, 2, Some(aac())), run(3, 0, None)]);
        let (plan, file) = checked_clip(&recording, range(130_000, 2 * RUN_US));
        let mut cuts: Vec<u64> = cuts.iter().map(|cut| cut.index(file.len()) as u64).collect();
        cuts.extend([0, plan.len]);
        cuts.sort_unstable();
        let mut whole = Vec::new();
        for pair in cuts.windows(2) {
            for piece in plan.slice(pair[0]..pair[1]) {
                prop_assert_eq!(piece.range.start, whole.len() as u64);
                whole.extend_from_slice(&recording.bytes_of(&piece));
            }
        }
        prop_assert!(whole == file);
        prop_assert!(plan.slice(plan.len..plan.len + 10).is_empty());
    }

    #[test]
    fn sources_that_contradict_themselves_never_panic(
        fields in prop::collection::vec((any::<i64>(), any::<i64>(), any::<i64>(), any::<u32>(), any::<bool>()), 1..30),
        start in any::<i64>(),
        end in any::<i64>(),
    ) {
        let mut recording = Recording::new(&[run(4, 2, Some(aac()))]);
        let mut fields = fields.into_iter().cycle();
        for source in &mut recording.sources {
            let entry = &mut source.entry;
            for sample in listed(&mut source.samples) {
                let (dts, pts, wall, duration, changes) = fields.next().unwrap();
                if changes {
                    sample.dts = dts;
                    sample.pts = pts;
                    sample.duration = duration;
                    sample.is_key = pts % 2 == 0;
                    entry.wall = WallTime::from_micros(wall);
                    entry.dts = dts;
                }
            }
        }
        let (start, end) = (WallTime::from_micros(start.min(end)), WallTime::from_micros(start.max(end)));
        for holes in [Holes::Collapse, Holes::Keep] {
            if let Ok(plan) = ClipPlan::build(TimeRange { start, end }, &recording.sources, holes) {
                prop_assert!(plan.range.start <= plan.range.end);
            }
        }
    }
}
