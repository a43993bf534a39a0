//! Finding documents by a rare value.
//!
//! A search walks the documents of its channels by time and looks at the fields of each. That is right
//! for a stretch of time, and slow for "the notes about clip 7" in years of documents. The planner of
//! SQLite cannot know which values are rare, so the search asks first: it reads a few documents that
//! have a value which the filter demands, and if there are no more, it looks at no others.

use crate::Error;
use crate::meta::{Field, Filter, ObjectField, Test, Value};
use crate::meta_filter::text_key;
use crate::sql::Dialect;
use crate::sql_search::Search;
use framewell_model::ChannelId;
use sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use std::collections::BTreeSet;

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
    demands(filter, dialect, &mut demanded);
    let channels: Vec<i64> = channels.iter().map(|channel| channel.get()).collect();
    for demand in demanded.into_iter().take(MOST_TRIES) {
        let select = demand
            .select(dialect, &channels)
            .limit(MOST_CANDIDATES as u64 + 1)
            .take();
        let rows = search.fetch(&select).await?;
        if rows.len() <= MOST_CANDIDATES {
            // A document may have the value in several objects.
            let numbers = rows
                .iter()
                .map(|row| row.get("document"))
                .collect::<Result<BTreeSet<i64>, _>>()?;
            let numbers: Vec<i64> = numbers.into_iter().collect();
            let number = Expr::col(("meta_document", "number"));
            return Ok(Some(dialect.is_one_of(number, &numbers)));
        }
    }
    Ok(None)
}

/// What every match has.
enum Demand {
    /// A row of this table that meets this.
    Row(&'static str, Expr),
    /// Words; they are stored without a channel.
    Words(Box<SelectStatement>),
}

impl Demand {
    /// The numbers of the documents that have it.
    fn select(self, dialect: Dialect, channels: &[i64]) -> SelectStatement {
        match self {
            Self::Words(select) => *select,
            Self::Row(table, has_value) => Query::select()
                .column("document")
                .from(table)
                .and_where(dialect.is_one_of(Expr::col("channel"), channels))
                .and_where(has_value)
                .take(),
        }
    }
}

fn demands(filter: &Filter, dialect: Dialect, found: &mut Vec<Demand>) {
    let field = |name: &String, value: Expr| {
        Demand::Row("meta_field", Expr::col("name").eq(name.as_str()).and(value))
    };
    match filter {
        Filter::And(all) => all
            .iter()
            .for_each(|filter| demands(filter, dialect, found)),
        Filter::Leaf(Field::Long(name), Test::Eq(Value::Long(value))) => {
            found.push(field(name, Expr::col("long_value").eq(*value)));
        }
        Filter::Leaf(Field::String(name), Test::Eq(Value::Text(text))) => {
            found.push(field(name, Expr::col("text_key").eq(text_key(text))));
        }
        Filter::Leaf(Field::Object(field), test) => found.extend(object_demand(*field, test)),
        Filter::Object(tests) => {
            found.extend(tests.iter().filter_map(|(f, test)| object_demand(*f, test)));
        }
        Filter::Text(query) => found.push(Demand::Words(Box::new(query.rows(dialect)))),
        Filter::Or(_) | Filter::Not(_) | Filter::Leaf(..) => {}
    }
}

fn object_demand(field: ObjectField, test: &Test) -> Option<Demand> {
    let Test::Eq(Value::Text(text)) = test else {
        return None;
    };
    let column = match field {
        ObjectField::Label => "label",
        ObjectField::Track => "track",
        ObjectField::Score | ObjectField::Region => return None,
    };
    Some(Demand::Row(
        "meta_object",
        Expr::col(column).eq(text.as_str()),
    ))
}
