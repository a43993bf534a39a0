//! Durable jobs: rows that are taken with a lease, saved as they go on, and ended.
//!
//! A job belongs to whoever holds its lease. Every write of a holder names the [`HolderId`] that was made
//! for this take, so that one whose lease ran out, and whose job somebody else goes on with, changes
//! nothing more: its calls fail with [`Error::NotFound`].

use crate::channel_rows::require;
use crate::channels::{only, require_account};
use crate::job_rows::{self, change, insert, is_held, job, with_columns};
use crate::slice::{check_key, count};
use crate::sql::Tx;
use crate::{Catalog, Error, IMAGE_TASK_JOB, Order, Page, Slice};
use framewell_model::{AccountId, ChannelId, HolderId, JobId, JobState, WallTime};
use sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, Query, SelectStatement};
use serde_json::Value;

/// Most open tasks for pictures of events of one channel; the pictures of further events are not made.
pub const MOST_EVENT_TASKS: i64 = 32;

/// Accounts among whose jobs one is looked for at a time: others may take those of the first ones meanwhile.
const ACCOUNTS_TRIED: u64 = 16;

/// A job to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Which handler does it.
    pub kind: &'static str,
    /// Owner.
    pub account: AccountId,
    /// The channel that it is about, if it is about one; the job goes with it.
    pub channel: Option<ChannelId>,
    /// What is to be done, in the handler's own form.
    pub parameters: Value,
    /// At most one open job of a kind has this text; asking again gives the one that is there.
    pub dedup: Option<String>,
    /// Not before.
    pub due: WallTime,
}

/// A job as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Key.
    pub id: JobId,
    /// Which handler does it.
    pub kind: String,
    /// Owner.
    pub account: AccountId,
    /// The channel that it is about.
    pub channel: Option<ChannelId>,
    /// What is to be done.
    pub parameters: Value,
    /// Where it stands.
    pub state: JobState,
    /// 0 to 1.
    pub progress: f64,
    /// Where to go on; of an ended job, what has been reached.
    pub position: Option<Value>,
    /// How often it was taken since it last saved progress.
    pub attempts: i64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created: WallTime,
    /// When it ended.
    pub finished: Option<WallTime>,
}

/// The right to work on a job, until a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Made for this take alone.
    pub holder: HolderId,
    /// After this, anybody may take the job.
    pub until: WallTime,
}

/// Saved progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// 0 to 1.
    pub progress: f64,
    /// Where to go on.
    pub position: Value,
}

/// How a job gets out of its holder's hands.
#[derive(Debug, Clone, PartialEq)]
pub enum Release {
    /// It is finished; the row goes at this time.
    Done(WallTime),
    /// It cannot be done, and why; the row goes at this time.
    Error(String, WallTime),
    /// Another attempt, not before this time.
    Retry(WallTime),
    /// Somebody may go on, not before this time; this take does not count as an attempt.
    Pause(WallTime),
}

/// Which jobs a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobFilter {
    /// Of this kind.
    pub kind: &'static str,
    /// About this channel.
    pub channel: ChannelId,
}

impl Catalog {
    /// Writes a job down. From here on it will be done, whatever happens to this process.
    pub async fn create_job(&self, new: &NewJob, now: WallTime) -> Result<Job, Error> {
        let mut tx = self.begin("creation of a job").await?;
        match new.channel {
            Some(channel) => {
                require(&mut tx, channel, Some(new.account), LockType::KeyShare).await?;
            }
            None => require_account(&mut tx, new.account).await?,
        }
        let created = create(&mut tx, new, now).await?;
        tx.commit().await?;
        self.note_job_change();
        Ok(created)
    }

    /// Writes down a job of a channel, as [`Catalog::create_job`] does, unless `most` of its kind are
    /// open there already: then `None`. Callers at the same time do not pass the limit together. Jobs that
    /// follow from events, which have a `dedup`, do not count.
    pub async fn create_job_within(
        &self,
        new: &NewJob,
        most: i64,
        now: WallTime,
    ) -> Result<Option<Job>, Error> {
        let Some(channel) = new.channel else {
            return Err(Error::Invalid("the limit is one of a channel".into()));
        };
        let mut tx = self.begin("creation of a job within a limit").await?;
        // One after the other: SQLite has one writer, PostgreSQL waits for this lock. Whoever only needs
        // the channel to stay does not wait for it.
        let lock = LockType::NoKeyUpdate;
        require(&mut tx, channel, Some(new.account), lock).await?;
        let open = open_of(channel, new.kind)
            .and_where(Expr::col("dedup").is_null())
            .take();
        let open: i64 = only(&tx.fetch(&count(&open)).await?)?.get("total")?;
        if open >= most {
            return Ok(None);
        }
        let created = create(&mut tx, new, now).await?;
        tx.commit().await?;
        self.note_job_change();
        Ok(Some(created))
    }

    /// Takes up to `limit` jobs of a kind that are due: pending ones, and those whose holder let the lease
    /// run out. All are of one account: that which had no turn for longest; those due longest go first. Two
    /// callers never get the same job.
    pub async fn take_jobs(
        &self,
        kind: &str,
        lease: Lease,
        limit: u64,
        now: WallTime,
    ) -> Result<Vec<Job>, Error> {
        const OPERATION: &str = "taking of jobs";
        let accounts = job_rows::next_accounts(kind, ACCOUNTS_TRIED, now);
        // A look first: SQLite takes its one write lock even to find out that there is nothing to do.
        let accounts = self.read(OPERATION, &accounts).await?;
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin(OPERATION).await?;
        for account in &accounts {
            let account: i64 = account.get("id")?;
            let mut due = job_rows::due(kind, account, limit, now);
            due.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
            let take = change(now)
                .value("state", JobState::Running.as_str())
                .value("holder", lease.holder.uuid())
                .value("due_us", lease.until.micros())
                .value("attempts", Expr::col("attempts").add(1))
                .and_where(Expr::col("id").in_subquery(due))
                .returning(job_rows::columns())
                .take();
            let rows = tx.fetch(&take).await?;
            // Others may have taken all of this account since the look.
            if !rows.is_empty() {
                tx.execute(&job_rows::note_turn(kind, account)).await?;
                tx.commit().await?;
                return rows.iter().map(job).collect();
            }
        }
        Ok(Vec::new())
    }

    /// Lengthens a lease.
    pub async fn renew_job(&self, id: JobId, lease: Lease, now: WallTime) -> Result<(), Error> {
        let renew = change(now)
            .value("due_us", lease.until.micros())
            .and_where(is_held(id, lease.holder))
            .take();
        held(self.execute("renewal of a job's lease", &renew).await?, id)
    }

    /// Saves how far a job has come, and lengthens the lease. Attempts count from here again.
    pub async fn save_job(
        &self,
        id: JobId,
        lease: Lease,
        checkpoint: &Checkpoint,
        now: WallTime,
    ) -> Result<(), Error> {
        let save = change(now)
            .value("due_us", lease.until.micros())
            .value("attempts", 1)
            .value("progress", checkpoint.progress.clamp(0.0, 1.0))
            .value("position", checkpoint.position.to_string())
            .and_where(is_held(id, lease.holder))
            .take();
        held(self.execute("saving of a job", &save).await?, id)
    }

    /// Ends a job, or gives it back.
    pub async fn release_job(
        &self,
        id: JobId,
        holder: HolderId,
        release: &Release,
        now: WallTime,
    ) -> Result<(), Error> {
        let update = job_rows::release(release, now)
            .and_where(is_held(id, holder))
            .take();
        let count = self.execute("release of a job", &update).await?;
        self.note_job_change();
        held(count, id)
    }

    /// Stops an open job for its owner; whoever works on it notices with the next thing it writes. Does
    /// nothing to one that has ended. The row goes at `expire`.
    pub async fn cancel_job(
        &self,
        id: JobId,
        expire: WallTime,
        now: WallTime,
    ) -> Result<(), Error> {
        let cancel = job_rows::ended(JobState::Cancelled, expire, now)
            .and_where(Expr::col("id").eq(id.get()))
            .and_where(Expr::col("due_us").is_not_null())
            .take();
        self.execute("cancelling of a job", &cancel).await?;
        self.note_job_change();
        Ok(())
    }

    /// Removes a job, whatever its state; whoever works on it notices with the next thing it writes.
    pub async fn delete_job(&self, id: JobId) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("job")
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        let count = self.execute("deletion of a job", &delete).await?;
        self.note_job_change();
        held(count, id)
    }

    /// Removes ended jobs whose time is over; how many.
    pub async fn delete_expired_jobs(&self, limit: u64, now: WallTime) -> Result<u64, Error> {
        let expired = Query::select()
            .column("id")
            .from("job")
            .and_where(Expr::col("expire_us").lte(now.micros()))
            .limit(limit)
            .take();
        let delete = Query::delete()
            .from_table("job")
            .and_where(Expr::col("id").in_subquery(expired))
            .take();
        self.execute("deletion of ended jobs", &delete).await
    }

    /// Loads a job of any account.
    pub async fn load_job(&self, id: JobId) -> Result<Job, Error> {
        let select = one(Expr::col("id").eq(id.get()));
        let rows = self.read("load of a job", &select).await?;
        job(rows.first().ok_or_else(|| not_found(id))?)
    }

    /// Jobs by id.
    pub async fn list_jobs(
        &self,
        filter: JobFilter,
        order: Order,
        slice: Slice,
    ) -> Result<Page<Job>, Error> {
        const OPERATION: &str = "list of jobs";
        let matching = Query::select()
            .from("job")
            .and_where(Expr::col("channel").eq(filter.channel.get()))
            .and_where(Expr::col("kind").eq(filter.kind))
            .take();
        let total = only(&self.read(OPERATION, &count(&matching)).await?)?.get("total")?;
        let mut page = with_columns(matching).order_by("id", order.into()).take();
        slice.apply(&mut page);
        let rows = self.read(OPERATION, &page).await?;
        let items = rows.iter().map(job).collect::<Result<_, _>>()?;
        Ok(Page { items, total })
    }

    /// What makes the open jobs of a kind unique, where something does.
    pub async fn open_job_keys(&self, kind: &str) -> Result<Vec<String>, Error> {
        let open = Query::select()
            .column("dedup")
            .from("job")
            .and_where(Expr::col("kind").eq(kind))
            .and_where(Expr::col("due_us").is_not_null())
            .and_where(Expr::col("dedup").is_not_null())
            .take();
        let rows = self.read("list of open jobs", &open).await?;
        rows.iter().map(|row| row.get("dedup")).collect()
    }

    /// Lets a job that waits for its time be done now.
    pub async fn hasten_job(&self, kind: &str, dedup: &str, now: WallTime) -> Result<(), Error> {
        let hasten = change(now)
            .value("due_us", now.micros())
            .and_where(job_rows::is_open_twin(kind, dedup))
            .and_where(Expr::col("state").eq(JobState::Pending.as_str()))
            .take();
        self.execute("hastening of a job", &hasten).await?;
        self.note_job_change();
        Ok(())
    }

    /// How many jobs of a kind are due and wait for somebody to take them.
    pub async fn count_due_jobs(&self, kind: &str, now: WallTime) -> Result<i64, Error> {
        let due = Query::select()
            .from("job")
            .and_where(job_rows::is_due(kind, now))
            .take();
        only(&self.read("count of due jobs", &count(&due)).await?)?.get("total")
    }
}

/// Writes down a job that follows from an event; false if it is one for pictures and
/// [`MOST_EVENT_TASKS`] are open on its channel: a camera raises events faster than pictures are made.
pub(crate) async fn insert_following(
    tx: &mut Tx,
    new: &NewJob,
    now: WallTime,
) -> Result<bool, Error> {
    if let Some(channel) = new.channel.filter(|_| new.kind == IMAGE_TASK_JOB) {
        let open = open_of(channel, new.kind)
            .and_where(Expr::col("dedup").is_not_null())
            .take();
        let open: i64 = only(&tx.fetch(&count(&open)).await?)?.get("total")?;
        if open >= MOST_EVENT_TASKS {
            metrics::counter!("framewell_event_image_tasks_left_out_total").increment(1);
            return Ok(false);
        }
    }
    tx.execute(&insert(new, now)).await?;
    Ok(true)
}

fn open_of(channel: ChannelId, kind: &str) -> SelectStatement {
    Query::select()
        .from("job")
        .and_where(Expr::col("channel").eq(channel.get()))
        .and_where(Expr::col("kind").eq(kind))
        .and_where(Expr::col("due_us").is_not_null())
        .take()
}

/// Inserts a job whose owner was looked up; gives its open twin if it has one.
pub(crate) async fn create(tx: &mut Tx, new: &NewJob, now: WallTime) -> Result<Job, Error> {
    let dedup = new.dedup.as_deref();
    if let Some(dedup) = dedup {
        check_key("what makes a job unique", dedup)?;
    }
    loop {
        let inserted = tx.fetch(&insert(new, now)).await?;
        let which = match (inserted.first(), dedup) {
            (Some(row), _) => Expr::col("id").eq(row.get::<i64>("id")?),
            (None, dedup) => job_rows::is_open_twin(new.kind, dedup.unwrap_or_default()),
        };
        // A twin may end between the two looks; then there is room for this one.
        if let Some(row) = tx.fetch(&one(which)).await?.first() {
            return job(row);
        }
    }
}

fn one(which: Expr) -> SelectStatement {
    with_columns(Query::select().from("job").take())
        .and_where(which)
        .take()
}

fn not_found(id: JobId) -> Error {
    Error::not_found(format!("job {id}"))
}

fn held(count: u64, id: JobId) -> Result<(), Error> {
    if count == 0 {
        return Err(not_found(id));
    }
    Ok(())
}
