//! A compressed GOP, ready for a decoder.

use bytes::Bytes;
use framewell_fmp4::{FragmentEntry, Sample, parse_fragment};
use framewell_media::{TrackKind, VideoParameters};
use framewell_model::{ClockSource, RunId, WallTime};
use std::sync::Arc;

/// One tick of 90 kHz, rounded up, in microseconds. The wall time of a recorded picture is computed
/// from its fragment's and may differ by rounding from the one that the live ring gave; a picture
/// that much after an instant counts as captured at it, so that a capture time from one source finds
/// the same picture in the other.
pub const TICK_US: i64 = 12;

/// One video sample of a GOP, in decoding order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GopSample {
    /// 90 kHz ticks of the run.
    pub pts: i64,
    /// Capture time.
    pub wall: WallTime,
    /// Random access point.
    pub is_key: bool,
    /// Length-prefixed NAL units.
    pub data: Bytes,
}

/// The video of one GOP (or of its beginning), from its key frame on.
#[derive(Debug, Clone)]
pub struct CompressedGop {
    /// The run it belongs to.
    pub run: RunId,
    /// What the decoder needs first.
    pub video: Arc<VideoParameters>,
    /// From the key frame on, decoding order.
    pub samples: Vec<GopSample>,
    /// How many of the samples are the GOP's own; those behind are the key frame of the next GOP and
    /// its leading pictures, which refer to this one.
    pub own: usize,
    /// Where the wall times come from.
    pub clock: ClockSource,
}

/// The video samples of adjacent fragments, in decoding order.
pub(crate) fn read_part(
    fragments: &[FragmentEntry],
    bytes: &Bytes,
    samples: &mut Vec<GopSample>,
) -> Result<(), framewell_fmp4::Error> {
    for (fragment, bytes) in bytes_of(fragments, bytes) {
        read_samples(&fragment, &bytes, samples)?;
    }
    Ok(())
}

/// Cuts samples in decoding order behind the last one captured at or before `at`: later ones are
/// neither shown by then nor needed to decode those that are.
pub(crate) fn cut_after(samples: &mut Vec<GopSample>, at: WallTime) {
    let wanted = samples.iter().rposition(|sample| sample.wall <= at);
    samples.truncate(wanted.map_or(1, |last| last + 1));
}

fn read_samples(
    fragment: &FragmentEntry,
    bytes: &Bytes,
    samples: &mut Vec<GopSample>,
) -> Result<(), framewell_fmp4::Error> {
    let all = parse_fragment(bytes)?;
    for sample in all.iter().filter(|s| s.track == TrackKind::Video) {
        samples.push(sample_of(fragment, sample, bytes)?);
    }
    Ok(())
}

/// The fragment's first video sample, which must be a key frame.
pub(crate) fn key_of(
    fragment: &FragmentEntry,
    samples: &[Sample],
) -> Result<Sample, framewell_fmp4::Error> {
    let first = samples.iter().find(|s| s.track == TrackKind::Video);
    first
        .filter(|sample| sample.is_key)
        .copied()
        .ok_or_else(|| bad(fragment.offset, "does not begin with a key frame"))
}

/// A sample with its data, out of the bytes of its fragment.
pub(crate) fn sample_of(
    fragment: &FragmentEntry,
    sample: &Sample,
    bytes: &Bytes,
) -> Result<GopSample, framewell_fmp4::Error> {
    Ok(GopSample {
        pts: sample.pts,
        wall: fragment.wall_of(sample.pts),
        is_key: sample.is_key,
        data: data_of(fragment, sample, bytes)?,
    })
}

/// The data of a sample, out of the bytes of its fragment.
pub(crate) fn data_of(
    fragment: &FragmentEntry,
    sample: &Sample,
    bytes: &Bytes,
) -> Result<Bytes, framewell_fmp4::Error> {
    let start = sample.offset as usize;
    start
        .checked_add(sample.size as usize)
        .filter(|end| *end <= bytes.len())
        .map(|end| bytes.slice(start..end))
        .ok_or_else(|| {
            let at = fragment.offset + u64::from(sample.offset);
            bad(at, "a sample reaches past its fragment")
        })
}

/// The bytes of each fragment, out of those of adjacent ones.
pub(crate) fn bytes_of(
    fragments: &[FragmentEntry],
    bytes: &Bytes,
) -> impl Iterator<Item = (FragmentEntry, Bytes)> {
    let base = fragments.first().map_or(0, |fragment| fragment.offset);
    fragments.iter().map(move |fragment| {
        let start = usize::try_from(fragment.offset - base).unwrap_or(usize::MAX);
        let end = start.saturating_add(fragment.len as usize).min(bytes.len());
        (*fragment, bytes.slice(start.min(end)..end))
    })
}

fn bad(offset: u64, why: &str) -> framewell_fmp4::Error {
    framewell_fmp4::Error::BadBox {
        what: "mdat".to_owned(),
        offset,
        why: why.to_owned(),
    }
}
