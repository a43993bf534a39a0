//! Sample tables and edit lists (ISO/IEC 14496-12 sections 8.6 and 8.7).

use super::audio::Sound;
use super::layout::Chunk;
use super::select::Picture;
use crate::write::{BoxWriter, length_u32};

/// Which part of a track is presented, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edit {
    /// Movie ticks before anything of the track is presented.
    pub(crate) empty_ticks: u64,
    /// First presented moment, in ticks of the track.
    pub(crate) media_time: i64,
    /// Movie ticks for which the track is presented; 0 for all there is, in files with fragments.
    pub(crate) ticks: u64,
}

impl Edit {
    pub(crate) fn write(&self, w: &mut BoxWriter) {
        const EMPTY: i64 = -1;
        let mut edits = Vec::with_capacity(2);
        if self.empty_ticks > 0 {
            edits.push((self.empty_ticks, EMPTY));
        }
        edits.push((self.ticks, self.media_time));
        let is_short = |(ticks, media_time): &(u64, i64)| {
            u32::try_from(*ticks).is_ok() && i32::try_from(*media_time).is_ok()
        };
        let version = u8::from(!edits.iter().all(is_short));
        w.boxed(b"edts", |w| {
            w.full_box(b"elst", version, 0, |w| {
                w.u32(length_u32(edits.len()));
                for (ticks, media_time) in edits {
                    match (u32::try_from(ticks), i32::try_from(media_time)) {
                        (Ok(ticks), Ok(media_time)) if version == 0 => {
                            w.u32(ticks);
                            w.i32(media_time);
                        }
                        _ => {
                            w.u64(ticks);
                            w.i64(media_time);
                        }
                    }
                    w.u32(0x0001_0000); // rate 1.0
                }
            });
        });
    }
}

/// Writes `stsd`.
pub(super) fn write_stsd<T>(
    w: &mut BoxWriter,
    entries: &[T],
    write_entry: impl Fn(&mut BoxWriter, &T),
) {
    w.full_box(b"stsd", 0, 0, |w| {
        w.u32(length_u32(entries.len()));
        for entry in entries {
            write_entry(w, entry);
        }
    });
}

/// Durations, presentation offsets, sizes and key frames of a track's samples.
#[derive(Debug)]
pub(super) struct SampleTable {
    deltas: Vec<u32>,
    /// PTS less DTS.
    shifts: Vec<i32>,
    sizes: Vec<u32>,
    /// Numbers of the random access points, from 1; `None` if all samples are.
    keys: Option<Vec<u32>>,
}

impl SampleTable {
    pub(super) fn of_pictures(pictures: &[Picture]) -> Self {
        let keys = || {
            let number = |(at, _): (usize, &Picture)| length_u32(at + 1);
            pictures
                .iter()
                .enumerate()
                .filter(|(_, p)| p.is_key)
                .map(number)
                .collect()
        };
        let last = pictures.last().map_or(0, |picture| picture.duration);
        Self {
            deltas: deltas(pictures.iter().map(|picture| picture.dts), last),
            shifts: pictures
                .iter()
                .map(|picture| clamp_i32(picture.pts.saturating_sub(picture.dts)))
                .collect(),
            sizes: pictures.iter().map(|picture| picture.size).collect(),
            keys: (!pictures.iter().all(|picture| picture.is_key)).then(keys),
        }
    }

    pub(super) fn of_frames(sound: &Sound<'_>) -> Self {
        let frames = &sound.samples;
        let last = frames.last().map_or(0, |frame| frame.duration);
        Self {
            deltas: deltas(frames.iter().map(|frame| frame.start), last),
            shifts: Vec::new(),
            sizes: frames.iter().map(|frame| frame.size).collect(),
            keys: None,
        }
    }

    /// Sum of the durations.
    pub(super) fn duration(&self) -> u64 {
        self.deltas.iter().map(|delta| u64::from(*delta)).sum()
    }

    /// Writes `stts`, `ctts`, `stss` and `stsz`.
    pub(super) fn write(&self, w: &mut BoxWriter) {
        w.full_box(b"stts", 0, 0, |w| {
            write_runs(w, &self.deltas, |w, delta| w.u32(delta));
        });
        if self.shifts.iter().any(|shift| *shift != 0) {
            let version = u8::from(self.shifts.iter().any(|shift| *shift < 0));
            w.full_box(b"ctts", version, 0, |w| {
                write_runs(w, &self.shifts, |w, shift| w.i32(shift));
            });
        }
        if let Some(keys) = &self.keys {
            w.full_box(b"stss", 0, 0, |w| {
                w.u32(length_u32(keys.len()));
                for number in keys {
                    w.u32(*number);
                }
            });
        }
        w.full_box(b"stsz", 0, 0, |w| {
            w.u32(0);
            w.u32(length_u32(self.sizes.len()));
            for size in &self.sizes {
                w.u32(*size);
            }
        });
    }
}

fn clamp_i32(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}

/// Distances between times; the last one is given.
fn deltas(times: impl Iterator<Item = i64>, last: u32) -> Vec<u32> {
    let mut deltas = Vec::with_capacity(times.size_hint().0);
    let mut before = None;
    for time in times {
        if let Some(before) = before.replace(time) {
            deltas.push(u32::try_from(time.saturating_sub(before)).unwrap_or(0));
        }
    }
    deltas.push(last);
    deltas
}

/// Number of runs of equal values, then length and value of each.
fn write_runs<T: Copy + PartialEq>(
    w: &mut BoxWriter,
    values: &[T],
    put: impl Fn(&mut BoxWriter, T),
) {
    let count_at = w.len();
    w.u32(0);
    let mut count = 0;
    for run in values.chunk_by(|a, b| a == b) {
        w.u32(length_u32(run.len()));
        put(w, run[0]);
        count += 1;
    }
    w.put_u32_at(count_at, count);
}

/// Where the chunk offsets stand, which are known when `moov` is written.
#[derive(Debug)]
pub(super) struct Offsets {
    at: usize,
    is_long: bool,
    /// From the first byte of the data.
    from_data: Vec<u64>,
}

impl Offsets {
    /// Fills in the offsets in a file whose data starts at `data_at`.
    pub(super) fn fill(&self, w: &mut BoxWriter, data_at: u64) {
        for (n, from_data) in self.from_data.iter().enumerate() {
            let offset = data_at + from_data;
            if self.is_long {
                w.put_u64_at(self.at + 8 * n, offset);
            } else {
                let offset = u32::try_from(offset).expect("long files have long offsets");
                w.put_u32_at(self.at + 4 * n, offset);
            }
        }
    }
}

/// Writes `stsc`, and `stco` or `co64` with room for the offsets. `entry_of_source` numbers the
/// sample entries of the sources from 0.
pub(super) fn write_chunks(
    w: &mut BoxWriter,
    chunks: &[Chunk],
    entry_of_source: &[u32],
    is_long: bool,
) -> Offsets {
    let kind = |chunk: &Chunk| (chunk.sample_count, entry_of_source[chunk.source] + 1);
    w.full_box(b"stsc", 0, 0, |w| {
        let count_at = w.len();
        w.u32(0);
        let (mut count, mut number) = (0, 1);
        for run in chunks.chunk_by(|a, b| kind(a) == kind(b)) {
            let (sample_count, entry) = kind(&run[0]);
            w.u32(number);
            w.u32(sample_count);
            w.u32(entry);
            number += length_u32(run.len());
            count += 1;
        }
        w.put_u32_at(count_at, count);
    });
    let (name, width) = if is_long { (b"co64", 8) } else { (b"stco", 4) };
    let mut at = 0;
    w.full_box(name, 0, 0, |w| {
        w.u32(length_u32(chunks.len()));
        at = w.len();
        w.zeros(width * chunks.len());
    });
    Offsets {
        at,
        is_long,
        from_data: chunks.iter().map(|chunk| chunk.from_data).collect(),
    }
}
