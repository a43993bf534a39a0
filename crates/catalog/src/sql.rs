//! Running built statements on either database. The rest of the crate builds with sea-query and never
//! asks which database it is, apart from the few functions of [`Dialect`].

use crate::Error;
use crate::bulk::Rows;
use sea_query::{Expr, PostgresQueryBuilder, SelectStatement, SqliteQueryBuilder, Value};
use sea_query_sqlx::{SqlxBinder, SqlxValues};
use sqlx::Connection as _;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{
    AssertSqlSafe, ColumnIndex, Decode, Postgres, Row as _, Sqlite, Transaction, Type, query_with,
};

/// Which SQL to write, where the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Longest list that is bound value by value; longer ones travel as one JSON text, since SQLite takes
/// 32,766 parameters and PostgreSQL 65,535.
const MOST_BOUND_VALUES: usize = 200;

impl Dialect {
    /// Whether a text contains another, byte for byte.
    pub(crate) fn contains(self, text: Expr, part: impl Into<Value>) -> Expr {
        let exprs = [text, Expr::val(part)];
        match self {
            Self::Sqlite => Expr::cust_with_exprs("instr(?, ?) > 0", exprs),
            Self::Postgres => Expr::cust_with_exprs("strpos($1, $2) > 0", exprs),
        }
    }

    /// Whether a statement finds any row, of which there may be several.
    ///
    /// SQLite 3.51.3 turns EXISTS into a join that ends at its first row, and forgets to end it where an
    /// OFFSET skips that row; a LIMIT keeps it from doing so.
    pub(crate) fn exists(self, mut rows: SelectStatement) -> Expr {
        if self == Self::Sqlite {
            rows.limit(1);
        }
        Expr::exists(rows)
    }

    /// Whether a number is one of a list, which may be long or empty.
    pub(crate) fn is_one_of(self, expr: Expr, numbers: &[i64]) -> Expr {
        use sea_query::ExprTrait as _;
        if numbers.len() <= MOST_BOUND_VALUES {
            return expr.is_in(numbers.iter().copied());
        }
        let list = Expr::val(serde_json::Value::from(numbers).to_string());
        match self {
            Self::Sqlite => {
                Expr::cust_with_exprs("? IN (SELECT value FROM json_each(?))", [expr, list])
            }
            Self::Postgres => Expr::cust_with_exprs(
                "$1 IN (SELECT value::bigint FROM json_array_elements_text($2::json))",
                [expr, list],
            ),
        }
    }
}

/// Most values of a statement that connections keep prepared. Longer ones insert many rows or list many
/// ids; they differ from call to call, and a hundred of them would hold much memory.
const MOST_VALUES_PREPARED: usize = 64;

/// A statement with its values, ready to run.
#[derive(Debug)]
pub(crate) struct Query {
    operation: &'static str,
    sql: String,
    values: SqlxValues,
    is_kept_prepared: bool,
}

impl Query {
    pub(crate) fn build(
        operation: &'static str,
        dialect: Dialect,
        statement: &impl SqlxBinder,
    ) -> Result<Self, Error> {
        let (sql, values) = match dialect {
            Dialect::Sqlite => statement.build_sqlx(SqliteQueryBuilder),
            Dialect::Postgres => statement.build_sqlx(PostgresQueryBuilder),
        };
        refuse_nul(&values)?;
        let is_kept_prepared = values.0.0.len() <= MOST_VALUES_PREPARED;
        Ok(Self {
            operation,
            sql,
            values,
            is_kept_prepared,
        })
    }

    /// Text, values, and whether the connection keeps it prepared.
    pub(crate) fn into_parts(self) -> (String, SqlxValues, bool) {
        (self.sql, self.values, self.is_kept_prepared)
    }
}

/// PostgreSQL cannot store U+0000 in a text (its manual, section 8.3); neither do we on SQLite.
fn refuse_nul(values: &SqlxValues) -> Result<(), Error> {
    let has_nul = values
        .0
        .iter()
        .any(|value| matches!(value, Value::String(Some(text)) if text.contains('\0')));
    if has_nul {
        return Err(Error::Invalid("a text contains the character NUL".into()));
    }
    Ok(())
}

/// The connections.
#[derive(Debug)]
pub(crate) enum Db {
    /// One connection writes, others read beside it (WAL).
    Sqlite {
        readers: SqlitePool,
        writer: SqlitePool,
    },
    Postgres(PgPool),
}

impl Db {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                // The writer last: the connection that closes last folds the journal into the file.
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    pub(crate) async fn fetch(&self, query: Query) -> Result<Vec<Row>, Error> {
        let sql = AssertSqlSafe(query.sql);
        match self {
            Self::Sqlite { readers, .. } => query_with(sql, query.values)
                .persistent(query.is_kept_prepared)
                .fetch_all(readers)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Self::Postgres(pool) => query_with(sql, query.values)
                .persistent(query.is_kept_prepared)
                .fetch_all(pool)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        }
        .map_err(Error::database(query.operation))
    }

    pub(crate) async fn begin(&self, operation: &'static str) -> Result<Tx, Error> {
        let connection = match self {
            // Taking the write lock at once: a transaction that reads first and writes later can fail
            // with SQLITE_BUSY however long it waits.
            Self::Sqlite { writer, .. } => begin_to_write(writer).await.map(TxConnection::Sqlite),
            Self::Postgres(pool) => pool.begin().await.map(TxConnection::Postgres),
        }
        .map_err(Error::database(operation))?;
        Ok(Tx {
            operation,
            connection,
        })
    }
}

/// SQLite rolls a transaction back by itself when the disk is full, of which the driver learns nothing: it
/// takes the connection for one inside a transaction, and begins none on it any more. Such a connection is
/// replaced.
async fn begin_to_write(writer: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    const BEGIN: &str = "BEGIN IMMEDIATE";
    match writer.begin_with(BEGIN).await {
        Err(sqlx::Error::InvalidSavePointStatement) => {
            let stuck = writer.acquire().await?.detach();
            // It cannot fold the journal into the file while the disk is full, and says so.
            let _closed = stuck.close().await;
            writer.begin_with(BEGIN).await
        }
        begun => begun,
    }
}

/// A transaction.
#[derive(Debug)]
pub(crate) struct Tx {
    operation: &'static str,
    connection: TxConnection,
}

#[derive(Debug)]
enum TxConnection {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    pub(crate) fn dialect(&self) -> Dialect {
        match self.connection {
            TxConnection::Sqlite(_) => Dialect::Sqlite,
            TxConnection::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs a statement and collects what it returns.
    pub(crate) fn fetch(
        &mut self,
        statement: &impl SqlxBinder,
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send {
        let query = Query::build(self.operation, self.dialect(), statement);
        async move {
            let Query {
                operation,
                sql,
                values,
                is_kept_prepared,
            } = query?;
            let sql = AssertSqlSafe(sql);
            match &mut self.connection {
                TxConnection::Sqlite(tx) => query_with(sql, values)
                    .persistent(is_kept_prepared)
                    .fetch_all(&mut **tx)
                    .await
                    .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
                TxConnection::Postgres(tx) => query_with(sql, values)
                    .persistent(is_kept_prepared)
                    .fetch_all(&mut **tx)
                    .await
                    .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
            }
            .map_err(Error::database(operation))
        }
    }

    /// Runs a statement; how many rows it changed.
    pub(crate) fn execute(
        &mut self,
        statement: &impl SqlxBinder,
    ) -> impl Future<Output = Result<u64, Error>> + Send {
        let query = Query::build(self.operation, self.dialect(), statement);
        async move {
            let Query {
                operation,
                sql,
                values,
                is_kept_prepared,
            } = query?;
            let sql = AssertSqlSafe(sql);
            match &mut self.connection {
                TxConnection::Sqlite(tx) => query_with(sql, values)
                    .persistent(is_kept_prepared)
                    .execute(&mut **tx)
                    .await
                    .map(|done| done.rows_affected()),
                TxConnection::Postgres(tx) => query_with(sql, values)
                    .persistent(is_kept_prepared)
                    .execute(&mut **tx)
                    .await
                    .map(|done| done.rows_affected()),
            }
            .map_err(Error::database(operation))
        }
    }

    /// Inserts rows; what the statements return.
    pub(crate) async fn insert(&mut self, rows: &Rows<'_>) -> Result<Vec<Row>, Error> {
        rows.refuse_nul()?;
        let mut returned = Vec::new();
        for part in rows.parts(self.dialect()) {
            match &mut self.connection {
                TxConnection::Sqlite(tx) => {
                    let (sql, values, is_kept_prepared) = part.sqlite()?;
                    let rows = query_with(AssertSqlSafe(sql), values)
                        .persistent(is_kept_prepared)
                        .fetch_all(&mut **tx)
                        .await
                        .map_err(Error::database(self.operation))?;
                    returned.extend(rows.into_iter().map(Row::Sqlite));
                }
                TxConnection::Postgres(tx) => {
                    let (sql, values) = part.postgres()?;
                    let rows = query_with(AssertSqlSafe(sql), values)
                        .fetch_all(&mut **tx)
                        .await
                        .map_err(Error::database(self.operation))?;
                    returned.extend(rows.into_iter().map(Row::Postgres));
                }
            }
        }
        Ok(returned)
    }

    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self.connection {
            TxConnection::Sqlite(tx) => tx.commit().await,
            TxConnection::Postgres(tx) => tx.commit().await,
        }
        .map_err(Error::database(self.operation))
    }
}

/// A row of either database.
#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A type that both databases can give.
pub(crate) trait Column:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl<T> Column for T where
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl Row {
    /// The value of a column.
    pub(crate) fn get<T: Column>(&self, column: &'static str) -> Result<T, Error>
    where
        &'static str: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|error| Error::corrupt(column, error))
    }

    /// The value of an id column; `new` is the constructor of the id type.
    pub(crate) fn id<T>(
        &self,
        column: &'static str,
        new: impl FnOnce(i64) -> Option<T>,
    ) -> Result<T, Error> {
        let number = self.get(column)?;
        new(number).ok_or_else(|| Error::corrupt(column, format!("{number} is no id")))
    }

    /// The value of a column that holds one of a few words.
    pub(crate) fn word<T>(
        &self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let word: String = self.get(column)?;
        parse(&word).ok_or_else(|| Error::corrupt(column, format!("{word:?} is not a known word")))
    }
}
