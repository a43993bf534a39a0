//! A compressed GOP, ready for a decoder.

use crate::{CONTINUITY_US, Piece};
use bytes::Bytes;
use framewell_fmp4::{FragmentEntry, SegmentIndex, parse_fragment};
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
    /// Where the wall times come from.
    pub clock: ClockSource,
}

/// A hole: where the pictures around it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hole {
    /// End of the last picture before it.
    pub(crate) before: Option<WallTime>,
    /// Capture time of the first picture after it.
    pub(crate) after: Option<WallTime>,
}

/// Fragments of one segment, in file order; at least one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) piece: &'a Piece,
    pub(crate) fragments: &'a [FragmentEntry],
}

/// What to decode for the picture on screen at `at`, among pieces ascending by start: from the last
/// key fragment captured at or before it, up to the last one with a picture at or before it. The
/// second part is the beginning of the next segment, if its leading pictures are shown by then.
pub(crate) fn parts_at(pieces: &[Piece], at: WallTime) -> Result<Vec<Part<'_>>, Hole> {
    let after = pieces.partition_point(|piece| piece.range.start <= at);
    let (begun, later) = pieces.split_at(after);
    // Of two that hold it, the later one wins: its first picture was captured at or before `at`,
    // after everything in the earlier one that still counts.
    let held = begun.iter().rev().find(|piece| piece.range.contains(at));
    let continued = || {
        let (newest, next) = (begun.last()?, later.first()?);
        newest.continues_into(next).then_some(newest)
    };
    let piece = held.or_else(continued).ok_or_else(Hole::default)?;
    let (first, rest) = fragments_at(&piece.index, at)?;
    let mut parts = vec![Part {
        piece,
        fragments: first,
    }];
    if let Some(next) = later.first()
        && rest.is_empty()
        && piece.continues_into(next)
        && next.first_shown() <= at
    {
        parts.push(Part {
            piece: next,
            fragments: &next.index.fragments[..1],
        });
    } else {
        check_pause(first, rest, at)?;
    }
    Ok(parts)
}

/// The needed fragments of a segment, and those behind them.
fn fragments_at(
    index: &SegmentIndex,
    at: WallTime,
) -> Result<(&[FragmentEntry], &[FragmentEntry]), Hole> {
    let fragments = &index.fragments;
    let key = fragments
        .iter()
        .rposition(|fragment| fragment.is_key && fragment.wall <= at)
        .ok_or_else(|| Hole {
            before: None,
            after: fragments.first().map(|fragment| fragment.wall),
        })?;
    // With reordering, a picture may lie in a fragment whose first picture is captured later.
    let count = fragments[key..]
        .iter()
        .take_while(|fragment| fragment.wall_of(fragment.min_pts) <= at)
        .count();
    Ok(fragments[key..].split_at(count.max(1)))
}

/// Inside a segment, the camera may have paused, or its clock been set, and the run went on: then the
/// last picture is not on screen for ever.
fn check_pause(
    needed: &[FragmentEntry],
    later: &[FragmentEntry],
    at: WallTime,
) -> Result<(), Hole> {
    let before = needed.iter().map(|f| f.wall_of(f.end_pts)).max();
    if before.is_some_and(|end| at.micros_since(end) > CONTINUITY_US) {
        let after = later.first().map(|next| next.wall_of(next.min_pts));
        return Err(Hole { before, after });
    }
    Ok(())
}

/// The video samples of adjacent fragments, in decoding order.
pub(crate) fn read_part(
    fragments: &[FragmentEntry],
    bytes: &Bytes,
    samples: &mut Vec<GopSample>,
) -> Result<(), framewell_fmp4::Error> {
    let base = fragments.first().map_or(0, |fragment| fragment.offset);
    for fragment in fragments {
        let start = usize::try_from(fragment.offset - base).unwrap_or(usize::MAX);
        let end = start.saturating_add(fragment.len as usize).min(bytes.len());
        read_samples(fragment, &bytes.slice(start.min(end)..end), samples)?;
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
        let start = sample.offset as usize;
        let data = start
            .checked_add(sample.size as usize)
            .filter(|end| *end <= bytes.len())
            .map(|end| bytes.slice(start..end))
            .ok_or_else(|| framewell_fmp4::Error::BadBox {
                what: "mdat".to_owned(),
                offset: fragment.offset + u64::from(sample.offset),
                why: "a sample reaches past its fragment".to_owned(),
            })?;
        samples.push(GopSample {
            pts: sample.pts,
            wall: fragment.wall_of(sample.pts),
            is_key: sample.is_key,
            data,
        });
    }
    Ok(())
}
