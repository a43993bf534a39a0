//! Searches in the order of time, page by page: each page goes on behind the last document of the one
//! before, so documents that are written meanwhile shift nothing.

use crate::channels::only;
use crate::meta::{Filter, among, is_among};
use crate::meta_candidates::few_candidates;
use crate::meta_filter::condition;
use crate::meta_pages::{DocumentPage, Place, load, with_size};
use crate::sql::{Dialect, Row};
use crate::sql_search::Search;
use crate::{Catalog, Error, Order};
use framewell_model::{ChannelId, WallTime};
use sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use std::collections::HashMap;

/// Which documents are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Of these channels.
    pub channels: &'a [ChannelId],
    /// That match.
    pub filter: &'a Filter,
    /// At or after.
    pub start: Option<WallTime>,
    /// Before.
    pub end: Option<WallTime>,
}

/// A place in the order of time. Documents of one instant are ordered by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// The moment of the document.
    pub timestamp: WallTime,
    /// Its row number, which stays for as long as it exists.
    pub number: i64,
}

/// A page of documents in the order of time.
#[derive(Debug, Clone, Copy)]
pub struct DocumentSearch<'a> {
    /// Which ones.
    pub scope: Scope<'a>,
    /// Oldest first, or newest first.
    pub order: Order,
    /// The last one that the caller has, if it goes on.
    pub after: Option<Moment>,
    /// Most documents.
    pub limit: u64,
}

/// From so many channels on, walking all documents by time may be better than one channel after another.
const WIDE_CHANNELS: usize = 5;
/// It is, if the search is about at least one in so many of all channels.
const WIDE_SHARE: usize = 8;

impl Catalog {
    /// One page of a search: as many as were asked for, or as fit into the bytes of a page. Errors as of
    /// [`Catalog::find_documents`].
    pub async fn search_documents(
        &self,
        query: &DocumentSearch<'_>,
    ) -> Result<DocumentPage<Moment>, Error> {
        self.search("search for documents", async |search| {
            let mut page = with_size(query.scope.select(search).await?)
                .column(("meta_document", "timestamp_us"))
                .take();
            let timestamp = || Expr::col(("meta_document", "timestamp_us"));
            let number = || Expr::col(("meta_document", "number"));
            if let Some(Moment {
                timestamp: at,
                number: last,
            }) = query.after
            {
                let at = at.micros();
                // The first part bounds the walk in the index, the second one is exact.
                let (bound, behind) = match query.order {
                    Order::Ascending => (
                        timestamp().gte(at),
                        timestamp().gt(at).or(number().gt(last)),
                    ),
                    Order::Descending => (
                        timestamp().lte(at),
                        timestamp().lt(at).or(number().lt(last)),
                    ),
                };
                page.and_where(bound).and_where(behind);
            }
            let order = sea_query::Order::from(query.order);
            page.order_by(("meta_document", "timestamp_us"), order.clone())
                .order_by(("meta_document", "number"), order)
                // One more says whether there is a next page.
                .limit(query.limit.saturating_add(1));
            let rows = search.fetch(&page).await?;
            let mut places: Vec<_> = rows.iter().map(placed).collect::<Result<_, _>>()?;
            let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
            let is_more = places.len() > limit;
            places.truncate(limit);
            load(search, places, is_more, self.most_document_bytes()).await
        })
        .await
    }

    /// How many documents there are.
    pub async fn count_documents(&self, scope: Scope<'_>) -> Result<i64, Error> {
        self.search("count of documents", async |search| {
            let matching = scope.select(search).await?;
            only(&search.fetch(&crate::slice::count(&matching)).await?)?.get("total")
        })
        .await
    }

    /// Documents by row number, those that are still in scope, in the order of the numbers; those that do
    /// not fit into the bytes of a page are left out.
    pub async fn documents_by_number(
        &self,
        scope: Scope<'_>,
        numbers: &[i64],
    ) -> Result<DocumentPage<i64>, Error> {
        let rank: HashMap<i64, usize> = numbers.iter().copied().zip(0..).collect();
        self.search("load of documents", async |search| {
            let dialect = search.dialect();
            let number = Expr::col(("meta_document", "number"));
            let select = with_size(scope.plain(dialect)?)
                .and_where(dialect.is_one_of(number, numbers))
                .take();
            let rows = search.fetch(&select).await?;
            let place = |row| Place::read(row, row.get("number")?);
            let mut places: Vec<_> = rows.iter().map(place).collect::<Result<_, _>>()?;
            places.sort_unstable_by_key(|place| rank.get(&place.number));
            load(search, places, false, self.most_document_bytes()).await
        })
        .await
    }
}

fn placed(row: &Row) -> Result<Place<Moment>, Error> {
    let moment = Moment {
        timestamp: WallTime::from_micros(row.get("timestamp_us")?),
        number: row.get("number")?,
    };
    Place::read(row, moment)
}

impl Scope<'_> {
    /// The documents in scope; no columns yet.
    pub(crate) async fn select(&self, search: &mut Search) -> Result<SelectStatement, Error> {
        let dialect = search.dialect();
        // Errors of the filter before any work.
        let is_match = condition(self.filter, dialect)?;
        let few = few_candidates(search, self.channels, self.filter).await?;
        let is_wide = dialect == Dialect::Sqlite && few.is_none() && self.is_wide(search).await?;
        let select = if is_wide {
            let ids: Vec<i64> = self.channels.iter().map(|channel| channel.get()).collect();
            // The sign keeps SQLite from going channel by channel, which would sort all documents.
            let channel = Expr::cust("+meta_document.channel");
            Query::select()
                .from("meta_document")
                .and_where(dialect.is_one_of(channel, &ids))
                .take()
        } else {
            among(self.channels, dialect)
        };
        Ok(self
            .within_time(select)
            .and_where_option(few)
            .and_where(is_match)
            .take())
    }

    /// The same, without a look at which values are rare.
    pub(crate) fn plain(&self, dialect: Dialect) -> Result<SelectStatement, Error> {
        let select = Query::select()
            .from("meta_document")
            .and_where(is_among(self.channels, dialect))
            .and_where(condition(self.filter, dialect)?)
            .take();
        Ok(self.within_time(select))
    }

    fn within_time(&self, mut select: SelectStatement) -> SelectStatement {
        let timestamp = || Expr::col(("meta_document", "timestamp_us"));
        select
            .and_where_option(self.start.map(|start| timestamp().gte(start.micros())))
            .and_where_option(self.end.map(|end| timestamp().lt(end.micros())))
            .take()
    }

    async fn is_wide(&self, search: &mut Search) -> Result<bool, Error> {
        if self.channels.len() < WIDE_CHANNELS {
            return Ok(false);
        }
        let count = Query::select()
            .expr_as(Expr::cust("COUNT(*)"), "total")
            .from("channel")
            .take();
        let total: i64 = only(&search.fetch(&count).await?)?.get("total")?;
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        Ok(self.channels.len().saturating_mul(WIDE_SHARE) >= total)
    }
}
