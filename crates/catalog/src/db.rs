//! Connection, migrations, change notice.

use crate::sql::{Db, Dialect, Query, Row, Tx};
use crate::sql_search::{Search, within};
use crate::{Error, NewGap};
use framewell_model::Secret;
use sea_query_sqlx::SqlxBinder;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// How long a call waits for a free connection, and SQLite for another process's lock.
const WAIT: Duration = Duration::from_secs(10);

/// Longest search. Nobody waits longer for an answer, and SQLite has few readers.
const SEARCH_LIMIT: Duration = Duration::from_secs(10);

/// Gaps kept for a listener that is busy.
const MOST_GAP_NOTICES: usize = 1_024;

/// SQLite readers; more only compete for the same disk.
const MOST_SQLITE_READERS: u32 = 4;

/// Bytes of the tags of one page of events.
const MOST_TAG_BYTES: i64 = 32 << 20;
/// Most bytes of one page of documents.
const MOST_DOCUMENT_BYTES: i64 = 8 << 20;

/// Which database.
#[derive(Debug, Clone)]
pub struct CatalogConfig {
    /// `sqlite:PATH` (created if missing) or `postgres://…`.
    pub url: Secret<String>,
    /// Most open connections (PostgreSQL; SQLite has one writer and a few readers).
    pub max_connections: u32,
}

/// Handle to the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
    search_limit: Duration,
    /// Most bytes of the tags of one page of events.
    most_tag_bytes: i64,
    /// Most bytes of one page of documents.
    most_document_bytes: i64,
}

#[derive(Debug)]
struct Inner {
    db: Db,
    channel_changes: watch::Sender<u64>,
    job_changes: watch::Sender<u64>,
    webhook_changes: watch::Sender<u64>,
    rule_changes: watch::Sender<u64>,
    newest_event: watch::Sender<i64>,
    newest_document: watch::Sender<i64>,
    event_edits: AtomicU64,
    document_edits: AtomicU64,
    searches: AtomicU64,
    gaps: broadcast::Sender<NewGap>,
}

impl Catalog {
    /// Connects and migrates.
    pub async fn open(config: &CatalogConfig) -> Result<Self, Error> {
        let url = config.url.expose();
        let db = match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => open_sqlite(url).await?,
            Some("postgres" | "postgresql") => open_postgres(url, config.max_connections).await?,
            _ => {
                let text = "the database URL must begin with sqlite: or postgres:";
                return Err(Error::Invalid(text.into()));
            }
        };
        let inner = Inner {
            db,
            channel_changes: watch::Sender::new(0),
            rule_changes: watch::Sender::new(0),
            newest_event: watch::Sender::new(0),
            newest_document: watch::Sender::new(0),
            event_edits: AtomicU64::new(0),
            document_edits: AtomicU64::new(0),
            searches: AtomicU64::new(0),
            gaps: broadcast::Sender::new(MOST_GAP_NOTICES),
            job_changes: watch::Sender::new(0),
            webhook_changes: watch::Sender::new(0),
        };
        Ok(Self {
            inner: Arc::new(inner),
            search_limit: SEARCH_LIMIT,
            most_tag_bytes: MOST_TAG_BYTES,
            most_document_bytes: MOST_DOCUMENT_BYTES,
        })
    }

    /// The same catalog with another bound for the tags of one page of events (default 32 MiB), which are
    /// all in memory at once. A page that would have more is shorter; it has one event at least.
    #[must_use]
    pub fn with_most_tag_bytes(mut self, bytes: i64) -> Self {
        self.most_tag_bytes = bytes;
        self
    }

    /// The same catalog with another bound for the stored bytes of one page of documents (default 8 MiB). A
    /// page that would have more is shorter; it has one document at least.
    #[must_use]
    pub fn with_most_document_bytes(mut self, bytes: i64) -> Self {
        self.most_document_bytes = bytes;
        self
    }

    pub(crate) const fn most_document_bytes(&self) -> i64 {
        self.most_document_bytes
    }

    pub(crate) const fn most_tag_bytes(&self) -> i64 {
        self.most_tag_bytes
    }

    /// The same catalog with another limit for searches of documents and events (default 10 s). What
    /// takes longer is stopped, [`Error::TooSlow`].
    #[must_use]
    pub fn with_search_limit(mut self, limit: Duration) -> Self {
        self.search_limit = limit;
        self
    }

    /// Answers if the database does (`/readyz`).
    pub async fn ping(&self) -> Result<(), Error> {
        let one = sea_query::Query::select()
            .expr(sea_query::Expr::cust("1"))
            .take();
        self.read("ping", &one).await.map(drop)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.inner.db.close().await;
    }

    /// Moves whenever a channel is created, changed or deleted through this handle or a clone.
    #[must_use]
    pub fn channel_changes(&self) -> watch::Receiver<u64> {
        self.inner.channel_changes.subscribe()
    }

    /// To be called after the commit, so that whoever wakes sees the change.
    pub(crate) fn note_channel_change(&self) {
        self.inner.channel_changes.send_modify(|count| *count += 1);
    }

    /// Moves whenever a job is created, released, cancelled or deleted through this handle or a clone.
    /// Other processes on the same database are not heard: look now and then as well.
    #[must_use]
    pub fn job_changes(&self) -> watch::Receiver<u64> {
        self.inner.job_changes.subscribe()
    }

    /// To be called after the commit.
    pub(crate) fn note_job_change(&self) {
        self.inner.job_changes.send_modify(|count| *count += 1);
    }

    /// Moves whenever a client makes, changes or deletes a webhook through this handle or a clone.
    #[must_use]
    pub fn webhook_changes(&self) -> watch::Receiver<u64> {
        self.inner.webhook_changes.subscribe()
    }

    /// To be called after the commit.
    pub(crate) fn note_webhook_change(&self) {
        self.inner.webhook_changes.send_modify(|count| *count += 1);
    }

    /// Moves whenever a rule is created, changed or deleted through this handle or a clone.
    #[must_use]
    pub fn rule_changes(&self) -> watch::Receiver<u64> {
        self.inner.rule_changes.subscribe()
    }

    /// To be called after the commit.
    pub(crate) fn note_rule_change(&self) {
        self.inner.rule_changes.send_modify(|count| *count += 1);
    }

    /// Moves whenever an event is stored through this handle or a clone: to the event's revision. Other
    /// processes on the same database do not move it.
    #[must_use]
    pub fn event_changes(&self) -> watch::Receiver<i64> {
        self.inner.newest_event.subscribe()
    }

    /// To be called after the commit.
    pub(crate) fn note_event(&self, revision: i64) {
        self.inner
            .newest_event
            .send_modify(|newest| *newest = revision.max(*newest));
    }

    /// As [`Catalog::event_changes`], for documents.
    #[must_use]
    pub fn document_changes(&self) -> watch::Receiver<i64> {
        self.inner.newest_document.subscribe()
    }

    /// To be called after the commit.
    pub(crate) fn note_documents(&self, revision: i64) {
        self.inner
            .newest_document
            .send_modify(|newest| *newest = revision.max(*newest));
    }

    /// Grows whenever a stored event is changed or deleted by a client through this handle or a clone:
    /// whoever keeps events in memory reads them again then.
    #[must_use]
    pub fn event_edits(&self) -> u64 {
        self.inner.event_edits.load(Ordering::SeqCst)
    }

    /// To be called after the commit.
    pub(crate) fn note_event_edit(&self) {
        self.inner.event_edits.fetch_add(1, Ordering::SeqCst);
    }

    /// As [`Catalog::event_edits`], for documents that were deleted. A changed one has a new revision.
    #[must_use]
    pub fn document_edits(&self) -> u64 {
        self.inner.document_edits.load(Ordering::SeqCst)
    }

    /// To be called after the commit.
    pub(crate) fn note_document_edit(&self) {
        self.inner.document_edits.fetch_add(1, Ordering::SeqCst);
    }

    /// How many searches of events and documents were begun through this handle and its clones.
    #[must_use]
    pub fn searches(&self) -> u64 {
        self.inner.searches.load(Ordering::Relaxed)
    }

    /// Gaps that are recorded through this handle or a clone from now on. Who reads too slowly is told
    /// how many were missed.
    #[must_use]
    pub fn gap_notices(&self) -> broadcast::Receiver<NewGap> {
        self.inner.gaps.subscribe()
    }

    /// To be called after the commit.
    pub(crate) fn note_gap(&self, gap: NewGap) {
        // Without a listener there is nobody to tell.
        let _nobody = self.inner.gaps.send(gap);
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.inner.db.dialect()
    }

    /// Runs one statement that changes nothing.
    pub(crate) fn read(
        &self,
        operation: &'static str,
        statement: &impl SqlxBinder,
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send {
        let query = Query::build(operation, self.dialect(), statement);
        async move { self.inner.db.fetch(query?).await }
    }

    /// Runs one statement that changes something; how many rows.
    pub(crate) async fn execute(
        &self,
        operation: &'static str,
        statement: &(impl SqlxBinder + Sync),
    ) -> Result<u64, Error> {
        let mut tx = self.begin(operation).await?;
        let count = tx.execute(statement).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// Does the work of a search on one connection, within the limit of time.
    pub(crate) async fn search<T>(
        &self,
        operation: &'static str,
        work: impl AsyncFnOnce(&mut Search) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let limit = self.search_limit;
        self.inner.searches.fetch_add(1, Ordering::Relaxed);
        within(operation, limit, async {
            let mut search = self.inner.db.begin_search(operation, limit).await?;
            let found = work(&mut search).await?;
            search.finish().await?;
            Ok(found)
        })
        .await
    }

    /// Begins a transaction that will write. Dropped without [`Tx::commit`], it changes nothing.
    pub(crate) async fn begin(&self, operation: &'static str) -> Result<Tx, Error> {
        self.inner.db.begin(operation).await
    }
}

async fn open_sqlite(url: &str) -> Result<Db, Error> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        let text = "a database in memory cannot be shared by its connections, give a path";
        return Err(Error::Invalid(text.into()));
    }
    let options = SqliteConnectOptions::from_str(url)
        .map_err(Error::database("open"))?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // With WAL, a power cut may lose the last commits, but never damages the file; the recorder's
        // spool still has what those commits said.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(WAIT);
    create_private(options.get_filename())?;
    let pool = |most: u32, options: SqliteConnectOptions| {
        SqlitePoolOptions::new()
            .max_connections(most)
            .acquire_timeout(WAIT)
            .connect_with(options)
    };
    let writer: SqlitePool = pool(1, options.clone())
        .await
        .map_err(Error::database("open"))?;
    sqlx::migrate!("migrations/sqlite")
        .run(&writer)
        .await
        .map_err(Error::migration)?;
    let readers = pool(MOST_SQLITE_READERS, options.pragma("query_only", "on"))
        .await
        .map_err(Error::database("open"))?;
    Ok(Db::Sqlite { readers, writer })
}

/// Makes the file before SQLite does: it holds camera passwords, so nobody else may read it. The
/// journal files get the same mode from SQLite.
fn create_private(path: &Path) -> Result<(), Error> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| Error::database("open")(sqlx::Error::Io(error)))
}

async fn open_postgres(url: &str, max_connections: u32) -> Result<Db, Error> {
    let options = PgConnectOptions::from_str(url).map_err(Error::database("open"))?;
    let pool = PgPoolOptions::new()
        .max_connections(max_connections.max(1))
        .acquire_timeout(WAIT)
        .connect_with(options.clone())
        .await;
    let pool = match pool {
        Ok(pool) => pool,
        Err(error) => return Err(Error::database("open")(why_not(error, &options).await)),
    };
    sqlx::migrate!("migrations/postgres")
        .run(&pool)
        .await
        .map_err(Error::migration)?;
    Ok(Db::Postgres(pool))
}

/// A pool tries until its time is over and does not say what went wrong; one more attempt does.
async fn why_not(error: sqlx::Error, options: &PgConnectOptions) -> sqlx::Error {
    if !matches!(error, sqlx::Error::PoolTimedOut) {
        return error;
    }
    let attempt = PgConnection::connect_with(options);
    match tokio::time::timeout(WAIT, attempt).await {
        Ok(Err(reason)) => reason,
        Ok(Ok(_)) | Err(_) => error,
    }
}
