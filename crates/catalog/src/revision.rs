//! Numbers in the order in which rows become visible, see the migration of events.

use crate::Error;
use crate::sql::Tx;
use sea_query::{Expr, ExprTrait as _, Query};

/// A counter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counter {
    Event,
}

impl Counter {
    const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
        }
    }
}

/// Takes the next `count` numbers; the first of them. Nobody else gets one until the transaction ends,
/// so this stands as late in it as can be.
pub(crate) async fn take(tx: &mut Tx, counter: Counter, count: i64) -> Result<i64, Error> {
    let update = Query::update()
        .table("revision_counter")
        .value("value", Expr::col("value").add(count))
        .and_where(Expr::col("name").eq(counter.name()))
        .returning_col("value")
        .take();
    let rows = tx.fetch(&update).await?;
    let missing = || Error::corrupt("value", "a counter is missing");
    let last: i64 = rows.first().ok_or_else(missing)?.get("value")?;
    Ok(last - count + 1)
}
