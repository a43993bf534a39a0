//! From a [`Filter`] to a condition in SQL. Every value is a bound parameter.
//!
//! Each test is two-valued: it says true or false of every document, never NULL. So `Not` is a plain NOT,
//! and a document that lacks a field is a document for which the test is false.

use crate::Error;
use crate::meta::{Field, Filter, ObjectField, Region, Sort, Test, Value};
use crate::meta_number::{Bound, Comparison, double_bound, integer_bound};
use crate::sql::Dialect;
use crate::text::words;
use sea_query::{Expr, ExprTrait as _, NullOrdering, Order, Query, SelectStatement};

/// Deepest nesting of a filter.
const MOST_DEPTH: usize = 32;

/// Most parts of a filter: tests, words, and what joins them. SQLite refuses expressions deeper than
/// 1,000, and `a AND b AND c` is three deep.
const MOST_PARTS: usize = 256;

/// Most values of one `In`; SQLite takes 32,766 parameters.
const MOST_VALUES: usize = 2_000;

/// Characters of a text that an index entry has.
const KEY_CHARACTERS: usize = 64;

/// The column `text_key` for a text.
pub(crate) fn text_key(text: &str) -> String {
    text.chars().take(KEY_CHARACTERS).collect()
}

/// The condition for a filter over rows of `meta_document`.
pub(crate) fn condition(filter: &Filter, dialect: Dialect) -> Result<Expr, Error> {
    let mut builder = Builder { dialect, parts: 0 };
    builder.filter(filter, 0)
}

/// Orders rows of `meta_document`; ties by id, then channel.
pub(crate) fn order(select: &mut SelectStatement, sort: &[Sort]) {
    for key in sort {
        let order = if key.is_descending {
            Order::Desc
        } else {
            Order::Asc
        };
        match place(&key.field) {
            // Never absent; without a word about NULLs the index by time serves the order.
            Place::Column { column, .. } if matches!(key.field, Field::Timestamp | Field::Id) => {
                select.order_by(("meta_document", column), order);
            }
            place => {
                select.order_by_expr_with_nulls(place.value(), order, NullOrdering::Last);
            }
        }
    }
    select.order_by(("meta_document", "id"), Order::Asc);
    // Two channels may have documents of one id.
    select.order_by(("meta_document", "channel"), Order::Asc);
}

/// What values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Time,
    Long,
    Float,
    Text,
    Region,
}

/// Where a field lies.
enum Place<'a> {
    /// A column of `meta_document`.
    Column {
        column: &'static str,
        words: Option<&'static str>,
        kind: Kind,
    },
    /// A row of `meta_field`.
    Row {
        word: &'static str,
        name: &'a str,
        kind: Kind,
    },
    /// A column of any row of `meta_object`.
    Object { column: &'static str, kind: Kind },
}

fn place(field: &Field) -> Place<'_> {
    let column = |column, words, kind| Place::Column {
        column,
        words,
        kind,
    };
    match field {
        Field::Timestamp => column("timestamp_us", None, Kind::Time),
        Field::Id => column("id", Some("id_words"), Kind::Text),
        Field::RawData => column("raw_data", Some("raw_words"), Kind::Text),
        Field::Frame => column("frame", None, Kind::Text),
        Field::ModelName => column("model_name", None, Kind::Text),
        Field::ModelVersion => column("model_version", None, Kind::Text),
        Field::Object(field) => object_place(*field),
        Field::Long(name) => Place::Row {
            word: "long",
            name,
            kind: Kind::Long,
        },
        Field::Float(name) => Place::Row {
            word: "float",
            name,
            kind: Kind::Float,
        },
        Field::String(name) => Place::Row {
            word: "string",
            name,
            kind: Kind::Text,
        },
    }
}

fn object_place(field: ObjectField) -> Place<'static> {
    let (column, kind) = match field {
        ObjectField::Label => ("label", Kind::Text),
        ObjectField::Score => ("score", Kind::Float),
        ObjectField::Track => ("track", Kind::Text),
        // All four edges are there, or none.
        ObjectField::Region => ("min_x", Kind::Region),
    };
    Place::Object { column, kind }
}

impl Place<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Column { kind, .. } | Self::Row { kind, .. } | Self::Object { kind, .. } => *kind,
        }
    }

    /// The column with the value, in its table.
    fn column(&self) -> Expr {
        match self {
            Self::Column { column, .. } => Expr::col(("meta_document", *column)),
            Self::Row { kind, .. } => Expr::col((
                "meta_field",
                match kind {
                    Kind::Time | Kind::Long => "long_value",
                    Kind::Float => "float_value",
                    Kind::Text | Kind::Region => "text_value",
                },
            )),
            Self::Object { column, .. } => Expr::col(("meta_object", *column)),
        }
    }

    /// The column with the words of a text; `None` where none are stored.
    fn words(&self) -> Option<Expr> {
        match self {
            Self::Column { words, .. } => words.map(|words| Expr::col(("meta_document", words))),
            Self::Row { kind, .. } => {
                (*kind == Kind::Text).then(|| Expr::col(("meta_field", "words")))
            }
            Self::Object { .. } => None,
        }
    }

    /// The row of `meta_field` for the document of the outer statement.
    fn row(word: &'static str, name: &str) -> SelectStatement {
        let field = |column| Expr::col(("meta_field", column));
        Query::select()
            .from("meta_field")
            .and_where(field("document").equals(("meta_document", "number")))
            .and_where(field("kind").eq(word))
            .and_where(field("name").eq(name))
            .take()
    }

    /// The value, or NULL.
    fn value(&self) -> Expr {
        match self {
            Self::Column { .. } => self.column(),
            Self::Row { word, name, .. } => Self::row(word, name).expr(self.column()).take().into(),
            // Of several objects the largest value.
            Self::Object { .. } => objects().expr(self.column().max()).take().into(),
        }
    }

    /// Whether the document has the field, and a condition on its columns holds.
    fn holds(&self, condition: Expr, dialect: Dialect) -> Expr {
        match self {
            Self::Column { .. } => self.column().is_not_null().and(condition),
            Self::Row { word, name, .. } => {
                let row = Self::row(word, name)
                    .expr(Expr::cust("1"))
                    .and_where(condition)
                    .take();
                Expr::exists(row)
            }
            Self::Object { .. } => any_object(self.column().is_not_null().and(condition), dialect),
        }
    }
}

/// The rows of `meta_object` for the document of the outer statement.
fn objects() -> SelectStatement {
    let document = Expr::col(("meta_object", "document"));
    Query::select()
        .from("meta_object")
        .and_where(document.equals(("meta_document", "number")))
        .take()
}

/// Whether a condition holds of any object.
fn any_object(condition: Expr, dialect: Dialect) -> Expr {
    let row = objects().expr(Expr::cust("1")).and_where(condition).take();
    dialect.exists(row)
}

struct Builder {
    dialect: Dialect,
    parts: usize,
}

impl Builder {
    fn filter(&mut self, filter: &Filter, depth: usize) -> Result<Expr, Error> {
        self.count_part()?;
        if depth > MOST_DEPTH {
            let text = format!("the filter is nested deeper than {MOST_DEPTH} levels");
            return Err(Error::Invalid(text));
        }
        match filter {
            Filter::And(filters) => {
                self.join(filters, depth, truth(true), |left, right| left.and(right))
            }
            Filter::Or(filters) => {
                self.join(filters, depth, truth(false), |left, right| left.or(right))
            }
            Filter::Not(inner) => Ok(self.filter(inner, depth + 1)?.not()),
            Filter::Leaf(field, test) => self.leaf(&place(field), test),
            Filter::Object(tests) => self.object(tests),
            Filter::Text(query) => {
                self.count_parts(query.parts())?;
                Ok(query.condition(self.dialect))
            }
        }
    }

    fn join(
        &mut self,
        filters: &[Filter],
        depth: usize,
        empty: Expr,
        join: fn(Expr, Expr) -> Expr,
    ) -> Result<Expr, Error> {
        let mut joined = None;
        for filter in filters {
            let next = self.filter(filter, depth + 1)?;
            joined = Some(match joined {
                Some(before) => join(before, next),
                None => next,
            });
        }
        Ok(joined.unwrap_or(empty))
    }

    fn leaf(&mut self, place: &Place<'_>, test: &Test) -> Result<Expr, Error> {
        let holds = place.holds(self.test(place, test)?, self.dialect);
        Ok(if is_negative(test) {
            holds.not()
        } else {
            holds
        })
    }

    /// All tests on one object.
    fn object(&mut self, tests: &[(ObjectField, Test)]) -> Result<Expr, Error> {
        let mut all = truth(true);
        for (field, test) in tests {
            self.count_part()?;
            let place = object_place(*field);
            let holds = place.column().is_not_null().and(self.test(&place, test)?);
            all = all.and(if is_negative(test) {
                holds.not()
            } else {
                holds
            });
        }
        Ok(any_object(all, self.dialect))
    }

    /// What a test asks of the columns of its place, which are not NULL; for a negative test the opposite.
    fn test(&mut self, place: &Place<'_>, test: &Test) -> Result<Expr, Error> {
        Ok(match test {
            Test::Eq(value) | Test::Ne(value) => compare(place, Comparison::Eq, value)?,
            Test::Gt(value) => compare(place, Comparison::Gt, value)?,
            Test::Gte(value) => compare(place, Comparison::Gte, value)?,
            Test::Lt(value) => compare(place, Comparison::Lt, value)?,
            Test::Lte(value) => compare(place, Comparison::Lte, value)?,
            Test::In(values) => any_of(place, values)?,
            Test::WordsIn(texts) => self.has_words(place, texts)?,
            Test::Exists(_) => truth(true),
            Test::Intersects(region) => intersects(place, region)?,
        })
    }

    fn has_words(&mut self, place: &Place<'_>, texts: &[String]) -> Result<Expr, Error> {
        let Some(stored) = place.words() else {
            let text = "words can be looked for in texts only";
            return Err(Error::Invalid(text.into()));
        };
        let mut all = truth(true);
        for word in texts.iter().flat_map(|text| words(text)) {
            self.count_part()?;
            let has = self.dialect.contains(stored.clone(), format!(" {word} "));
            all = all.and(has);
        }
        Ok(all)
    }

    fn count_part(&mut self) -> Result<(), Error> {
        self.count_parts(1)
    }

    fn count_parts(&mut self, parts: usize) -> Result<(), Error> {
        self.parts = self.parts.saturating_add(parts);
        if self.parts > MOST_PARTS {
            let text = format!("the filter has more than {MOST_PARTS} parts");
            return Err(Error::Invalid(text));
        }
        Ok(())
    }
}

/// Whether a test holds where what it names does not.
const fn is_negative(test: &Test) -> bool {
    matches!(test, Test::Ne(_) | Test::Exists(false))
}

/// Whether a region, which is there, has a point in common with another one.
fn intersects(place: &Place<'_>, region: &Region) -> Result<Expr, Error> {
    if place.kind() != Kind::Region {
        let text = "only the region of objects intersects another one";
        return Err(Error::Invalid(text.into()));
    }
    let Region {
        min_x,
        min_y,
        max_x,
        max_y,
    } = *region;
    let edge = |column| Expr::col(("meta_object", column));
    Ok(edge("min_x")
        .lte(max_x)
        .and(edge("max_x").gte(min_x))
        .and(edge("min_y").lte(max_y))
        .and(edge("max_y").gte(min_y)))
}

fn truth(is_true: bool) -> Expr {
    Expr::cust(if is_true { "1 = 1" } else { "1 = 0" })
}

/// Whether a place's column, which is not NULL, has one of these values.
fn any_of(place: &Place<'_>, values: &[Value]) -> Result<Expr, Error> {
    if values.len() > MOST_VALUES {
        let text = format!("a list in the filter has more than {MOST_VALUES} values");
        return Err(Error::Invalid(text));
    }
    let mut wanted: Vec<sea_query::Value> = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    for value in values {
        match (place.kind(), equal(place.kind(), value)?) {
            (_, None) => {}
            (Kind::Text, Some(text)) => {
                if let Value::Text(text) = value {
                    keys.push(text_key(text));
                }
                wanted.push(text);
            }
            (_, Some(value)) => wanted.push(value),
        }
    }
    if wanted.is_empty() {
        return Ok(truth(false));
    }
    let is_wanted = place.column().is_in(wanted);
    Ok(match (place, place.kind()) {
        (Place::Row { .. }, Kind::Text) => key_column().is_in(keys).and(is_wanted),
        _ => is_wanted,
    })
}

/// The value of the column's own type that equals a value of the client; `None` if there is none.
fn equal(kind: Kind, value: &Value) -> Result<Option<sea_query::Value>, Error> {
    fn exact<T: Into<sea_query::Value>>(bound: Bound<T>) -> Option<sea_query::Value> {
        match bound {
            Bound::Test(_, value) => Some(value.into()),
            Bound::Always | Bound::Never => None,
        }
    }
    check_type(kind, value)?;
    Ok(match (kind, value) {
        (Kind::Long, Value::Float(value)) => exact(integer_bound(Comparison::Eq, *value)),
        (Kind::Float, Value::Long(value)) => exact(double_bound(Comparison::Eq, *value)),
        (_, Value::Long(value)) => Some((*value).into()),
        (_, Value::Float(value)) => Some((*value).into()),
        (_, Value::Text(text)) => Some(text.as_str().into()),
        (_, Value::Time(time)) => Some(time.micros().into()),
    })
}

fn check_type(kind: Kind, value: &Value) -> Result<(), Error> {
    let needed = match (kind, value) {
        (_, Value::Float(value)) if value.is_nan() => "a number",
        (Kind::Time, Value::Time(_))
        | (Kind::Long | Kind::Float, Value::Long(_) | Value::Float(_))
        | (Kind::Text, Value::Text(_)) => return Ok(()),
        (Kind::Time, _) => "a time",
        (Kind::Long | Kind::Float, _) => "a number",
        (Kind::Text, _) => "a text",
        (Kind::Region, _) => "intersects or exists",
    };
    Err(Error::Invalid(format!(
        "a filter compares with another type of value where it takes {needed}"
    )))
}

fn key_column() -> Expr {
    Expr::col(("meta_field", "text_key"))
}

/// The comparison of a place's column, which is not NULL, with a value.
fn compare(place: &Place<'_>, comparison: Comparison, value: &Value) -> Result<Expr, Error> {
    check_type(place.kind(), value)?;
    let column = place.column();
    Ok(match (place.kind(), value) {
        (Kind::Long, Value::Float(value)) => bound(column, integer_bound(comparison, *value)),
        (Kind::Float, Value::Long(value)) => bound(column, double_bound(comparison, *value)),
        (_, Value::Long(value)) => comparison.of(column, *value),
        (_, Value::Float(value)) => comparison.of(column, *value),
        (_, Value::Time(time)) => comparison.of(column, time.micros()),
        (_, Value::Text(text)) => {
            let whole = comparison.of(column, text.as_str());
            match (place, comparison) {
                // What the index has, then the rest.
                (Place::Row { .. }, Comparison::Eq) => key_column().eq(text_key(text)).and(whole),
                _ => whole,
            }
        }
    })
}

fn bound<T: Into<Expr>>(column: Expr, bound: Bound<T>) -> Expr {
    match bound {
        Bound::Test(comparison, value) => comparison.of(column, value),
        Bound::Always => truth(true),
        Bound::Never => truth(false),
    }
}
