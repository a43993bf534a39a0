//! GOPs of the live ring in the form in which recorded ones are read.

use framewell_footage::{CompressedGop, GopSample};
use framewell_live::Gop;
use framewell_media::{AccessUnit, TrackKind};
use framewell_model::ClockSource;
use std::sync::Arc;

/// The video of a GOP, in decoding order.
pub(crate) fn pictures(gop: &Gop) -> impl Iterator<Item = &AccessUnit> {
    let is_video = |unit: &&AccessUnit| unit.track == TrackKind::Video;
    gop.units.iter().filter(is_video)
}

/// The samples of a GOP.
pub(crate) fn samples(gop: &Gop) -> impl Iterator<Item = GopSample> {
    pictures(gop).map(sample_of)
}

/// The key frame and its leading pictures, which come right behind it in decoding order.
pub(crate) fn leading_samples(gop: &Gop) -> impl Iterator<Item = GopSample> {
    let key = pictures(gop).next().map(|unit| unit.pts.ticks);
    let leading =
        pictures(gop).take_while(move |unit| key.is_some_and(|key| unit.pts.ticks <= key));
    leading.map(sample_of)
}

/// Whether the leading pictures of `next` may refer to the GOP before it.
pub(crate) fn is_continued(gop: &Gop, next: &Gop) -> bool {
    let has_leading = gop.parameters.video.reorder_depth > 0;
    has_leading && next.run == gop.run && next.parameters == gop.parameters
}

/// The first `own` of these samples are the GOP's own.
pub(crate) fn compressed(gop: &Gop, samples: Vec<GopSample>, own: usize) -> CompressedGop {
    let key = gop.units.first();
    CompressedGop {
        run: gop.run,
        video: Arc::new(gop.parameters.video.clone()),
        samples,
        own,
        clock: key.map_or(ClockSource::ServerArrival, |key| key.clock),
    }
}

fn sample_of(unit: &AccessUnit) -> GopSample {
    GopSample {
        pts: unit.pts.ticks,
        wall: unit.wall,
        is_key: unit.is_key,
        data: unit.data.clone(),
    }
}
