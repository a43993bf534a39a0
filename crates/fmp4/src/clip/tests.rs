//! Clips are taken apart again by an independent parser and compared with what was recorded.

use super::*;
use crate::sample_data::{
    FRAME, START, aac, audio_between, fragments, gop, h264, h265, pcma, segment,
};
use crate::{parse_fragment, scan_segment};
use framewell_media::{AccessUnit, DtsEstimator};
use framewell_model::WallTime;
use mp4_atom::{Any, Moov, ReadFrom, StszSamples, Trak};
use proptest::prelude::*;

/// One run: segments of GOPs, some of them lost.
#[derive(Debug, Clone)]
struct RunPlan {
    gop_frames: Vec<i64>,
    bframes: i64,
    /// GOPs that are not there.
    lost: Vec<usize>,
    audio: Option<AudioParameters>,
    is_h265: bool,
    /// Media time at which the run starts, in frames.
    first_frame: i64,
}

/// A picture as it was recorded.
#[derive(Debug, Clone, PartialEq)]
struct Recorded {
    wall: WallTime,
    until: WallTime,
    data: Bytes,
}

#[derive(Debug, Default)]
struct Recording {
    sources: Vec<ClipSource>,
    files: Vec<Vec<u8>>,
    /// Pictures and audio frames in order of presentation.
    pictures: Vec<Recorded>,
    audio: Vec<Recorded>,
}

/// Distance of the starts of two runs.
const RUN_US: i64 = 60_000_000;

impl Recording {
    fn new(runs: &[RunPlan]) -> Self {
        let mut recording = Self::default();
        for (n, run) in runs.iter().enumerate() {
            recording.add_run(run, i64::try_from(n).unwrap());
        }
        recording
    }

    fn add_run(&mut self, run: &RunPlan, number: i64) {
        let parameters = StreamParameters {
            video: if run.is_h265 { h265() } else { h264() },
            audio: run.audio.clone(),
        };
        let mut dts = DtsEstimator::new(u8::from(run.bframes > 0));
        let mut start = run.first_frame * FRAME;
        let mut gops = Vec::new();
        for frames in &run.gop_frames {
            let end = start + frames * FRAME;
            let mut units = gop(start, *frames, run.bframes, &mut dts);
            if let Some(audio) = &run.audio {
                units.extend(audio_between(audio, start, end));
            }
            for unit in &mut units {
                stamp(unit, number);
            }
            gops.push(units);
            start = end;
        }
        let fragments = fragments(&parameters, &gops);
        let parameters = parameters.into_shared();
        // Two fragments to a segment.
        for (pair, made) in fragments.chunks(2).enumerate() {
            let file = segment(&parameters, made);
            let index = scan_segment(&file).unwrap().index;
            for (at, entry) in index.fragments.into_iter().enumerate() {
                let number = pair * 2 + at;
                if run.lost.contains(&number) {
                    continue;
                }
                let from = usize::try_from(entry.offset).unwrap();
                self.sources.push(ClipSource {
                    segment: self.files.len(),
                    entry,
                    samples: parse_fragment(&file[from..]).unwrap(),
                    parameters: Arc::clone(&parameters),
                });
                self.note(&gops[number]);
            }
            self.files.push(file);
        }
    }

    fn note(&mut self, units: &[AccessUnit]) {
        let mut pictures: Vec<&AccessUnit> = units
            .iter()
            .filter(|u| u.track == TrackKind::Video)
            .collect();
        pictures.sort_by_key(|unit| unit.pts.ticks);
        let record = |unit: &AccessUnit, us: i64| Recorded {
            wall: unit.wall,
            until: unit.wall.plus_micros(us),
            data: unit.data.clone(),
        };
        self.pictures
            .extend(pictures.into_iter().map(|unit| record(unit, 40_000)));
        let audio = units.iter().filter(|u| u.track == TrackKind::Audio);
        self.audio.extend(audio.map(|unit| {
            let us = unit.pts.scale.to_micros(unit.pts.ticks + 1024) - unit.pts.micros();
            record(unit, us)
        }));
    }

    /// What a clip must show.
    fn shown(&self, wanted: TimeRange) -> Vec<Recorded> {
        self.pictures
            .iter()
            .skip_while(|picture| picture.until <= wanted.start)
            .take_while(|picture| picture.wall < wanted.end)
            .cloned()
            .collect()
    }

    fn assemble(&self, plan: &ClipPlan) -> Vec<u8> {
        let mut file = Vec::new();
        for piece in &plan.pieces {
            assert_eq!(piece.range.start, file.len() as u64, "no holes");
            file.extend_from_slice(&self.bytes_of(piece));
            assert_eq!(piece.range.end, file.len() as u64, "as long as it says");
        }
        assert_eq!(plan.len, file.len() as u64);
        file
    }

    fn bytes_of(&self, piece: &Piece) -> Vec<u8> {
        match &piece.data {
            PieceData::Memory(bytes) => bytes.to_vec(),
            PieceData::Segment { segment, range } => {
                let (from, to) = (range.start as usize, range.end as usize);
                self.files[*segment][from..to].to_vec()
            }
        }
    }
}

/// Makes a unit of run `number`: its own wall time and payload.
fn stamp(unit: &mut AccessUnit, number: i64) {
    unit.wall = unit.wall.plus_micros(number * RUN_US);
    let mut data = unit.data.to_vec();
    data.extend_from_slice(&number.to_be_bytes());
    unit.data = data.into();
}

/// A sample as the file tells it; `at` is when it is presented, in seconds of the clip.
#[derive(Debug, Clone)]
struct Shown {
    at: f64,
    dts: u64,
    is_key: bool,
    entry: u32,
    data: Bytes,
}

fn moov_of(file: &[u8]) -> Moov {
    let mut rest = file;
    assert!(matches!(Any::read_from(&mut rest).unwrap(), Any::Ftyp(_)));
    let Any::Moov(moov) = Any::read_from(&mut rest).unwrap() else {
        panic!("moov second");
    };
    moov
}

/// Presented seconds of a track, and all its samples in decoding order.
fn demux(file: &[u8], trak: &Trak) -> (std::ops::Range<f64>, Vec<Shown>) {
    let stbl = &trak.mdia.minf.stbl;
    let StszSamples::Different { sizes } = &stbl.stsz.samples else {
        panic!("sizes differ");
    };
    let mut deltas = stbl
        .stts
        .entries
        .iter()
        .flat_map(|e| std::iter::repeat_n(e.sample_delta, e.sample_count as usize));
    let mut shifts = stbl
        .ctts
        .iter()
        .flat_map(|c| &c.entries)
        .flat_map(|e| std::iter::repeat_n(e.sample_offset, e.sample_count as usize));
    let places = places(trak, sizes);
    let (start, empty, length) = edit_of(trak);
    let scale = f64::from(trak.mdia.mdhd.timescale);
    let mut dts = 0;
    let mut samples = Vec::new();
    for (at, size) in sizes.iter().enumerate() {
        let (place, entry) = places[at];
        let pts = dts as i64 + shifts.next().unwrap_or(0);
        samples.push(Shown {
            at: empty + (pts - start) as f64 / scale,
            dts,
            is_key: stbl
                .stss
                .as_ref()
                .is_none_or(|s| s.entries.contains(&(at as u32 + 1))),
            entry,
            data: Bytes::copy_from_slice(&file[place..place + *size as usize]),
        });
        dts += u64::from(deltas.next().unwrap());
    }
    assert_eq!(trak.mdia.mdhd.duration, dts);
    (empty..empty + length, samples)
}

/// Byte position and sample entry of every sample.
fn places(trak: &Trak, sizes: &[u32]) -> Vec<(usize, u32)> {
    let stbl = &trak.mdia.minf.stbl;
    let offsets: Vec<u64> = match (&stbl.stco, &stbl.co64) {
        (Some(stco), _) => stco.entries.iter().map(|o| u64::from(*o)).collect(),
        (_, Some(co64)) => co64.entries.clone(),
        _ => panic!("no chunk offsets"),
    };
    let mut places = Vec::new();
    for (n, offset) in offsets.iter().enumerate() {
        let number = n as u32 + 1;
        let kind = stbl
            .stsc
            .entries
            .iter()
            .rfind(|e| e.first_chunk <= number)
            .unwrap();
        let mut at = *offset as usize;
        for _ in 0..kind.samples_per_chunk {
            places.push((at, kind.sample_description_index));
            at += sizes[places.len() - 1] as usize;
        }
    }
    assert_eq!(places.len(), sizes.len());
    places
}

/// Media time, seconds of emptiness, seconds of presentation.
fn edit_of(trak: &Trak) -> (i64, f64, f64) {
    let edits = &trak.edts.as_ref().unwrap().elst.as_ref().unwrap().entries;
    let seconds = |ticks: u64| ticks as f64 / 90_000.0;
    match &edits[..] {
        [edit] => (
            edit.media_time.unwrap() as i64,
            0.0,
            seconds(edit.segment_duration),
        ),
        [empty, edit] => {
            assert_eq!(empty.media_time, None);
            let start = edit.media_time.unwrap() as i64;
            (
                start,
                seconds(empty.segment_duration),
                seconds(edit.segment_duration),
            )
        }
        _ => panic!("one or two edits"),
    }
}

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
    let plan = ClipPlan::build(wanted, &recording.sources).unwrap();
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
        source
            .samples
            .retain(|sample| sample.track == TrackKind::Video);
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
        let error = ClipPlan::build(wanted, &recording.sources).unwrap_err();
        assert_eq!(error.to_string(), "cannot write: a clip without a picture");
    }
    assert!(ClipPlan::build(range(0, 1), &[]).is_err());
}

#[test]
fn a_clip_of_more_than_4_gib_has_64_bit_sizes_and_offsets() {
    let mut recording = Recording::new(&[run(4, 0, None)]);
    for (n, source) in recording.sources.iter_mut().enumerate() {
        // Segments of their own, each picture 150 MiB, back to back.
        source.segment = n;
        let size = 150 << 20;
        source.entry.offset = (n as u64) << 32;
        for (at, sample) in (0u32..).zip(&mut source.samples) {
            sample.size = size;
            sample.offset = at * size + 500;
        }
    }
    let plan = ClipPlan::build(range(0, 2_000_000), &recording.sources).unwrap();
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
        prop::collection::vec(1i64..14, 1..6),
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
        checked_clip(&recording, wanted);
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
            for sample in &mut source.samples {
                let (dts, pts, wall, duration, changes) = fields.next().unwrap();
                if changes {
                    sample.dts = dts;
                    sample.pts = pts;
                    sample.duration = duration;
                    sample.is_key = pts % 2 == 0;
                    source.entry.wall = WallTime::from_micros(wall);
                    source.entry.dts = dts;
                }
            }
        }
        let (start, end) = (WallTime::from_micros(start.min(end)), WallTime::from_micros(start.max(end)));
        if let Ok(plan) = ClipPlan::build(TimeRange { start, end }, &recording.sources) {
            prop_assert!(plan.range.start <= plan.range.end);
        }
    }
}
