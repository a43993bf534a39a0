//! Finding documents by a rare value.
//!
//! A search walks the documents of its channels by time and looks at the fields of each. That is right
//! for a stretch of time, and slow for "the notes about clip 7" in years of documents. The planner of
//! SQLite cannot know which values are rare, so the search asks first: it reads a few documents that
//! have a value which the filter demands, and if there are no more, it looks at no others.

use crate::Error;
use crate::meta::{Field, Filter, Test, Value};
use crate::meta_filter::text_key;
use crate::sql_search::Search;
use framewell_model::ChannelId;
use sea_query::{Expr, ExprTrait as _, Query};

/// A value that more documents have is not rare.
const MOST_CANDIDATES: usize = 1_000;

/// Most values that are tried; each costs a short search in an index.
const MOST_TRIES: usize = 4;

/// A condition that the filter implies and that few documents meet; `None` if there is none.
pub(crate) async fn few_candidates(
    search: &mut Search,
    channels: &[ChannelId],
    filter: &Filter,
) -> Result<Option<Expr>, Error> {
    let dialect = search.dialect();
    let mut demanded = Vec::new();
    demands(filter, &mut demanded);
    let channels: Vec<i64> = channels.iter().map(|channel| channel.get()).collect();
    for (name, has_value) in demanded.into_iter().take(MOST_TRIES) {
        let select = Query::select()
            .column("document")
            .from("meta_field")
            .and_where(dialect.is_one_of(Expr::col("channel"), &channels))
            .and_where(Expr::col("name").eq(name))
            .and_where(has_value)
            .limit(MOST_CANDIDATES as u64 + 1)
            .take();
        let rows = search.fetch(&select).await?;
        if rows.len() <= MOST_CANDIDATES {
            let numbers = rows
                .iter()
                .map(|row| row.get("document"))
                .collect::<Result<Vec<i64>, _>>()?;
            let number = Expr::col(("meta_document", "number"));
            return Ok(Some(dialect.is_one_of(number, &numbers)));
        }
    }
    Ok(None)
}

/// Values that every match has, with the names of their fields.
fn demands<'a>(filter: &'a Filter, found: &mut Vec<(&'a str, Expr)>) {
    match filter {
        Filter::And(all) => all.iter().for_each(|filter| demands(filter, found)),
        Filter::Leaf(Field::Long(name), Test::Eq(Value::Long(value))) => {
            found.push((name, Expr::col("long_value").eq(*value)));
        }
        Filter::Leaf(Field::String(name), Test::Eq(Value::Text(text))) => {
            found.push((name, Expr::col("text_key").eq(text_key(text))));
        }
        Filter::Or(_) | Filter::Not(_) | Filter::Leaf(..) => {}
    }
}
