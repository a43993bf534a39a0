//! Sample tables and edit lists (ISO/IEC 14496-12 sections 8.6 and 8.7).

use super::layout::Chunk;
use super::sizes::SIZE_BYTES;
use crate::Sample;
use crate::sample_runs::FragmentRuns;
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

/// Equal values one behind the other, counted.
#[derive(Debug)]
struct Runs<T>(Vec<(u32, T)>);

impl<T: Copy + PartialEq> Runs<T> {
    fn push(&mut self, count: u32, value: T) {
        match self.0.last_mut() {
            Some((known, last)) if *last == value => *known += count,
            _ if count > 0 => self.0.push((count, value)),
            _ => {}
        }
    }

    fn write(&self, w: &mut BoxWriter, put: impl Fn(&mut BoxWriter, T)) {
        w.u32(length_u32(self.0.len()));
        for (count, value) in &self.0 {
            w.u32(*count);
            put(w, *value);
        }
    }
}

/// Durations, presentation offsets and key frames of a track's samples.
#[derive(Debug)]
pub(super) struct SampleTable {
    count: u32,
    deltas: Runs<u32>,
    /// Sum of the deltas.
    ticks: u64,
    /// DTS and duration of the last sample.
    last: Option<(i64, u32)>,
    /// PTS less DTS; empty in a track of sound.
    offsets: Runs<i32>,
    /// Numbers of the random access points, from 1; empty in a track of sound, where all are.
    keys: Vec<u32>,
}

impl SampleTable {
    pub(super) const fn new() -> Self {
        Self {
            count: 0,
            deltas: Runs(Vec::new()),
            ticks: 0,
            last: None,
            offsets: Runs(Vec::new()),
            keys: Vec::new(),
        }
    }

    /// Adds a picture.
    pub(super) fn add_picture(&mut self, sample: &Sample, shift: i64) {
        self.add(sample.dts.saturating_add(shift), sample.duration);
        let offset = clamp_i32(sample.pts.saturating_sub(sample.dts));
        self.offsets.push(1, offset);
        if sample.is_key {
            self.keys.push(self.count);
        }
    }

    /// Adds all pictures of a fragment; the first one is decoded at `dts`.
    pub(super) fn add_pictures(&mut self, runs: &FragmentRuns, dts: i64) {
        let before = self.count;
        let end = (runs.video_ticks, runs.video_last);
        self.add_run(dts, runs.video_durations(), end);
        for (count, offset) in runs.offsets() {
            self.offsets.push(count, clamp_i32(offset));
        }
        self.keys.extend(runs.keys().map(|key| before + key + 1));
    }

    /// Adds all frames of sound of a fragment; the first one begins at `start`.
    pub(super) fn add_frames(&mut self, runs: &FragmentRuns, start: i64) {
        let end = (runs.audio_ticks, runs.audio_last);
        self.add_run(start, runs.audio_durations(), end);
    }

    /// Adds a sample to the durations.
    pub(super) fn add(&mut self, dts: i64, duration: u32) {
        self.close_last(dts);
        self.last = Some((dts, duration));
        self.count += 1;
    }

    /// Adds samples that follow each other; `end`: the sum of their durations, and the last of them.
    fn add_run(
        &mut self,
        dts: i64,
        durations: impl Iterator<Item = (u32, u32)>,
        (ticks, last): (u64, u32),
    ) {
        self.close_last(dts);
        let mut run: Option<(u32, u32)> = None;
        for (count, duration) in durations {
            self.count += count;
            if let Some((count, duration)) = run.replace((count, duration)) {
                self.push_delta(count, duration);
            }
        }
        // How long the last one lasts is said by the next one.
        if let Some((count, duration)) = run {
            self.push_delta(count - 1, duration);
        }
        let until_last = i64::try_from(ticks.saturating_sub(u64::from(last)));
        let last_dts = dts.saturating_add(until_last.unwrap_or(i64::MAX));
        self.last = Some((last_dts, last));
    }

    fn close_last(&mut self, next_dts: i64) {
        if let Some((dts, _)) = self.last {
            let delta = u32::try_from(next_dts.saturating_sub(dts)).unwrap_or(0);
            self.push_delta(1, delta);
        }
    }

    fn push_delta(&mut self, count: u32, delta: u32) {
        self.ticks += u64::from(count) * u64::from(delta);
        self.deltas.push(count, delta);
    }

    /// To be called behind the last sample.
    pub(super) fn close(&mut self) {
        if let Some((_, duration)) = self.last.take() {
            self.push_delta(1, duration);
        }
    }

    /// Sum of the durations.
    pub(super) const fn duration(&self) -> u64 {
        self.ticks
    }

    /// Writes `stts`, `ctts`, `stss`, and `stsz` with a hole for the sizes.
    pub(super) fn write(&self, w: &mut BoxWriter) {
        w.full_box(b"stts", 0, 0, |w| {
            self.deltas.write(w, |w, delta| w.u32(delta));
        });
        let offsets = &self.offsets.0;
        if offsets.iter().any(|(_, offset)| *offset != 0) {
            let version = u8::from(offsets.iter().any(|(_, offset)| *offset < 0));
            w.full_box(b"ctts", version, 0, |w| {
                self.offsets.write(w, |w, offset| w.i32(offset));
            });
        }
        let has_other = !offsets.is_empty() && self.keys.len() != self.count as usize;
        if has_other {
            w.full_box(b"stss", 0, 0, |w| {
                w.u32(length_u32(self.keys.len()));
                for number in &self.keys {
                    w.u32(*number);
                }
            });
        }
        w.full_box(b"stsz", 0, 0, |w| {
            w.u32(0);
            w.u32(self.count);
            w.hole(u64::from(self.count) * SIZE_BYTES);
        });
    }
}

fn clamp_i32(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
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
