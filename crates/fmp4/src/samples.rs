//! The samples of a segment's fragments in few bytes, beside the index in the catalog: what the sample
//! tables of a clip are made of, without a look into the segment.
//!
//! They are not all that a fragment's header could say, but all that our writer makes it say: samples follow
//! each other without holes, in the file and in decode time. Others are not known here.
//!
//! Sizes stand apart from the rest. There are as many of them as samples, and a clip needs them last; how many
//! samples there are, when, and which are key frames, is said in runs and takes some 20 bytes for a second.

use crate::varint::{put, put_signed, take};
use crate::{Error, FragmentEntry, Sample};
use framewell_media::TrackKind;

/// Most bytes for one segment; with more, its samples are not known. Ten seconds of 25 Hz with sound take 1 KB.
const MAX_BYTES: usize = 256 << 10;

/// Samples of adjacent fragments, encoded. Empty: not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SampleTables {
    /// Samples in all.
    count: u64,
    /// Counts, times and key frames.
    runs: Vec<u8>,
    sizes: Vec<u8>,
}

impl SampleTables {
    /// The number of samples, then all but their sizes; empty if nothing is known.
    #[must_use]
    pub fn encode_runs(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.runs.len() + 5);
        if !self.is_empty() {
            put(&mut out, self.count);
            out.extend_from_slice(&self.runs);
        }
        out
    }

    /// The sizes; empty if nothing is known.
    #[must_use]
    pub fn encoded_sizes(&self) -> &[u8] {
        &self.sizes
    }

    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Adds the samples of the next fragment; whether they are known then.
    pub(crate) fn push(&mut self, entry: &FragmentEntry, samples: &[Sample]) -> bool {
        if is_plain(entry, samples) {
            self.count += samples.len() as u64;
            encode_runs(&mut self.runs, samples);
            encode_sizes(&mut self.sizes, samples);
        } else {
            *self = Self::default();
        }
        if self.runs.len() + self.sizes.len() > MAX_BYTES {
            *self = Self::default();
        }
        !self.is_empty()
    }
}

pub(crate) fn bad(why: &str) -> Error {
    Error::BadIndex(why.to_owned())
}

/// Whether the samples are as our writer makes them, so that few bytes say it all.
fn is_plain(entry: &FragmentEntry, samples: &[Sample]) -> bool {
    let is_video = |sample: &Sample| sample.track == TrackKind::Video;
    let (video, audio) = split(samples);
    let mut offset = entry.header_len;
    let is_behind = |sample: &Sample| {
        let is_there = sample.offset == offset;
        offset = offset.saturating_add(sample.size);
        is_there
    };
    let is_one_run = |run: &[Sample]| {
        run.windows(2)
            .all(|pair| pair[1].dts == pair[0].dts.saturating_add(i64::from(pair[0].duration)))
    };
    let has_shift = |sample: &Sample| sample.pts.checked_sub(sample.dts).is_some();
    samples.iter().all(is_behind)
        && offset == entry.len
        && video.first().is_some_and(|first| first.dts == entry.dts)
        && video.iter().all(has_shift)
        && is_one_run(video)
        && is_one_run(audio)
        && audio
            .iter()
            .all(|s| s.is_key && s.pts == s.dts && !is_video(s))
}

/// Video first, as in the fragment.
fn split(samples: &[Sample]) -> (&[Sample], &[Sample]) {
    samples.split_at(samples.partition_point(|sample| sample.track == TrackKind::Video))
}

fn encode_runs(out: &mut Vec<u8>, samples: &[Sample]) {
    let (video, audio) = split(samples);
    put(out, video.len() as u64);
    put(out, audio.len() as u64);
    // Says where the audio begins.
    put(out, video.iter().map(|sample| u64::from(sample.size)).sum());
    put_durations(out, video);
    for run in video.chunk_by(|a, b| a.pts - a.dts == b.pts - b.dts) {
        put(out, run.len() as u64);
        put_signed(out, run[0].pts - run[0].dts);
    }
    let keys = video.iter().enumerate().filter(|(_, sample)| sample.is_key);
    put(out, keys.clone().count() as u64);
    let mut before = 0;
    for (at, _) in keys {
        put(out, (at - before) as u64);
        before = at;
    }
    if let Some(first) = audio.first() {
        put_signed(out, first.dts);
        put_durations(out, audio);
    }
}

fn encode_sizes(out: &mut Vec<u8>, samples: &[Sample]) {
    let (video, audio) = split(samples);
    put_sizes(out, video);
    if !audio.is_empty() {
        put_sizes(out, audio);
    }
}

fn put_durations(out: &mut Vec<u8>, samples: &[Sample]) {
    for run in samples.chunk_by(|a, b| a.duration == b.duration) {
        put(out, run.len() as u64);
        put(out, u64::from(run[0].duration));
    }
}

/// One size that all have, or 0 and each.
fn put_sizes(out: &mut Vec<u8>, samples: &[Sample]) {
    let first = samples.first().map_or(0, |sample| sample.size);
    if first > 0 && samples.iter().all(|sample| sample.size == first) {
        put(out, u64::from(first));
        return;
    }
    put(out, 0);
    for sample in samples {
        put(out, u64::from(sample.size));
    }
}

/// A number of samples: never more than the bytes of a segment could have.
pub(crate) fn take_count(rest: &mut &[u8]) -> Result<u32, Error> {
    const MOST: u32 = 1 << 20;
    let count = u32::try_from(take(rest)?).ok();
    count
        .filter(|count| *count <= MOST)
        .ok_or_else(|| bad("more samples than a fragment has"))
}

pub(crate) fn take_u32(rest: &mut &[u8]) -> Result<u32, Error> {
    u32::try_from(take(rest)?).map_err(|_| bad("number of more than 32 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_data::{any_gop, fragment_bytes};
    use crate::{FileClock, SegmentIndex, SegmentRuns, build_fragment, parse_fragment};
    use proptest::prelude::*;

    /// All that encoded tables say.
    fn told(
        runs: &[u8],
        sizes: &[u8],
        entries: &[FragmentEntry],
    ) -> Result<Vec<Vec<Sample>>, Error> {
        let runs = SegmentRuns::read(runs.to_vec(), entries)?;
        let sizes = runs.sizes(sizes)?;
        let fragments = runs.fragments().iter().zip(&sizes).zip(entries);
        Ok(fragments
            .map(|((runs, sizes), entry)| runs.samples(entry, Some(sizes)))
            .collect())
    }

    fn entry_of_nothing() -> FragmentEntry {
        FragmentEntry {
            offset: 0,
            header_len: 0,
            len: 0,
            wall: framewell_model::WallTime::from_secs(0),
            anchor_pts: 0,
            dts: 0,
            min_pts: 0,
            end_pts: 0,
            duration: 0,
            is_key: true,
            clock: framewell_model::ClockSource::CameraRtcp,
        }
    }

    proptest! {
        #[test]
        fn the_tables_say_what_the_headers_say(
            gops in prop::collection::vec(any_gop(), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut index = SegmentIndex { init_len: 900, parameters: 1, ..SegmentIndex::default() };
            let mut headers = Vec::new();
            for (parameters, units) in &gops {
                let clock = FileClock::of_run(parameters);
                let fragment = build_fragment(&clock, 1, parameters, units, None);
                let entry = FragmentEntry { offset: index.len_bytes(), ..fragment.entry };
                let parsed = parse_fragment(&fragment_bytes(&fragment)).unwrap();
                prop_assert_eq!(&fragment.samples, &parsed);
                index.push(entry, &fragment.samples);
                headers.push(parsed);
            }
            let tables = &index.samples;
            if tables.is_empty() {
                // Decode times that go back are told by the headers only.
                return Ok(());
            }
            let (runs, sizes) = (tables.encode_runs(), tables.encoded_sizes());
            let told = told(&runs, sizes, &index.fragments).unwrap();
            let count = headers.iter().map(Vec::len).sum::<usize>() as u64;
            prop_assert_eq!(SegmentRuns::count(&runs), Ok(count));
            prop_assert_eq!(told, headers);
            for (runs, sizes) in [
                (&runs[..cut.index(runs.len())], sizes),
                (&runs[..], &sizes[..cut.index(sizes.len())]),
            ] {
                prop_assert!(super::tests::told(runs, sizes, &index.fragments).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            runs in prop::collection::vec(any::<u8>(), 0..200),
            sizes in prop::collection::vec(any::<u8>(), 0..200),
            len in any::<u32>(),
        ) {
            let entry = FragmentEntry { header_len: 100, len, dts: i64::MAX - 5, ..entry_of_nothing() };
            if let Ok(told) = told(&runs, &sizes, &[entry]) {
                prop_assert!(told[0].len() as u64 <= SegmentRuns::count(&runs).unwrap());
            }
        }
    }

    #[test]
    fn samples_that_lie_otherwise_are_not_known() {
        let (parameters, units) = (crate::sample_data::parameters(None), {
            let mut dts = framewell_media::DtsEstimator::new(0);
            crate::sample_data::gop(0, 5, 0, &mut dts)
        });
        let clock = FileClock::of_run(&parameters);
        let fragment = build_fragment(&clock, 1, &parameters, &units, None);
        let mut index = SegmentIndex::default();
        let mut moved = fragment.samples.clone();
        moved[2].offset += 1;
        index.push(fragment.entry, &moved);
        index.push(fragment.entry, &fragment.samples);
        assert!(index.samples.is_empty());
        assert_eq!(index.fragments.len(), 2);
    }

    #[test]
    fn tables_that_tell_of_more_samples_than_they_say_are_refused_before_those_are_made() {
        let entry = FragmentEntry {
            header_len: 100,
            len: 100 + 5_000_000,
            ..entry_of_nothing()
        };
        let mut runs = Vec::new();
        // 3 samples, they say; then a fragment of a million pictures of five bytes each.
        put(&mut runs, 3);
        for number in [1_000_000, 0, 5_000_000, 1_000_000, 3_600, 1_000_000, 0, 0] {
            put(&mut runs, number);
        }
        let mut sizes = Vec::new();
        put(&mut sizes, 5);
        assert_eq!(SegmentRuns::count(&runs), Ok(3));
        let error = told(&runs, &sizes, &[entry]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "bad segment index: more samples than it says"
        );
    }
}
