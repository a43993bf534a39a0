//! What a clip knows of the samples of a fragment.

use crate::sample_runs::{FragmentRuns, FragmentSizes};
use crate::{FragmentEntry, Sample};
use framewell_media::TrackKind;

/// What is known of the samples of a fragment.
#[derive(Debug, Clone)]
pub enum ClipSamples {
    /// All, from [`crate::parse_fragment`]: video first.
    Listed(Vec<Sample>),
    /// All but their sizes, which are asked for when the tables are sent.
    Runs {
        /// Which fragment of its segment it is.
        fragment: usize,
        /// What is known.
        runs: FragmentRuns,
    },
}

impl From<Vec<Sample>> for ClipSamples {
    fn from(samples: Vec<Sample>) -> Self {
        Self::Listed(samples)
    }
}

impl ClipSamples {
    pub(super) fn picture_count(&self) -> usize {
        match self {
            Self::Listed(samples) => of_track(samples, TrackKind::Video).count(),
            Self::Runs { runs, .. } => runs.video_count as usize,
        }
    }

    /// All pictures, in decoding order, with their indices among the samples.
    pub(super) fn for_each_picture(&self, entry: &FragmentEntry, visit: impl FnMut(u32, &Sample)) {
        self.for_each(TrackKind::Video, entry, visit);
    }

    /// All frames of sound. Where sizes are not known, those and the places are 0.
    pub(super) fn for_each_frame(&self, entry: &FragmentEntry, visit: impl FnMut(u32, &Sample)) {
        self.for_each(TrackKind::Audio, entry, visit);
    }

    fn for_each(
        &self,
        track: TrackKind,
        entry: &FragmentEntry,
        mut visit: impl FnMut(u32, &Sample),
    ) {
        let made;
        let samples = match self {
            Self::Listed(samples) => samples,
            Self::Runs { runs, .. } => {
                made = runs.samples(entry, None);
                &made
            }
        };
        of_track(samples, track).for_each(|(index, sample)| visit(index, sample));
    }

    /// Now all is known.
    pub(super) fn complete(&mut self, entry: &FragmentEntry, sizes: &FragmentSizes) {
        if let Self::Runs { runs, .. } = self {
            *self = Self::Listed(runs.samples(entry, Some(sizes)));
        }
    }
}

/// The samples of a track, with their indices among all.
pub(super) fn of_track(
    samples: &[Sample],
    track: TrackKind,
) -> impl Iterator<Item = (u32, &Sample)> {
    (0..)
        .zip(samples)
        .filter(move |(_, sample)| sample.track == track)
}

/// The samples of a track of which the indices are given, or all.
pub(super) fn picked<'a>(
    samples: &'a [Sample],
    track: TrackKind,
    only: Option<&'a [u32]>,
) -> impl Iterator<Item = &'a Sample> {
    let all = only.is_none().then(|| of_track(samples, track));
    let some = only.unwrap_or_default().iter();
    let some = some.filter_map(|index| samples.get(*index as usize));
    all.into_iter()
        .flatten()
        .map(|(_, sample)| sample)
        .chain(some)
}
