//! Parts of lists.

use crate::{Error, Slice};
use sea_query::{Expr, SelectStatement};

impl Slice {
    /// Puts the limits on a statement; negative numbers count as 0.
    pub(crate) fn apply(self, select: &mut SelectStatement) {
        select
            .limit(u64::try_from(self.limit).unwrap_or(0))
            .offset(u64::try_from(self.offset).unwrap_or(0));
    }
}

/// The statement that counts the rows of another one, which has its tables and conditions but no
/// columns, order or limits yet.
pub(crate) fn count(of: &SelectStatement) -> SelectStatement {
    of.clone().expr_as(Expr::cust("COUNT(*)"), "total").take()
}

/// Longest text that is part of a key: an index entry of PostgreSQL takes about 2,700 bytes.
const MOST_KEY_BYTES: usize = 512;

/// Refuses texts that cannot be keys.
pub(crate) fn check_key(what: &str, text: &str) -> Result<(), Error> {
    if text.is_empty() || text.len() > MOST_KEY_BYTES {
        let text = format!("{what} must have 1 to {MOST_KEY_BYTES} bytes");
        return Err(Error::Invalid(text));
    }
    Ok(())
}
