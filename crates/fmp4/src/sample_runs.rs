//! Reading what [`SampleTables`](crate::SampleTables) wrote: the samples of a segment in runs, and their sizes
//! when those are wanted.

use crate::samples::{bad, take_count, take_u32};
use crate::varint::{take, take_signed};
use crate::{Error, FragmentEntry, Sample};
use bytes::Bytes;
use framewell_media::TrackKind;

/// All samples of a segment without their sizes, fragment by fragment.
#[derive(Debug, Clone, Default)]
pub struct SegmentRuns {
    fragments: Vec<FragmentRuns>,
}

/// The samples of a fragment without their sizes. What it says has been looked at when it was made. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct FragmentRuns {
    /// At least one.
    pub(crate) video_count: u32,
    pub(crate) video_bytes: u32,
    /// Sum of the durations of the pictures.
    pub(crate) video_ticks: u64,
    pub(crate) audio_count: u32,
    audio_bytes: u32,
    pub(crate) audio_start: i64,
    pub(crate) audio_ticks: u64,
    /// Of the last frame.
    pub(crate) audio_last: u32,
    /// Of the last picture.
    pub(crate) video_last: u32,
    /// Durations, offsets, key frames; durations of the audio.
    runs: Bytes,
    offsets_at: usize,
    keys_at: usize,
    audio_at: usize,
}

/// The sizes of the samples of a fragment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FragmentSizes {
    /// Of its pictures, in decoding order.
    pub video: Vec<u32>,
    /// Of its frames of sound.
    pub audio: Vec<u32>,
}

impl SegmentRuns {
    /// How many samples encoded runs say that they are about: [`SegmentRuns::read`] makes no more. To be
    /// looked at before, since a few bytes can tell of many.
    ///
    /// # Errors
    /// [`Error::BadIndex`] if they do not begin with a number.
    pub fn count(mut encoded: &[u8]) -> Result<u64, Error> {
        take(&mut encoded)
    }

    /// Reads and checks encoded runs, which must be about `fragments`.
    ///
    /// # Errors
    /// [`Error::BadIndex`] if they are about others, or about more samples than they say.
    pub fn read(encoded: Vec<u8>, fragments: &[FragmentEntry]) -> Result<Self, Error> {
        let all = Bytes::from(encoded);
        let mut rest = &all[..];
        let mut room = take(&mut rest)?;
        let mut read = Vec::with_capacity(fragments.len());
        for entry in fragments {
            let fragment = FragmentRuns::read(&all, &mut rest, entry, room)?;
            room -= fragment.sample_count();
            read.push(fragment);
        }
        match (rest, room) {
            ([], 0) => Ok(Self { fragments: read }),
            _ => Err(bad("samples of no fragment")),
        }
    }

    /// In the order of the segment's fragments.
    #[must_use]
    pub fn fragments(&self) -> &[FragmentRuns] {
        &self.fragments
    }

    /// Reads encoded sizes, of all fragments.
    ///
    /// # Errors
    /// [`Error::BadIndex`] if they are not those of these samples.
    pub fn sizes(&self, encoded: &[u8]) -> Result<Vec<FragmentSizes>, Error> {
        let mut rest = encoded;
        let mut read = |count: u32, bytes: u32| match count {
            0 => Ok(Vec::new()),
            _ => take_sizes(&mut rest, count, bytes),
        };
        let sizes = self.fragments.iter().map(|fragment| {
            Ok(FragmentSizes {
                video: read(fragment.video_count, fragment.video_bytes)?,
                audio: read(fragment.audio_count, fragment.audio_bytes)?,
            })
        });
        let sizes = sizes.collect::<Result<_, Error>>()?;
        match rest {
            [] => Ok(sizes),
            _ => Err(bad("sizes of no sample")),
        }
    }
}

impl FragmentRuns {
    fn read(
        all: &Bytes,
        rest: &mut &[u8],
        entry: &FragmentEntry,
        room: u64,
    ) -> Result<Self, Error> {
        let (video_count, audio_count) = (take_count(rest)?, take_count(rest)?);
        if video_count == 0 {
            return Err(bad("a fragment without a picture"));
        }
        if u64::from(video_count) + u64::from(audio_count) > room {
            return Err(bad("more samples than it says"));
        }
        let video_bytes = take_u32(rest)?;
        let audio_bytes = entry
            .len
            .checked_sub(entry.header_len)
            .and_then(|data| data.checked_sub(video_bytes))
            .filter(|bytes| audio_count > 0 || *bytes == 0)
            .ok_or_else(|| bad("samples of another fragment"))?;
        let begin = *rest;
        let passed = |rest: &[u8]| begin.len() - rest.len();
        let (video_ticks, video_last) = check_durations(rest, video_count)?;
        let offsets_at = passed(rest);
        check_offsets(rest, video_count)?;
        let keys_at = passed(rest);
        check_keys(rest, video_count)?;
        let (mut audio_start, mut audio_ticks, mut audio_last) = (0, 0, 0);
        if audio_count > 0 {
            audio_start = take_signed(rest)?;
        }
        let audio_at = passed(rest);
        if audio_count > 0 {
            (audio_ticks, audio_last) = check_durations(rest, audio_count)?;
        }
        Ok(Self {
            video_count,
            video_bytes,
            video_ticks,
            audio_count,
            audio_bytes,
            audio_start,
            audio_ticks,
            audio_last,
            video_last,
            runs: all.slice_ref(&begin[..passed(rest)]),
            offsets_at,
            keys_at,
            audio_at,
        })
    }

    pub(crate) fn sample_count(&self) -> u64 {
        u64::from(self.video_count) + u64::from(self.audio_count)
    }

    /// Durations of the pictures: how many, and each.
    pub(crate) fn video_durations(&self) -> impl Iterator<Item = (u32, u32)> {
        durations(&self.runs, self.video_count)
    }

    /// Durations of the frames of sound.
    pub(crate) fn audio_durations(&self) -> impl Iterator<Item = (u32, u32)> {
        durations(&self.runs[self.audio_at..], self.audio_count)
    }

    /// PTS less DTS of the pictures: how many, and each.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = (u32, i64)> {
        let mut rest = &self.runs[self.offsets_at..];
        runs(self.video_count, move || {
            let count = take_count(&mut rest).ok()?;
            Some((count, take_signed(&mut rest).ok()?))
        })
    }

    /// Which of the pictures are key frames, ascending.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u32> {
        let mut rest = &self.runs[self.keys_at..];
        let count = take_count(&mut rest).unwrap_or(0);
        let mut key = 0;
        (0..count).map_while(move |_| {
            key += take_count(&mut rest).ok()?;
            Some(key)
        })
    }

    /// Where the samples of a track lie behind the header: offset, bytes, and how many they are.
    pub(crate) const fn place(&self, track: TrackKind) -> (u32, u32, u32) {
        match track {
            TrackKind::Video => (0, self.video_bytes, self.video_count),
            TrackKind::Audio => (self.video_bytes, self.audio_bytes, self.audio_count),
        }
    }

    /// All samples as the header tells them; sizes and places are 0 without `sizes`.
    #[must_use]
    pub fn samples(&self, entry: &FragmentEntry, sizes: Option<&FragmentSizes>) -> Vec<Sample> {
        let mut samples = Vec::new();
        let video = self.video_durations();
        add_samples(&mut samples, TrackKind::Video, entry.dts, video);
        let mut at = 0;
        for (count, offset) in self.offsets() {
            let end = samples.len().min(at + count as usize);
            for sample in &mut samples[at..end] {
                sample.pts = sample.dts.saturating_add(offset);
            }
            at = end;
        }
        for key in self.keys() {
            if let Some(sample) = samples.get_mut(key as usize) {
                sample.is_key = true;
            }
        }
        let audio = self.audio_durations();
        add_samples(&mut samples, TrackKind::Audio, self.audio_start, audio);
        if let Some(sizes) = sizes {
            let mut offset = entry.header_len;
            for (sample, size) in samples
                .iter_mut()
                .zip(sizes.video.iter().chain(&sizes.audio))
            {
                (sample.offset, sample.size) = (offset, *size);
                offset = offset.saturating_add(*size);
            }
        }
        samples
    }
}

fn add_samples(
    samples: &mut Vec<Sample>,
    track: TrackKind,
    mut dts: i64,
    durations: impl Iterator<Item = (u32, u32)>,
) {
    for (count, duration) in durations {
        for _ in 0..count {
            samples.push(Sample {
                track,
                offset: 0,
                size: 0,
                dts,
                pts: dts,
                duration,
                is_key: track == TrackKind::Audio,
            });
            dts = dts.saturating_add(i64::from(duration));
        }
    }
}

/// Runs until they are about `count` items.
fn runs<T>(
    count: u32,
    mut next: impl FnMut() -> Option<(u32, T)>,
) -> impl Iterator<Item = (u32, T)> {
    let mut left = count;
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let (run, value) = next()?;
        left = left.checked_sub(run)?;
        Some((run, value))
    })
}

fn durations(mut rest: &[u8], count: u32) -> impl Iterator<Item = (u32, u32)> {
    runs(count, move || {
        let run = take_count(&mut rest).ok()?;
        Some((run, take_u32(&mut rest).ok()?))
    })
}

/// Sum of the durations, and the last one.
fn check_durations(rest: &mut &[u8], count: u32) -> Result<(u64, u32), Error> {
    let (mut left, mut ticks, mut last) = (count, 0, 0);
    while left > 0 {
        let run = take_run(rest, left)?;
        last = take_u32(rest)?;
        ticks += u64::from(run) * u64::from(last);
        left -= run;
    }
    Ok((ticks, last))
}

fn check_offsets(rest: &mut &[u8], count: u32) -> Result<(), Error> {
    let mut left = count;
    while left > 0 {
        left -= take_run(rest, left)?;
        take_signed(rest)?;
    }
    Ok(())
}

/// The length of a run of at most `left`, at least 1.
fn take_run(rest: &mut &[u8], left: u32) -> Result<u32, Error> {
    let run = take_count(rest)?;
    if run == 0 || run > left {
        return Err(bad("runs of more than there is"));
    }
    Ok(run)
}

fn check_keys(rest: &mut &[u8], video_count: u32) -> Result<(), Error> {
    let count = take_count(rest)?;
    let mut key = 0_u32;
    for number in 0..count {
        let step = take_count(rest)?;
        key = key.saturating_add(step);
        if key >= video_count || (number > 0 && step == 0) {
            return Err(bad("a key frame that is not there"));
        }
    }
    Ok(())
}

/// One size that all have, or 0 and each; `bytes` together.
fn take_sizes(rest: &mut &[u8], count: u32, bytes: u32) -> Result<Vec<u32>, Error> {
    let same = take_u32(rest)?;
    let mut sizes = Vec::with_capacity(count as usize);
    let mut sum = 0_u64;
    for _ in 0..count {
        let size = if same > 0 { same } else { take_u32(rest)? };
        sum += u64::from(size);
        sizes.push(size);
    }
    if sum != u64::from(bytes) {
        return Err(bad("sizes of other samples"));
    }
    Ok(sizes)
}
