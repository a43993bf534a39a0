//! How a stored clip lies in its row.

use crate::Error;
use crate::clip_files::file;
use crate::clips::{ClipState, NewClip, StoredClip};
use crate::sql::{Dialect, Row};
use framewell_model::{
    AccountId, ChannelId, ClipId, ClipObjectId, JobId, JobState, StreamKind, TimeRange, WallTime,
};
use sea_query::{Expr, ExprTrait as _, InsertStatement, Query, SelectStatement, UpdateStatement};
use serde_json::Value;

pub(crate) const PENDING: &str = "pending";
pub(crate) const DONE: &str = "done";
pub(crate) const ERROR: &str = "error";
pub(crate) const DOOMED: &str = "doomed";

const COLUMNS: [&str; 25] = [
    "id",
    "account",
    "channel",
    "state",
    "title",
    "clip_group",
    "start_us",
    "end_us",
    "event_us",
    "delete_us",
    "options",
    "job",
    "object",
    "error",
    "shown_start_us",
    "shown_end_us",
    "duration_us",
    "size_bytes",
    "thumb_us",
    "thumb_width",
    "thumb_height",
    "thumb_bytes",
    "thumb_error",
    "gaps",
    "gap_count",
];

pub(crate) fn insert(new: &NewClip, now: WallTime) -> InsertStatement {
    Query::insert()
        .into_table("clip")
        .columns([
            "account",
            "channel",
            "state",
            "title",
            "clip_group",
            "start_us",
            "end_us",
            "event_us",
            "delete_us",
            "options",
            "created_us",
            "updated_us",
        ])
        .values_panic([
            new.account.get().into(),
            new.channel.get().into(),
            PENDING.into(),
            new.title.as_str().into(),
            new.group.clone().into(),
            new.range.start.micros().into(),
            new.range.end.micros().into(),
            new.event_time.map(WallTime::micros).into(),
            new.delete_at.map(WallTime::micros).into(),
            new.options.to_string().into(),
            now.micros().into(),
            now.micros().into(),
        ])
        .returning_col("id")
        .take()
}

pub(crate) fn change(id: ClipId, now: WallTime) -> UpdateStatement {
    Query::update()
        .table("clip")
        .value("updated_us", now.micros())
        .and_where(Expr::col("id").eq(id.get()))
        .take()
}

/// A column of the clip: its job has some of the same names.
pub(crate) fn of_clip(column: &'static str) -> Expr {
    Expr::col(("clip", column))
}

/// Clips that readers see at `now`, with their jobs: neither doomed nor over.
pub(crate) fn visible(now: WallTime) -> SelectStatement {
    let is_over = of_clip("delete_us").lte(now.micros());
    Query::select()
        .from("clip")
        .left_join("job", Expr::col(("job", "id")).equals(("clip", "job")))
        .and_where(of_clip("state").ne(DOOMED))
        .and_where(of_clip("delete_us").is_null().or(is_over.not()))
        .take()
}

/// Clips of some channels, both streams of each.
pub(crate) fn is_of(channels: &[ChannelId], dialect: Dialect) -> Expr {
    let streams =
        |id: &ChannelId| [StreamKind::Main, StreamKind::Sub].map(|kind| id.of(kind).get());
    let ids: Vec<i64> = channels.iter().flat_map(streams).collect();
    dialect.is_one_of(of_clip("channel"), &ids)
}

/// Adds the columns that [`clip`] reads.
pub(crate) fn with_columns(mut select: SelectStatement) -> SelectStatement {
    for column in COLUMNS {
        select.expr_as(of_clip(column), column);
    }
    select
        .expr_as(of_clip("created_us"), "created_us")
        .expr_as(Expr::col(("job", "state")), "job_state")
        .expr_as(Expr::col(("job", "progress")), "job_progress")
        .expr_as(Expr::col(("job", "error")), "job_error")
        .take()
}

pub(crate) fn clip(row: &Row) -> Result<StoredClip, Error> {
    let time = |column| -> Result<Option<WallTime>, Error> {
        let micros: Option<i64> = row.get(column)?;
        Ok(micros.map(WallTime::from_micros))
    };
    let (state, progress, error) = state(row)?;
    let job: Option<i64> = row.get("job")?;
    let object: Option<_> = row.get("object")?;
    let options: String = row.get("options")?;
    Ok(StoredClip {
        id: row.id("id", ClipId::new)?,
        account: row.id("account", AccountId::new)?,
        channel: row.id("channel", ChannelId::stored)?,
        title: row.get("title")?,
        group: row.get("clip_group")?,
        range: range(row, "start_us", "end_us")?,
        event_time: time("event_us")?,
        delete_at: time("delete_us")?,
        created: WallTime::from_micros(row.get("created_us")?),
        options: serde_json::from_str::<Value>(&options)
            .map_err(|error| Error::corrupt("options", error))?,
        state,
        progress,
        error,
        job: job.and_then(JobId::new),
        object: object.map(ClipObjectId::from_uuid),
        file: match state {
            ClipState::Done => Some(file(row)?),
            ClipState::Pending | ClipState::Error => None,
        },
    })
}

/// State, progress and reason: a clip whose job ended without making it has failed.
fn state(row: &Row) -> Result<(ClipState, f64, Option<String>), Error> {
    let word: String = row.get("state")?;
    let error: Option<String> = row.get("error")?;
    let job: Option<String> = row.get("job_state")?;
    let progress: Option<f64> = row.get("job_progress")?;
    let progress = progress.unwrap_or(0.0);
    let is_open = |word: &str| {
        let known = JobState::ALL.into_iter().find(|s| s.as_str() == word);
        known.is_some_and(JobState::is_open)
    };
    match word.as_str() {
        DONE => Ok((ClipState::Done, 1.0, None)),
        PENDING if job.as_deref().is_some_and(is_open) => Ok((ClipState::Pending, progress, None)),
        PENDING => {
            let reason: Option<String> = row.get("job_error")?;
            let reason = reason.unwrap_or_else(|| "it was not finished".into());
            Ok((ClipState::Error, progress, Some(reason)))
        }
        ERROR => Ok((ClipState::Error, progress, error)),
        _ => Err(Error::corrupt("state", format!("{word:?} is not known"))),
    }
}

pub(crate) fn range(row: &Row, start: &'static str, end: &'static str) -> Result<TimeRange, Error> {
    let start = WallTime::from_micros(row.get(start)?);
    let range = TimeRange::new(start, WallTime::from_micros(row.get(end)?));
    range.ok_or_else(|| Error::corrupt(end, "a clip that ends before it starts"))
}
