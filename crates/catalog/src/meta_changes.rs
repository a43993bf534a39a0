//! Documents in the order in which they became visible: what subscribers read.

use crate::bulk::{Kind, Rows, Target};
use crate::meta::Filter;
use crate::meta_filter::condition;
use crate::meta_pages::{DocumentPage, Place, load, with_size};
use crate::revision::{Counter, take};
use crate::sql::Tx;
use crate::{Catalog, Error, Revisions};
use framewell_model::ChannelId;
use sea_query::{Expr, ExprTrait as _, Order, Query};

impl Catalog {
    /// Documents of these channels that match, oldest revision first, each with its revision: `most`, or as
    /// many as fit into the bytes of a page. A document that was changed has a new revision and no longer its old one; one that was deleted has none.
    pub async fn documents_after(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
        revisions: Revisions,
        most: u64,
    ) -> Result<DocumentPage<i64>, Error> {
        let is_match = condition(filter, self.dialect())?;
        let ids: Vec<i64> = channels.iter().map(|channel| channel.get()).collect();
        let is_among = self
            .dialect()
            .is_one_of(Expr::col(("meta_change", "channel")), &ids);
        self.changes_where(is_among.and(is_match), revisions, most)
            .await
    }

    /// As [`Catalog::documents_after`], all documents of all channels.
    pub async fn all_documents_after(
        &self,
        revisions: Revisions,
        most: u64,
    ) -> Result<DocumentPage<i64>, Error> {
        self.changes_where(Expr::cust("1 = 1"), revisions, most)
            .await
    }

    /// [`Error::Invalid`] for a filter that no search takes: a value that is not of its field's type, or
    /// absurd size.
    pub fn check_filter(&self, filter: &Filter) -> Result<(), Error> {
        condition(filter, self.dialect()).map(drop)
    }

    async fn changes_where(
        &self,
        is_wanted: Expr,
        revisions: Revisions,
        most: u64,
    ) -> Result<DocumentPage<i64>, Error> {
        let change = |column| Expr::col(("meta_change", column));
        let page = with_size(Query::select().from("meta_document").take())
            .column(("meta_change", "revision"))
            .inner_join(
                "meta_change",
                change("document").equals(("meta_document", "number")),
            )
            .and_where(change("revision").gt(revisions.after))
            .and_where(change("revision").lte(revisions.until))
            .and_where(is_wanted)
            .order_by(("meta_change", "revision"), Order::Asc)
            .limit(most)
            .take();
        self.search("search for new documents", async |search| {
            let rows = search.fetch(&page).await?;
            let place = |row| Place::read(row, row.get("revision")?);
            let places: Vec<_> = rows.iter().map(place).collect::<Result<_, _>>()?;
            let is_full = u64::try_from(places.len()).is_ok_and(|found| found >= most);
            load(search, places, is_full, self.most_document_bytes()).await
        })
        .await
    }

    /// The newest revision that any document has or had; 0 if there was none.
    pub async fn newest_document_revision(&self) -> Result<i64, Error> {
        self.newest_revision(Counter::Document).await
    }
}

/// Gives rows of `meta_document` new revisions, in this order; the last of them. Must be the last thing
/// in its transaction, see [`take`].
pub(crate) async fn renew(tx: &mut Tx, documents: &[(i64, ChannelId)]) -> Result<i64, Error> {
    let count = i64::try_from(documents.len()).unwrap_or(i64::MAX);
    let first = take(tx, Counter::Document, count).await?;
    let mut changes = Rows::new(CHANGES);
    for (revision, (document, channel)) in (first..).zip(documents) {
        changes.push([revision.into(), (*document).into(), channel.get().into()]);
    }
    tx.insert(&changes).await?;
    Ok(first + count - 1)
}

const CHANGES: Target = Target {
    table: "meta_change",
    columns: &[
        ("revision", Kind::Number),
        ("document", Kind::Number),
        ("channel", Kind::Number),
    ],
    tail: "ON CONFLICT (document) DO UPDATE SET revision = excluded.revision",
};
