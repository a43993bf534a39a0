//! The objects of a document, as rules see them.

use super::region::Place;
use framewell_catalog::meta::Document;

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) label: Option<String>,
    pub(super) score: Option<f64>,
    pub(super) track: Option<String>,
    /// `None` if the engine does not say where it is.
    pub(super) place: Option<Place>,
}

pub(super) fn objects(_document: &Document) -> impl Iterator<Item = Seen> {
    std::iter::empty()
}
