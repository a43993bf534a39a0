//! The objects of a document, as rules see them.

use super::region::Place;
use framewell_catalog::meta::{Document, Object};

/// One object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) label: Option<&'a str>,
    pub(super) score: Option<f64>,
    pub(super) track: Option<&'a str>,
    /// `None` if the engine does not say where it is.
    pub(super) place: Option<Place>,
}

pub(super) fn objects(document: &Document) -> impl Iterator<Item = Seen<'_>> {
    document.native.objects.iter().map(seen)
}

fn seen(object: &Object) -> Seen<'_> {
    let place = object.region().map(|region| Place {
        left: region.min_x,
        top: region.min_y,
        right: region.max_x,
        bottom: region.max_y,
    });
    Seen {
        label: object.label.as_deref(),
        score: object.score,
        track: object.track.as_deref(),
        place,
    }
}
