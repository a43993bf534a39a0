//! Many rows by one statement whose text is always the same, so that connections keep it prepared.
//!
//! A list of values with thousands of parameters costs more to write and to read than its rows cost to
//! store. PostgreSQL is given one array for each column; SQLite, which has no arrays, a list of values of a
//! fixed length. Texts of statements are made of names in this crate only.

use crate::Error;
use crate::sql::Dialect;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, Encode, Postgres, Type};
use std::borrow::Cow;
use std::fmt::Write as _;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Real,
    Text,
    Bytes,
    /// Words with a space between each two; a `tsvector` on PostgreSQL.
    Words,
}

/// One value.
#[derive(Debug)]
pub(crate) enum Cell<'a> {
    Number(Option<i64>),
    Real(Option<f64>),
    Text(Option<Cow<'a, str>>),
    Bytes(Option<Cow<'a, [u8]>>),
}

macro_rules! cells {
    ($($from:ty => $variant:ident |$value:ident| $cell:expr;)*) => {$(
        impl<'a> From<$from> for Cell<'a> {
            fn from($value: $from) -> Self {
                Self::$variant($cell)
            }
        }
    )*};
}
cells! {
    i64 => Number |value| Some(value);
    Option<i64> => Number |value| value;
    Option<f64> => Real |value| value;
    &'a str => Text |value| Some(Cow::Borrowed(value));
    Option<&'a str> => Text |value| value.map(Cow::Borrowed);
    String => Text |value| Some(Cow::Owned(value));
    Option<String> => Text |value| value.map(Cow::Owned);
    &'a [u8] => Bytes |value| Some(Cow::Borrowed(value));
    Vec<u8> => Bytes |value| Some(Cow::Owned(value));
}

/// Where rows go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// What stands behind the rows: what to do about those that are there, what to return.
    pub(crate) tail: &'static str,
}

/// Rows to be inserted.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    target: Target,
    cells: Vec<Cell<'a>>,
}

/// Rows of one statement of SQLite: below its 32,766 parameters, and few enough to be kept prepared.
const SQLITE_ROWS: usize = 100;
/// Rows of one statement of PostgreSQL, which holds them in memory.
const POSTGRES_ROWS: usize = 8_192;
/// A shorter statement of SQLite is kept prepared if it has no more values: single documents.
const MOST_VALUES_PREPARED: usize = 64;

impl<'a> Rows<'a> {
    pub(crate) const fn new(target: Target) -> Self {
        Self {
            target,
            cells: Vec::new(),
        }
    }

    /// Adds a row, in the order of the columns.
    pub(crate) fn push<const N: usize>(&mut self, row: [Cell<'a>; N]) {
        debug_assert_eq!(N, self.target.columns.len());
        self.cells.extend(row);
    }

    /// PostgreSQL cannot store U+0000 in a text (its manual, section 8.3); neither do we on SQLite.
    pub(crate) fn refuse_nul(&self) -> Result<(), Error> {
        let has_nul =
            |cell: &Cell<'_>| matches!(cell, Cell::Text(Some(text)) if text.contains('\0'));
        if self.cells.iter().any(has_nul) {
            return Err(Error::Invalid("a text contains the character NUL".into()));
        }
        Ok(())
    }

    /// Some rows at once.
    pub(crate) fn parts(&self, dialect: Dialect) -> impl Iterator<Item = Part<'_>> {
        let rows = match dialect {
            Dialect::Sqlite => SQLITE_ROWS,
            Dialect::Postgres => POSTGRES_ROWS,
        };
        let width = self.target.columns.len();
        let part = move |cells| Part {
            target: self.target,
            cells,
        };
        self.cells.chunks(rows * width).map(part)
    }
}

/// The rows of one statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    target: Target,
    cells: &'a [Cell<'a>],
}

impl Part<'_> {
    fn head(&self) -> String {
        let names: Vec<_> = self.target.columns.iter().map(|(name, _)| *name).collect();
        format!("INSERT INTO {} ({})", self.target.table, names.join(", "))
    }

    /// Text and values for PostgreSQL.
    pub(crate) fn postgres(&self) -> Result<(String, PgArguments), Error> {
        let mut names = Vec::new();
        let mut values = Vec::new();
        let mut arrays = Vec::new();
        for (n, (name, kind)) in (1..).zip(self.target.columns) {
            names.push(*name);
            values.push(match kind {
                Kind::Words => format!("array_to_tsvector(string_to_array({name}, ' '))"),
                _ => (*name).to_owned(),
            });
            let element = match kind {
                Kind::Number => "bigint",
                Kind::Real => "double precision",
                Kind::Text | Kind::Words => "text",
                Kind::Bytes => "bytea",
            };
            arrays.push(format!("${n}::{element}[]"));
        }
        let sql = format!(
            "{} SELECT {} FROM UNNEST({}) AS given ({}) {}",
            self.head(),
            values.join(", "),
            arrays.join(", "),
            names.join(", "),
            self.target.tail
        );
        Ok((sql, self.arrays()?))
    }

    fn arrays(&self) -> Result<PgArguments, Error> {
        let mut arguments = PgArguments::default();
        let width = self.target.columns.len();
        for (n, (_, kind)) in self.target.columns.iter().enumerate() {
            let column = self.cells.iter().skip(n).step_by(width);
            match kind {
                Kind::Number => bind(&mut arguments, column.map(Cell::number).collect::<Vec<_>>()),
                Kind::Real => bind(&mut arguments, column.map(Cell::real).collect::<Vec<_>>()),
                Kind::Text | Kind::Words => {
                    bind(&mut arguments, column.map(Cell::text).collect::<Vec<_>>())
                }
                Kind::Bytes => bind(&mut arguments, column.map(Cell::bytes).collect::<Vec<_>>()),
            }?;
        }
        Ok(arguments)
    }

    /// Text and values for SQLite, and whether the connection keeps it prepared.
    pub(crate) fn sqlite(&self) -> Result<(String, SqliteArguments, bool), Error> {
        let width = self.target.columns.len();
        let rows = self.cells.len() / width;
        let row = format!("({})", vec!["?"; width].join(", "));
        let mut sql = self.head() + " VALUES ";
        for n in 0..rows {
            let comma = if n == 0 { "" } else { ", " };
            let _infallible = write!(sql, "{comma}{row}");
        }
        sql.push(' ');
        sql.push_str(self.target.tail);
        let mut arguments = SqliteArguments::default();
        for cell in self.cells {
            let added = match cell {
                Cell::Number(value) => arguments.add(*value),
                Cell::Real(value) => arguments.add(*value),
                Cell::Text(value) => arguments.add(value.as_deref()),
                Cell::Bytes(value) => arguments.add(value.as_deref()),
            };
            added.map_err(too_long)?;
        }
        let is_kept = rows == SQLITE_ROWS || self.cells.len() <= MOST_VALUES_PREPARED;
        Ok((sql, arguments, is_kept))
    }
}

impl Cell<'_> {
    const fn number(&self) -> Option<i64> {
        match self {
            Self::Number(value) => *value,
            _ => None,
        }
    }

    const fn real(&self) -> Option<f64> {
        match self {
            Self::Real(value) => *value,
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(value) => value.as_deref(),
            _ => None,
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(value) => value.as_deref(),
            _ => None,
        }
    }
}

fn bind<'q, T: Encode<'q, Postgres> + Type<Postgres>>(
    arguments: &mut PgArguments,
    column: T,
) -> Result<(), Error> {
    arguments.add(column).map_err(too_long)
}

/// What encoding says of what no protocol can carry.
fn too_long(error: sqlx::error::BoxDynError) -> Error {
    Error::Invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target = Target {
        table: "meta_text",
        columns: &[("document", Kind::Number), ("words", Kind::Words)],
        tail: "ON CONFLICT (document) DO NOTHING",
    };

    fn rows(count: i64) -> Rows<'static> {
        let mut rows = Rows::new(TARGET);
        for n in 0..count {
            rows.push([n.into(), "a b".into()]);
        }
        rows
    }

    #[test]
    fn the_text_for_postgres_does_not_depend_on_the_number_of_rows() {
        let text = |count| {
            let rows = rows(count);
            let part = rows.parts(Dialect::Postgres).next().unwrap();
            part.postgres().unwrap().0
        };
        assert_eq!(text(1), text(5_000));
        assert_eq!(
            text(1),
            "INSERT INTO meta_text (document, words) SELECT document, array_to_tsvector(string_to_array(words, ' ')) \
             FROM UNNEST($1::bigint[], $2::text[]) AS given (document, words) ON CONFLICT (document) DO NOTHING"
        );
    }

    #[test]
    fn sqlite_keeps_full_statements_and_short_ones() {
        let kept = |count| -> Vec<(usize, bool)> {
            let rows = rows(count);
            let told = |part: Part<'_>| {
                let (sql, arguments, is_kept) = part.sqlite().unwrap();
                assert_eq!(sql.matches('?').count(), arguments.len());
                (arguments.len(), is_kept)
            };
            rows.parts(Dialect::Sqlite).map(told).collect()
        };
        assert_eq!(kept(250), [(200, true), (200, true), (100, false)]);
        assert_eq!(kept(1), [(2, true)]);
        assert_eq!(kept(0), []);
    }

    #[test]
    fn nul_is_refused() {
        let mut rows = rows(1);
        assert!(rows.refuse_nul().is_ok());
        rows.push([1.into(), "a\0b".into()]);
        assert!(rows.refuse_nul().is_err());
    }
}
