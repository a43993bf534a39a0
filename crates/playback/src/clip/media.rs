//! Where the bytes of a clip are that are not made when it is opened.

use bytes::Bytes;
use framewell_fmp4::{ClipDraft, ClipPlan, FragmentSizes, SegmentRuns};
use framewell_footage::{Error, Footage, Piece, Place};
use framewell_media::TrackKind;
use std::collections::HashMap;
use std::ops::Range;

/// The footage of a clip.
#[derive(Debug)]
pub(crate) struct Media {
    pub(crate) footage: Footage,
    /// By the numbers that the plan uses.
    pub(crate) pieces: Vec<Piece>,
    /// What rows tell of the samples of each; empty where they do not.
    pub(crate) runs: Vec<SegmentRuns>,
}

/// Sizes of the samples of segments, by the numbers of those.
type Known = HashMap<usize, Vec<FragmentSizes>>;

impl Media {
    /// Tells a draft the sizes of what is taken in part.
    pub(crate) async fn complete(&self, draft: &mut ClipDraft) -> Result<(), Error> {
        let lacking = draft.lacking();
        let segments = lacking.iter().map(|(_, segment, _)| *segment);
        let known = self.sizes_of(segments.collect()).await?;
        for (source, segment, fragment) in lacking {
            let sizes = known.get(&segment).and_then(|of| of.get(fragment));
            draft.complete(source, sizes.ok_or_else(|| self.unknown(segment))?);
        }
        Ok(())
    }

    /// Bytes of the table of sizes of a track.
    pub(crate) async fn table(
        &self,
        plan: &ClipPlan,
        track: TrackKind,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        let segments: Vec<usize> = plan.segments_of_sizes(track, &range).collect();
        let last = segments.last().copied().unwrap_or(0);
        let known = self.sizes_of(segments).await?;
        let stored = |segment: usize, fragments: Range<usize>| {
            let sizes = known.get(&segment)?.get(fragments)?.iter();
            let of_track = |sizes: &FragmentSizes| match track {
                TrackKind::Video => sizes.video.clone(),
                TrackKind::Audio => sizes.audio.clone(),
            };
            Some(sizes.flat_map(of_track).collect())
        };
        plan.sizes(track, &range, stored)
            .ok_or_else(|| self.unknown(last))
    }

    async fn sizes_of(&self, mut segments: Vec<usize>) -> Result<Known, Error> {
        segments.sort_unstable();
        segments.dedup();
        let pieces: Vec<&Piece> = segments.iter().map(|at| &self.pieces[*at]).collect();
        let encoded = self.footage.sample_sizes(&pieces).await?;
        let read = |(at, encoded): (usize, Vec<u8>)| {
            let sizes = self.runs[at].sizes(&encoded);
            let sizes = sizes.map_err(|source| damaged(&self.pieces[at], source))?;
            Ok((at, sizes))
        };
        segments.into_iter().zip(encoded).map(read).collect()
    }

    /// The error about a row that is gone, or does not tell any more what it told.
    fn unknown(&self, segment: usize) -> Error {
        let why = "its row does not tell the sizes of its samples any more".to_owned();
        damaged(&self.pieces[segment], framewell_fmp4::Error::BadIndex(why))
    }
}

/// The error about a piece of which something cannot be read.
pub(crate) fn damaged(piece: &Piece, source: framewell_fmp4::Error) -> Error {
    Error::Damaged {
        place: Place::from(piece),
        source,
    }
}
