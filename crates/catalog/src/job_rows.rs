//! How a job lies in its row.

use crate::jobs::{Job, NewJob, Release};
use crate::sql::Row;
use crate::{Error, Order};
use framewell_model::{AccountId, ChannelId, HolderId, JobId, JobState, WallTime};
use sea_query::{
    Expr, ExprTrait as _, InsertStatement, OnConflict, Query, ReturningClause, SelectStatement,
    UpdateStatement,
};
use serde_json::Value;

const COLUMNS: [&str; 12] = [
    "id",
    "kind",
    "account",
    "channel",
    "parameters",
    "state",
    "progress",
    "position",
    "attempts",
    "error",
    "created_us",
    "finished_us",
];

/// Inserts a pending job and gives its id; nothing if it has an open twin.
pub(crate) fn insert(new: &NewJob, now: WallTime) -> InsertStatement {
    let has_twin = OnConflict::columns(["kind", "dedup"])
        .target_and_where(Expr::col("dedup").is_not_null())
        .target_and_where(Expr::col("due_us").is_not_null())
        .do_nothing()
        .to_owned();
    Query::insert()
        .into_table("job")
        .columns([
            "kind",
            "account",
            "channel",
            "parameters",
            "dedup",
            "state",
            "due_us",
            "attempts",
            "progress",
            "created_us",
            "updated_us",
        ])
        .values_panic([
            new.kind.into(),
            new.account.get().into(),
            new.channel.map(ChannelId::get).into(),
            new.parameters.to_string().into(),
            new.dedup.clone().into(),
            JobState::Pending.as_str().into(),
            new.due.micros().into(),
            0.into(),
            0.0.into(),
            now.micros().into(),
            now.micros().into(),
        ])
        .on_conflict(has_twin)
        .returning_col("id")
        .take()
}

/// The open job of a kind with this text.
pub(crate) fn is_open_twin(kind: &str, dedup: &str) -> Expr {
    Expr::col("kind")
        .eq(kind)
        .and(Expr::col("dedup").eq(dedup))
        .and(Expr::col("due_us").is_not_null())
}

pub(crate) fn is_due(kind: &str, now: WallTime) -> Expr {
    Expr::col("kind")
        .eq(kind)
        .and(Expr::col("due_us").lte(now.micros()))
}

/// Accounts with jobs that may be taken, those first that had no turn for longest.
pub(crate) fn next_accounts(kind: &str, limit: u64, now: WallTime) -> SelectStatement {
    // One look into an index for each account, however many jobs wait.
    let has_due = Query::select()
        .column("id")
        .from("job")
        .and_where(Expr::col(("job", "account")).equals(("account", "id")))
        .and_where(is_due(kind, now))
        .limit(1)
        .take();
    let turn = Expr::col(("job_turn", "account"))
        .equals(("account", "id"))
        .and(Expr::col(("job_turn", "kind")).eq(kind));
    Query::select()
        .column(("account", "id"))
        .from("account")
        .left_join("job_turn", turn)
        .and_where(Expr::exists(has_due))
        .order_by_expr(
            Expr::cust("COALESCE(job_turn.turn, 0)"),
            sea_query::Order::Asc,
        )
        .order_by(("account", "id"), sea_query::Order::Asc)
        .limit(limit)
        .take()
}

/// Notes that an account has its turn now.
pub(crate) fn note_turn(kind: &str, account: i64) -> InsertStatement {
    let again = OnConflict::columns(["kind", "account"])
        .update_column("turn")
        .to_owned();
    let next = Query::select()
        .expr(Expr::val(kind))
        .expr(Expr::val(account))
        .expr(Expr::cust("COALESCE(MAX(turn), 0) + 1"))
        .from("job_turn")
        .and_where(Expr::col("kind").eq(kind))
        .take();
    Query::insert()
        .into_table("job_turn")
        .columns(["kind", "account", "turn"])
        .select_from(next)
        .expect("as many columns as values")
        .on_conflict(again)
        .take()
}

/// Ids of jobs of an account that may be taken, those due longest first.
pub(crate) fn due(kind: &str, account: i64, limit: u64, now: WallTime) -> SelectStatement {
    Query::select()
        .column("id")
        .from("job")
        .and_where(is_due(kind, now))
        .and_where(Expr::col("account").eq(account))
        .order_by("due_us", sea_query::Order::Asc)
        .order_by("id", sea_query::Order::Asc)
        .limit(limit)
        .take()
}

/// Whether the row is a running job of this holder.
pub(crate) fn is_held(id: JobId, holder: HolderId) -> Expr {
    Expr::col("id")
        .eq(id.get())
        .and(Expr::col("holder").eq(holder.uuid()))
}

pub(crate) fn change(now: WallTime) -> UpdateStatement {
    Query::update()
        .table("job")
        .value("updated_us", now.micros())
        .take()
}

pub(crate) fn release(release: &Release, now: WallTime) -> UpdateStatement {
    match release {
        Release::Done(expire) => ended(JobState::Done, *expire, now)
            .value("progress", 1.0)
            .take(),
        Release::Error(text, expire) => ended(JobState::Error, *expire, now)
            .value("error", text.as_str())
            .take(),
        Release::Retry(due) => pending(*due, now),
        Release::Pause(due) => pending(*due, now)
            .value("attempts", Expr::col("attempts").sub(1))
            .take(),
    }
}

fn pending(due: WallTime, now: WallTime) -> UpdateStatement {
    change(now)
        .value("state", JobState::Pending.as_str())
        .value("due_us", due.micros())
        .value("holder", NO_HOLDER)
        .take()
}

pub(crate) fn ended(state: JobState, expire: WallTime, now: WallTime) -> UpdateStatement {
    change(now)
        .value("state", state.as_str())
        .value("due_us", None::<i64>)
        .value("holder", NO_HOLDER)
        .value("finished_us", now.micros())
        .value("expire_us", expire.micros())
        .take()
}

const NO_HOLDER: sea_query::Value = sea_query::Value::Uuid(None);

pub(crate) fn columns() -> ReturningClause {
    Query::returning().columns(COLUMNS)
}

/// Adds the columns that [`job`] reads.
pub(crate) fn with_columns(mut select: SelectStatement) -> SelectStatement {
    select.columns(COLUMNS).take()
}

pub(crate) fn job(row: &Row) -> Result<Job, Error> {
    let channel: Option<i64> = row.get("channel")?;
    let position: Option<String> = row.get("position")?;
    let finished: Option<i64> = row.get("finished_us")?;
    Ok(Job {
        id: row.id("id", JobId::new)?,
        kind: row.get("kind")?,
        account: row.id("account", AccountId::new)?,
        channel: channel.and_then(ChannelId::stored),
        parameters: json("parameters", &row.get::<String>("parameters")?)?,
        state: row.word("state", state_from_word)?,
        progress: row.get("progress")?,
        position: position.map(|text| json("position", &text)).transpose()?,
        attempts: row.get("attempts")?,
        error: row.get("error")?,
        created: WallTime::from_micros(row.get("created_us")?),
        finished: finished.map(WallTime::from_micros),
    })
}

fn json(column: &str, text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|error| Error::corrupt(column, error))
}

fn state_from_word(word: &str) -> Option<JobState> {
    JobState::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
}

impl From<Order> for sea_query::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::Ascending => Self::Asc,
            Order::Descending => Self::Desc,
        }
    }
}
