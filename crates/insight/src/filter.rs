//! The filter language of contract section 11.3.

use crate::Error;
use framewell_catalog::meta::Filter;

/// Reads the `filter` member of a search; absent, `null` and `{}` match everything. Depth and size
/// are bounded.
pub fn parse_filter(filter: Option<&serde_json::Value>) -> Result<Filter, Error> {
    let _ = filter;
    todo!()
}
