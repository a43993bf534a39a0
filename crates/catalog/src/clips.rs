//! Rows of stored clips: pending, done, doomed, gone, around their objects.
//!
//! A clip and the job that makes it are created together. Each attempt takes a name of its own for the
//! objects ([`Catalog::start_clip`]), and only the newest one is published: what an attempt writes that
//! somebody else goes on with is never seen.

use crate::channel_rows::require;
use crate::channels::only;
use crate::clip_files::ClipFile;
use crate::clip_limits::{ClipLimit, ClipLimits, check_limits};
use crate::clip_rows::{
    DOOMED, ERROR, PENDING, change, clip, insert, is_of, of_clip, visible, with_columns,
};
use crate::jobs::create;
use crate::slice::count;
use crate::{Catalog, Error, NewJob, Order, Page, Slice};
use framewell_model::{AccountId, ChannelId, ClipId, ClipObjectId, JobId, TimeRange, WallTime};
use sea_query::{Expr, ExprTrait as _, LockType, Query, UpdateStatement};
use serde_json::{Value, json};

/// [`NewJob::kind`] of clips that are copied out of the recording.
pub const CLIP_JOB: &str = "clip";
/// [`NewJob::kind`] of clips that are encoded anew.
pub const CLIP_RENDER_JOB: &str = "clip_render";

/// A clip to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewClip {
    /// Owner.
    pub account: AccountId,
    /// Whose footage; a sub stream by its own number.
    pub channel: ChannelId,
    /// For people; may be empty.
    pub title: String,
    /// Free text of the client.
    pub group: Option<String>,
    /// From when to when.
    pub range: TimeRange,
    /// The instant that it is about.
    pub event_time: Option<WallTime>,
    /// When it goes by itself.
    pub delete_at: Option<WallTime>,
    /// How it is made, in the handler's own form.
    pub options: Value,
    /// [`CLIP_JOB`] or [`CLIP_RENDER_JOB`].
    pub job_kind: &'static str,
}

/// Where a clip stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClipState {
    /// Its job waits or works.
    Pending,
    /// It can be had.
    Done,
    /// It cannot be made.
    Error,
}

/// A clip as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredClip {
    /// Key.
    pub id: ClipId,
    /// Owner.
    pub account: AccountId,
    /// Whose footage.
    pub channel: ChannelId,
    /// For people; may be empty.
    pub title: String,
    /// Free text of the client.
    pub group: Option<String>,
    /// What was asked for.
    pub range: TimeRange,
    /// The instant that it is about.
    pub event_time: Option<WallTime>,
    /// When it goes by itself.
    pub delete_at: Option<WallTime>,
    /// When it was asked for.
    pub created: WallTime,
    /// How it is made.
    pub options: Value,
    /// Where it stands.
    pub state: ClipState,
    /// 0 to 1.
    pub progress: f64,
    /// Why it cannot be made.
    pub error: Option<String>,
    /// The job that makes it, or made it.
    pub job: Option<JobId>,
    /// Name of the objects of the newest attempt.
    pub object: Option<ClipObjectId>,
    /// The finished file.
    pub file: Option<ClipFile>,
}

/// What the owner of a clip changes; `None` leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClipPatch {
    /// For people.
    pub title: Option<String>,
    /// Free text of the client; `Some(None)` removes it.
    pub group: Option<Option<String>>,
    /// The instant that it is about; `Some(None)` removes it.
    pub event_time: Option<Option<WallTime>>,
    /// When it goes by itself; `Some(None)`: never.
    pub delete_at: Option<Option<WallTime>>,
}

/// Which clips a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClipFilter {
    /// Of these channels, both streams of each.
    pub channels: Vec<ChannelId>,
    /// Only these; `None` for all.
    pub ids: Option<Vec<i64>>,
    /// About exactly this instant.
    pub event_time: Option<WallTime>,
    /// About this instant or a later one.
    pub event_from: Option<WallTime>,
    /// Ending at or after.
    pub start: Option<WallTime>,
    /// Starting at or before.
    pub end: Option<WallTime>,
    /// With smaller numbers than this.
    pub before: Option<ClipId>,
}

/// By what a list is ordered; equal ones by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClipKey {
    /// When it was asked for.
    #[default]
    Created,
    /// Its number: the order of creation, in which pages go on behind [`ClipFilter::before`].
    Number,
    /// Where it starts.
    Start,
    /// Where it ends.
    End,
    /// The instant that it is about.
    EventTime,
}

impl ClipKey {
    const fn column(self) -> &'static str {
        match self {
            Self::Created => "created_us",
            Self::Number => "id",
            Self::Start => "start_us",
            Self::End => "end_us",
            Self::EventTime => "event_us",
        }
    }
}

/// A row whose objects are to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoomedClip {
    /// Row number.
    pub id: ClipId,
    /// Name of the objects; `None` if there were never any.
    pub object: Option<ClipObjectId>,
    /// Whose clip.
    pub channel: ChannelId,
    /// Start, which is part of the object key.
    pub start: WallTime,
}

impl Catalog {
    /// Writes a clip down with the job that makes it, unless a limit is reached. Callers at the same time
    /// do not pass the limit of a channel together.
    pub async fn create_clip(
        &self,
        new: &NewClip,
        limits: ClipLimits,
        now: WallTime,
    ) -> Result<Result<ClipId, ClipLimit>, Error> {
        let mut tx = self.begin("creation of a clip").await?;
        require(
            &mut tx,
            new.channel,
            Some(new.account),
            LockType::NoKeyUpdate,
        )
        .await?;
        if let Some(limit) = check_limits(&mut tx, new, limits).await? {
            return Ok(Err(limit));
        }
        let id = only(&tx.fetch(&insert(new, now)).await?)?.id("id", ClipId::new)?;
        let job = NewJob {
            kind: new.job_kind,
            account: new.account,
            channel: Some(new.channel),
            parameters: json!({ "clip": id }),
            dedup: None,
            due: now,
        };
        let job = create(&mut tx, &job, now).await?;
        let with_job = change(id, now).value("job", job.id.get()).take();
        tx.execute(&with_job).await?;
        tx.commit().await?;
        self.note_job_change();
        Ok(Ok(id))
    }

    /// A clip of any account, unless it is doomed or its time is over.
    pub async fn load_clip(&self, id: ClipId, now: WallTime) -> Result<StoredClip, Error> {
        let one = with_columns(visible(now))
            .and_where(of_clip("id").eq(id.get()))
            .take();
        let rows = self.read("load of a clip", &one).await?;
        clip(rows.first().ok_or_else(|| not_found(id))?)
    }

    /// Clips that readers see at `now`.
    pub async fn list_clips(
        &self,
        filter: &ClipFilter,
        key: ClipKey,
        order: Order,
        slice: Slice,
        now: WallTime,
    ) -> Result<Page<StoredClip>, Error> {
        const OPERATION: &str = "list of clips";
        let dialect = self.dialect();
        let ids = filter.ids.as_ref();
        let micros = |time: Option<WallTime>| time.map(WallTime::micros);
        let matching = visible(now)
            .and_where(is_of(&filter.channels, dialect))
            .and_where_option(ids.map(|ids| dialect.is_one_of(of_clip("id"), ids)))
            .and_where_option(filter.before.map(|id| of_clip("id").lt(id.get())))
            .and_where_option(micros(filter.event_time).map(|at| of_clip("event_us").eq(at)))
            .and_where_option(micros(filter.event_from).map(|at| of_clip("event_us").gte(at)))
            .and_where_option(micros(filter.start).map(|at| of_clip("end_us").gte(at)))
            .and_where_option(micros(filter.end).map(|at| of_clip("start_us").lte(at)))
            .take();
        let total = only(&self.read(OPERATION, &count(&matching)).await?)?.get("total")?;
        let order = sea_query::Order::from(order);
        let mut page = with_columns(matching)
            .order_by(("clip", key.column()), order.clone())
            .order_by(("clip", "id"), order)
            .take();
        slice.apply(&mut page);
        let rows = self.read(OPERATION, &page).await?;
        let items = rows.iter().map(clip).collect::<Result<_, _>>()?;
        Ok(Page { items, total })
    }

    /// Changes what people wrote about a clip, and when it goes.
    pub async fn change_clip(
        &self,
        id: ClipId,
        patch: &ClipPatch,
        now: WallTime,
    ) -> Result<(), Error> {
        let mut update = change(id, now);
        update.and_where(Expr::col("state").ne(DOOMED));
        if let Some(title) = &patch.title {
            update.value("title", title.as_str());
        }
        if let Some(group) = &patch.group {
            update.value("clip_group", group.clone());
        }
        if let Some(at) = patch.event_time {
            update.value("event_us", at.map(WallTime::micros));
        }
        if let Some(at) = patch.delete_at {
            update.value("delete_us", at.map(WallTime::micros));
        }
        found(self.execute("change of a clip", &update).await?, id)
    }

    /// An attempt begins: the objects get a name of their own. `before` is the name of the attempt before
    /// it. [`Error::NotFound`] if the clip is not pending any more, or somebody else began one.
    pub async fn start_clip(
        &self,
        id: ClipId,
        before: Option<ClipObjectId>,
        object: ClipObjectId,
        now: WallTime,
    ) -> Result<(), Error> {
        let is_before = match before {
            Some(before) => Expr::col("object").eq(before.uuid()),
            None => Expr::col("object").is_null(),
        };
        let start = change(id, now)
            .value("object", object.uuid())
            .and_where(is_before)
            .and_where(is_state(PENDING))
            .take();
        found(self.execute("start of a clip", &start).await?, id)
    }

    /// Whether an attempt is still the one that counts.
    pub async fn is_clip_wanted(&self, id: ClipId, object: ClipObjectId) -> Result<bool, Error> {
        let wanted = Query::select()
            .column("id")
            .from("clip")
            .and_where(Expr::col("id").eq(id.get()))
            .and_where(is_attempt(object))
            .take();
        let rows = self.read("look at a clip", &wanted).await?;
        Ok(!rows.is_empty())
    }

    /// A pending clip cannot be made, and why. Does nothing to others.
    pub async fn fail_clip(&self, id: ClipId, error: &str, now: WallTime) -> Result<(), Error> {
        let fail = change(id, now)
            .value("state", ERROR)
            .value("error", error)
            .and_where(is_state(PENDING))
            .take();
        self.execute("failing of a clip", &fail).await.map(drop)
    }

    /// Dooms a clip, for a `DELETE` by a user. Repeating it does nothing.
    pub async fn doom_clip(&self, id: ClipId, now: WallTime) -> Result<(), Error> {
        let doom = change(id, now).value("state", DOOMED).take();
        found(self.execute("dooming of a clip", &doom).await?, id)
    }

    /// Dooms clips whose time is over, at most `limit`; how many.
    pub async fn doom_expired_clips(&self, limit: u64, now: WallTime) -> Result<u64, Error> {
        let expired = Query::select()
            .column("id")
            .from("clip")
            .and_where(Expr::col("delete_us").lte(now.micros()))
            .and_where(Expr::col("state").ne(DOOMED))
            .limit(limit)
            .take();
        let doom = Query::update()
            .table("clip")
            .value("state", DOOMED)
            .value("updated_us", now.micros())
            .and_where(Expr::col("id").in_subquery(expired))
            .take();
        self.execute("dooming of expired clips", &doom).await
    }

    /// Doomed rows behind a row, ascending: those that were finished, and those that nobody has touched
    /// since `quiet`, so that no attempt writes their objects any more.
    pub async fn list_doomed_clips(
        &self,
        after: Option<ClipId>,
        quiet: WallTime,
        limit: u64,
    ) -> Result<Vec<DoomedClip>, Error> {
        let is_quiet = Expr::col("size_bytes")
            .is_not_null()
            .or(Expr::col("updated_us").lt(quiet.micros()));
        let select = Query::select()
            .columns(["id", "object", "channel", "start_us"])
            .from("clip")
            .and_where(is_state(DOOMED))
            .and_where(is_quiet)
            .and_where_option(after.map(|after| Expr::col("id").gt(after.get())))
            .order_by("id", sea_query::Order::Asc)
            .limit(limit)
            .take();
        let rows = self.read("list of doomed clips", &select).await?;
        let doomed = rows.iter().map(|row| {
            let object: Option<_> = row.get("object")?;
            Ok(DoomedClip {
                id: row.id("id", ClipId::new)?,
                object: object.map(ClipObjectId::from_uuid),
                channel: row.id("channel", ChannelId::stored)?,
                start: WallTime::from_micros(row.get("start_us")?),
            })
        });
        doomed.collect()
    }

    /// Last step: the objects are gone, the rows go. Rows that are not doomed stay.
    pub async fn delete_doomed_clips(&self, ids: &[ClipId]) -> Result<(), Error> {
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        let delete = Query::delete()
            .from_table("clip")
            .and_where(self.dialect().is_one_of(Expr::col("id"), &ids))
            .and_where(is_state(DOOMED))
            .take();
        self.execute("deletion of clip rows", &delete)
            .await
            .map(drop)
    }
}

pub(crate) fn is_state(word: &'static str) -> Expr {
    Expr::col("state").eq(word)
}

pub(crate) fn is_attempt(object: ClipObjectId) -> Expr {
    Expr::col("object").eq(object.uuid()).and(is_state(PENDING))
}

/// Dooms all clips of a channel that is being deleted.
pub(crate) fn doom_clips_of(channel: ChannelId, now: WallTime) -> UpdateStatement {
    Query::update()
        .table("clip")
        .value("state", DOOMED)
        .value("updated_us", now.micros())
        .and_where(Expr::col("channel").eq(channel.get()))
        .and_where(Expr::col("state").ne(DOOMED))
        .take()
}

pub(crate) fn not_found(id: ClipId) -> Error {
    Error::not_found(format!("clip {id}"))
}

pub(crate) fn found(count: u64, id: ClipId) -> Result<(), Error> {
    if count == 0 {
        return Err(not_found(id));
    }
    Ok(())
}
