//! Ids in paths.

use crate::error::ApiError;
use std::str::FromStr;

/// An id out of a path. A text that is no id names a thing that does not exist.
pub(crate) fn path_id<T: FromStr>(text: &str, what: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        ApiError::not_found(format_args!("{what} {shown:?}"))
    })
}
