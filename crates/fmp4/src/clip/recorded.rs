//! Recordings for the tests of clips, and an independent reader of the clips.

use super::*;
use crate::sample_data::{FRAME, audio_between, fragments, gop, h264, h265, segment};
use crate::{FragmentSizes, Sample, SegmentRuns, parse_fragment, scan_segment};
use framewell_media::{AccessUnit, AudioParameters, DtsEstimator};
use framewell_model::WallTime;
use mp4_atom::{Any, Moov, ReadFrom, StszSamples, Trak};

/// One run: segments of GOPs, some of them lost.
#[derive(Debug, Clone)]
pub(super) struct RunPlan {
    pub(super) gop_frames: Vec<i64>,
    pub(super) bframes: i64,
    /// GOPs that are not there.
    pub(super) lost: Vec<usize>,
    pub(super) audio: Option<AudioParameters>,
    pub(super) is_h265: bool,
    /// Media time at which the run starts, in frames.
    pub(super) first_frame: i64,
}

/// A picture as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recorded {
    pub(super) wall: WallTime,
    pub(super) until: WallTime,
    pub(super) data: Bytes,
}

#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) sources: Vec<ClipSource>,
    /// The same, of whose sizes nothing is known yet.
    pub(super) without_sizes: Vec<ClipSource>,
    /// Sizes by segment and fragment.
    pub(super) sizes: Vec<Vec<FragmentSizes>>,
    pub(super) files: Vec<Vec<u8>>,
    /// Pictures and audio frames in order of presentation.
    pub(super) pictures: Vec<Recorded>,
    pub(super) audio: Vec<Recorded>,
}

/// Distance of the starts of two runs.
pub(super) const RUN_US: i64 = 60_000_000;

impl Recording {
    pub(super) fn new(runs: &[RunPlan]) -> Self {
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
            let runs = index.samples.encode_runs();
            let runs = SegmentRuns::read(runs, &index.fragments).unwrap();
            self.sizes
                .push(runs.sizes(index.samples.encoded_sizes()).unwrap());
            for (at, entry) in index.fragments.into_iter().enumerate() {
                let number = pair * 2 + at;
                if run.lost.contains(&number) {
                    continue;
                }
                let from = usize::try_from(entry.offset).unwrap();
                self.sources.push(ClipSource {
                    segment: self.files.len(),
                    entry,
                    samples: parse_fragment(&file[from..]).unwrap().into(),
                    parameters: Arc::clone(&parameters),
                });
                let known = self.sources.last().unwrap().clone();
                self.without_sizes.push(ClipSource {
                    samples: ClipSamples::Runs {
                        fragment: at,
                        runs: runs.fragments()[at].clone(),
                    },
                    ..known
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
    pub(super) fn shown(&self, wanted: TimeRange) -> Vec<Recorded> {
        self.pictures
            .iter()
            .skip_while(|picture| picture.until <= wanted.start)
            .take_while(|picture| picture.wall < wanted.end)
            .cloned()
            .collect()
    }

    pub(super) fn assemble(&self, plan: &ClipPlan) -> Vec<u8> {
        let mut file = Vec::new();
        for piece in &plan.pieces {
            assert_eq!(piece.range.start, file.len() as u64, "no holes");
            file.extend_from_slice(&self.bytes_of(piece));
            assert_eq!(piece.range.end, file.len() as u64, "as long as it says");
        }
        assert_eq!(plan.len, file.len() as u64);
        file
    }

    /// The clip, made without the sizes as far as possible; how many fragments had to be looked into, and the
    /// bytes of the file.
    pub(super) fn clip_without_sizes(
        &self,
        wanted: TimeRange,
        holes: Holes,
    ) -> (usize, ClipPlan, Vec<u8>) {
        let mut draft = ClipDraft::select(wanted, self.without_sizes.clone(), holes).unwrap();
        let lacking = draft.lacking();
        for (source, segment, fragment) in &lacking {
            draft.complete(*source, &self.sizes[*segment][*fragment]);
        }
        let plan = draft.lay_out().unwrap();
        let mut file = Vec::new();
        for piece in &plan.pieces {
            match &piece.data {
                PieceData::Sizes { track, range } => {
                    // In parts that begin and end within numbers.
                    for start in (range.start..range.end).step_by(37) {
                        let part = start..range.end.min(start + 37);
                        let stored = |segment: usize, fragments: std::ops::Range<usize>| {
                            let sizes = &self.sizes[segment][fragments];
                            let of = |sizes: &FragmentSizes| match track {
                                TrackKind::Video => sizes.video.clone(),
                                TrackKind::Audio => sizes.audio.clone(),
                            };
                            Some(sizes.iter().flat_map(of).collect())
                        };
                        file.extend_from_slice(&plan.sizes(*track, &part, stored).unwrap());
                    }
                }
                _ => file.extend_from_slice(&self.bytes_of(piece)),
            }
        }
        (lacking.len(), plan, file)
    }

    pub(super) fn bytes_of(&self, piece: &Piece) -> Vec<u8> {
        match &piece.data {
            PieceData::Memory(bytes) => bytes.to_vec(),
            PieceData::Sizes { .. } => panic!("all samples are listed"),
            PieceData::Segment { segment, range } => {
                let (from, to) = (range.start as usize, range.end as usize);
                self.files[*segment][from..to].to_vec()
            }
        }
    }
}

pub(super) fn listed(samples: &mut ClipSamples) -> &mut Vec<Sample> {
    match samples {
        ClipSamples::Listed(samples) => samples,
        ClipSamples::Runs { .. } => panic!("all samples are listed"),
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
pub(super) struct Shown {
    pub(super) at: f64,
    pub(super) dts: u64,
    pub(super) is_key: bool,
    pub(super) entry: u32,
    pub(super) data: Bytes,
}

pub(super) fn moov_of(file: &[u8]) -> Moov {
    let mut rest = file;
    assert!(matches!(Any::read_from(&mut rest).unwrap(), Any::Ftyp(_)));
    let Any::Moov(moov) = Any::read_from(&mut rest).unwrap() else {
        panic!("moov second");
    };
    moov
}

/// Presented seconds of a track, and all its samples in decoding order.
pub(super) fn demux(file: &[u8], trak: &Trak) -> (std::ops::Range<f64>, Vec<Shown>) {
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
