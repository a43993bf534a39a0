//! Parts of texts.

/// The first `len` characters of an ASCII text; panics if it is shorter.
pub(crate) fn first(text: &str, len: usize) -> &str {
    text.get(..len)
        .unwrap_or_else(|| panic!("{text:?} is shorter than {len}"))
}
