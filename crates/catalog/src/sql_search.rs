//! Reads that are stopped when they take too long: what they cost is in the hands of the client that
//! wrote the filter.

use crate::Error;
use crate::sql::{Db, Dialect, Query, Row};
use sea_query_sqlx::SqlxBinder;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Postgres, Sqlite, Transaction, query_with};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Steps of SQLite's virtual machine between two looks at whether to stop: some tens of microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 5_000;

/// Statements that share one connection and one limit of time.
#[derive(Debug)]
pub(crate) struct Search {
    operation: &'static str,
    connection: Connection,
}

#[derive(Debug)]
enum Connection {
    Sqlite(Stoppable),
    Postgres(Transaction<'static, Postgres>),
}

/// A connection whose running statement stops when this is dropped before [`Stoppable::release`].
#[derive(Debug)]
struct Stoppable {
    connection: Option<PoolConnection<Sqlite>>,
    is_abandoned: Arc<AtomicBool>,
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            self.is_abandoned.store(true, Ordering::Relaxed);
            // It may still be busy for a moment; the pool opens another one.
            connection.close_on_drop();
        }
    }
}

impl Stoppable {
    async fn new(mut connection: PoolConnection<Sqlite>) -> Result<Self, sqlx::Error> {
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let looked_at = Arc::clone(&is_abandoned);
        connection
            .lock_handle()
            .await?
            .set_progress_handler(STEPS_BETWEEN_LOOKS, move || {
                !looked_at.load(Ordering::Relaxed)
            });
        Ok(Self {
            connection: Some(connection),
            is_abandoned,
        })
    }

    async fn release(mut self) -> Result<(), sqlx::Error> {
        if let Some(mut connection) = self.connection.take() {
            connection.lock_handle().await?.remove_progress_handler();
        }
        Ok(())
    }
}

/// Does the work of a search; [`Error::TooSlow`] if it takes longer than `limit`. What runs in the
/// database then stops.
pub(crate) async fn within<T>(
    operation: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done.map_err(|error| name_cancellation(operation, limit, error)),
        Err(_) => Err(Error::TooSlow { operation, limit }),
    }
}

/// PostgreSQL may be the first to notice (SQLSTATE 57014, `query_canceled`).
fn name_cancellation(operation: &'static str, limit: Duration, error: Error) -> Error {
    let is_cancelled = matches!(
        &error,
        Error::Database { source: sqlx::Error::Database(source), .. }
            if source.code().is_some_and(|code| code == "57014")
    );
    if is_cancelled {
        return Error::TooSlow { operation, limit };
    }
    error
}

impl Db {
    /// A connection for the statements of one search, see [`within`].
    pub(crate) async fn begin_search(
        &self,
        operation: &'static str,
        limit: Duration,
    ) -> Result<Search, Error> {
        let connection = match self {
            Self::Sqlite { readers, .. } => {
                let connection = readers
                    .acquire()
                    .await
                    .map_err(Error::database(operation))?;
                let stoppable = Stoppable::new(connection).await;
                Connection::Sqlite(stoppable.map_err(Error::database(operation))?)
            }
            Self::Postgres(pool) => {
                let mut tx = pool.begin().await.map_err(Error::database(operation))?;
                // The server has to know the limit itself: it does not see that nobody waits any more.
                let limit_ms = limit.as_millis().max(1).to_string();
                sqlx::query("SELECT set_config('statement_timeout', $1, true)")
                    .bind(limit_ms)
                    .execute(&mut *tx)
                    .await
                    .map_err(Error::database(operation))?;
                Connection::Postgres(tx)
            }
        };
        Ok(Search {
            operation,
            connection,
        })
    }
}

impl Search {
    pub(crate) fn dialect(&self) -> Dialect {
        match self.connection {
            Connection::Sqlite(_) => Dialect::Sqlite,
            Connection::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs a statement that changes nothing.
    pub(crate) fn fetch(
        &mut self,
        statement: &impl SqlxBinder,
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send {
        let query = Query::build(self.operation, self.dialect(), statement);
        async move {
            let (sql, values, is_kept_prepared) = query?.into_parts();
            let sql = AssertSqlSafe(sql);
            match &mut self.connection {
                Connection::Sqlite(stoppable) => {
                    let connection = stoppable
                        .connection
                        .as_mut()
                        .expect("taken only by release, which consumes it");
                    query_with(sql, values)
                        .persistent(is_kept_prepared)
                        .fetch_all(&mut **connection)
                        .await
                        .map(|rows| rows.into_iter().map(Row::Sqlite).collect())
                }
                Connection::Postgres(tx) => query_with(sql, values)
                    .persistent(is_kept_prepared)
                    .fetch_all(&mut **tx)
                    .await
                    .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
            }
            .map_err(Error::database(self.operation))
        }
    }

    /// Gives the connection back.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        match self.connection {
            Connection::Sqlite(stoppable) => stoppable.release().await,
            Connection::Postgres(tx) => tx.rollback().await,
        }
        .map_err(Error::database(self.operation))
    }
}
