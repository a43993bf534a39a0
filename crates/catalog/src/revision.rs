//! Numbers in the order in which rows become visible, see the migration of events.

use crate::channels::only;
use crate::sql::Tx;
use crate::{Catalog, Error};
use sea_query::{Expr, ExprTrait as _, Query};

/// Which revisions a follower asks for: those behind `after`, up to `until` and including it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revisions {
    /// The last one that the follower has seen.
    pub after: i64,
    /// The last one that it wants.
    pub until: i64,
}

impl Revisions {
    /// Most revisions that one question spans: a filter that matches little is answered in bounded steps.
    pub const SPAN: i64 = 10_000;

    /// Those behind `after`, of what there is up to `newest`, as far as one question spans.
    #[must_use]
    pub fn behind(after: i64, newest: i64) -> Self {
        let until = Ord::min(newest, after.saturating_add(Self::SPAN));
        Self { after, until }
    }
}

/// A counter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counter {
    Document,
    Event,
}

impl Counter {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
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

impl Catalog {
    /// The last number that was taken and is visible, and with it all smaller ones.
    pub(crate) async fn newest_revision(&self, counter: Counter) -> Result<i64, Error> {
        let select = Query::select()
            .column("value")
            .from("revision_counter")
            .and_where(Expr::col("name").eq(counter.name()))
            .take();
        only(&self.read("load of a counter", &select).await?)?.get("value")
    }
}
