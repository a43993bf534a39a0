//! Events: storing, finding, following (contract sections 10.1 to 10.4).

use crate::channel_rows::require;
use crate::channels::only;
use crate::event_rows::{
    check_tag_sums, distribute_tags, event, insert_tags, select_tags, tag_bytes, with_columns,
    with_tag_sums,
};
use crate::jobs::insert_following;
use crate::revision::{Counter, take};
use crate::slice::{check_key, count};
use crate::sql::{Dialect, Tx};
use crate::sql_search::Search;
use crate::{Catalog, Error, NewJob, Order, Page, Revisions, Slice};
use framewell_model::{ChannelId, Event, EventId, NewEvent, WallTime};
use sea_query::{Expr, ExprTrait as _, LockType, OnConflict, Query, SelectStatement};
use std::collections::HashMap;

/// Which events a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of one of these names; `None` for all, an empty list for none.
    pub names: Option<Vec<String>>,
    /// That have any of these tags; empty for all.
    pub with_any_tag: Vec<String>,
    /// That have none of these tags.
    pub without_tags: Vec<String>,
    /// At or after.
    pub start: Option<WallTime>,
    /// At or before.
    pub end: Option<WallTime>,
}

impl EventFilter {
    /// Whether an event matches. Answers as the databases do.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let has_any = |tags: &[String]| tags.iter().any(|tag| event.tags.contains_key(tag));
        self.names
            .as_ref()
            .is_none_or(|names| names.contains(&event.name))
            && self.start.is_none_or(|start| event.time >= start)
            && self.end.is_none_or(|end| event.time <= end)
            && (self.with_any_tag.is_empty() || has_any(&self.with_any_tag))
            && !has_any(&self.without_tags)
    }

    /// [`Error::Invalid`] for more names and tags than a search takes.
    pub fn check(&self) -> Result<(), Error> {
        let words = self.names.as_ref().map_or(0, Vec::len)
            + self.with_any_tag.len()
            + self.without_tags.len();
        if words > MOST_WORDS {
            let text = format!("a filter of events takes {MOST_WORDS} names and tags at most");
            return Err(Error::Invalid(text));
        }
        Ok(())
    }
}

/// Events in the order in which they became visible.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewEvents {
    /// Ascending by revision.
    pub events: Vec<Event>,
    /// Whether there may be more behind the last one: there are as many as were asked for, or the tags of
    /// more would be too long together.
    pub is_cut: bool,
}

impl NewEvents {
    /// The revision behind which there may be more; `None` if these are all that were asked for.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        let last = self.events.last().map(|event| event.revision);
        last.filter(|_| self.is_cut)
    }
}

/// Kind of the durable job that stores the picture of an event; its parameters are `{"event": id}`.
pub const EVENT_SNAPSHOT_JOB: &str = "event_snapshot";

/// Kind of the durable job that stores pictures of a range; its parameters are
/// `{"start_us": …, "end_us": …, "period_us": …}`.
pub const IMAGE_TASK_JOB: &str = "images_from_records";

/// Most names or tags of one filter.
const MOST_WORDS: usize = 500;

impl Catalog {
    /// Stores an event, and the jobs that follow from it: either all of it or nothing. [`Error::Invalid`]
    /// if its name or a tag is empty or longer than 512 bytes, or if it has too many tags.
    pub async fn insert_event(
        &self,
        new: &NewEvent,
        jobs: impl FnOnce(EventId) -> Vec<NewJob>,
        now: WallTime,
    ) -> Result<Event, Error> {
        self.insert_told_event(new, true, jobs, now).await
    }

    /// As [`Catalog::insert_event`]; `notify` says whether somebody is to be told.
    pub async fn insert_told_event(
        &self,
        new: &NewEvent,
        notify: bool,
        jobs: impl FnOnce(EventId) -> Vec<NewJob>,
        now: WallTime,
    ) -> Result<Event, Error> {
        let mut tx = self.begin("storing of an event").await?;
        let (event, has_jobs) = write(&mut tx, new, notify, jobs, now).await?;
        tx.commit().await?;
        if has_jobs {
            self.note_job_change();
        }
        self.note_event(event.revision);
        Ok(event)
    }

    /// An event of any channel.
    pub async fn load_event(&self, id: EventId) -> Result<Event, Error> {
        const OPERATION: &str = "load of an event";
        let select = with_columns(Query::select().from("event").take())
            .and_where(Expr::col(("event", "id")).eq(id.get()))
            .take();
        let rows = self.read(OPERATION, &select).await?;
        let missing = || Error::not_found(format!("event {id}"));
        let mut events = [event(rows.first().ok_or_else(missing)?)?];
        let tags = select_tags(Expr::col("event").eq(id.get()));
        distribute_tags(&mut events, &self.read(OPERATION, &tags).await?)?;
        let [event] = events;
        Ok(event)
    }

    /// Events of these channels by time. [`Error::TooSlow`] as for documents. A page is shorter than asked
    /// for if the tags of its events are too long together ([`Catalog::with_most_tag_bytes`]).
    pub async fn list_events(
        &self,
        channels: &[ChannelId],
        filter: &EventFilter,
        order: Order,
        slice: Slice,
    ) -> Result<Page<Event>, Error> {
        self.find_events(channels, filter, order, slice, true).await
    }

    /// As [`Catalog::list_events`], with no tags in the events: they can be much more than the rest.
    pub async fn list_events_without_tags(
        &self,
        channels: &[ChannelId],
        filter: &EventFilter,
        order: Order,
        slice: Slice,
    ) -> Result<Page<Event>, Error> {
        self.find_events(channels, filter, order, slice, false)
            .await
    }

    async fn find_events(
        &self,
        channels: &[ChannelId],
        filter: &EventFilter,
        order: Order,
        slice: Slice,
        has_tags: bool,
    ) -> Result<Page<Event>, Error> {
        let matching = matching(self.dialect(), channels, filter)?;
        self.search("search for events", async |search| {
            let total = only(&search.fetch(&count(&matching)).await?)?.get("total")?;
            let order = sea_query::Order::from(order);
            let mut page = with_columns(matching.clone())
                .order_by(("event", "time_us"), order.clone())
                .order_by(("event", "id"), order)
                .take();
            slice.apply(&mut page);
            let mut items = without_tags(search, &page).await?;
            if has_tags {
                add_tags(search, &mut items, self.most_tag_bytes()).await?;
            }
            Ok(Page { items, total })
        })
        .await
    }

    /// Events of these channels in the order in which they became visible.
    pub async fn events_after(
        &self,
        channels: &[ChannelId],
        filter: &EventFilter,
        revisions: Revisions,
        most: u64,
    ) -> Result<NewEvents, Error> {
        let matching = matching(self.dialect(), channels, filter)?;
        self.events_among(&matching, revisions, most).await
    }

    /// As [`Catalog::events_after`], all events of all channels.
    pub async fn all_events_after(
        &self,
        revisions: Revisions,
        most: u64,
    ) -> Result<NewEvents, Error> {
        let all = Query::select().from("event").take();
        self.events_among(&all, revisions, most).await
    }

    async fn events_among(
        &self,
        matching: &SelectStatement,
        revisions: Revisions,
        most: u64,
    ) -> Result<NewEvents, Error> {
        self.search("search for new events", async |search| {
            let page = with_columns(matching.clone())
                .and_where(Expr::col(("event", "revision")).gt(revisions.after))
                .and_where(Expr::col(("event", "revision")).lte(revisions.until))
                .order_by(("event", "revision"), sea_query::Order::Asc)
                .limit(most)
                .take();
            let mut events = without_tags(search, &page).await?;
            let is_full = u64::try_from(events.len()).is_ok_and(|found| found >= most);
            let is_cut = add_tags(search, &mut events, self.most_tag_bytes()).await?;
            Ok(NewEvents {
                events,
                is_cut: is_cut || is_full,
            })
        })
        .await
    }

    /// The newest revision that any event has or had; 0 if there was none.
    pub async fn newest_event_revision(&self) -> Result<i64, Error> {
        self.newest_revision(Counter::Event).await
    }

    /// Sets a tag of an event, new or not. [`Error::NotFound`] if there is no such event,
    /// [`Error::Invalid`] if it would have too many tags then.
    pub async fn put_event_tag(&self, id: EventId, tag: &str, data: &str) -> Result<(), Error> {
        check_key("the name of a tag", tag)?;
        let mut tx = self.begin("storing of a tag").await?;
        require_event(&mut tx, id).await?;
        let others = with_tag_sums(Query::select())
            .and_where(Expr::col("event").eq(id.get()))
            .and_where(Expr::col("tag").ne(tag))
            .take();
        let others = tx.fetch(&others).await?;
        let others = only(&others)?;
        check_tag_sums(
            others.get::<i64>("tags")? + 1,
            others.get::<i64>("bytes")? + tag_bytes(tag, data),
        )?;
        let put = Query::insert()
            .into_table("event_tag")
            .columns(["event", "tag", "data"])
            .values_panic([id.get().into(), tag.into(), data.into()])
            .on_conflict(
                OnConflict::columns(["event", "tag"])
                    .update_column("data")
                    .to_owned(),
            )
            .take();
        tx.execute(&put).await?;
        tx.commit().await?;
        self.note_event_edit();
        Ok(())
    }

    /// Removes a tag; [`Error::NotFound`] if the event does not have it.
    pub async fn delete_event_tag(&self, id: EventId, tag: &str) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("event_tag")
            .and_where(Expr::col("event").eq(id.get()))
            .and_where(Expr::col("tag").eq(tag))
            .take();
        if self.execute("deletion of a tag", &delete).await? == 0 {
            return Err(Error::not_found(format!("tag {tag:?} of event {id}")));
        }
        self.note_event_edit();
        Ok(())
    }

    /// Sets the JSON file of an event, in place of an earlier one.
    pub async fn put_event_file(&self, id: EventId, body: &str) -> Result<(), Error> {
        let mut tx = self.begin("storing of a file").await?;
        require_event(&mut tx, id).await?;
        let put = Query::insert()
            .into_table("event_file")
            .columns(["event", "body"])
            .values_panic([id.get().into(), body.into()])
            .on_conflict(OnConflict::column("event").update_column("body").to_owned())
            .take();
        tx.execute(&put).await?;
        let mark = Query::update()
            .table("event")
            .value("has_file", true)
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        tx.execute(&mark).await?;
        tx.commit().await
    }

    /// The JSON file of an event; [`Error::NotFound`] if it has none.
    pub async fn load_event_file(&self, id: EventId) -> Result<String, Error> {
        let select = Query::select()
            .column("body")
            .from("event_file")
            .and_where(Expr::col("event").eq(id.get()))
            .take();
        let rows = self.read("load of a file", &select).await?;
        let missing = || Error::not_found(format!("file of event {id}"));
        rows.first().ok_or_else(missing)?.get("body")
    }

    /// Deletes an event with its tags and its file. Its picture is a picture of its own.
    pub async fn delete_event(&self, id: EventId) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("event")
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        if self.execute("deletion of an event", &delete).await? == 0 {
            return Err(Error::not_found(format!("event {id}")));
        }
        self.note_event_edit();
        Ok(())
    }

    /// Deletes the oldest events of a channel from before a moment, `most` at most; how many.
    pub async fn delete_events_before(
        &self,
        channel: ChannelId,
        before: WallTime,
        most: u64,
    ) -> Result<u64, Error> {
        let oldest = Query::select()
            .column("id")
            .from("event")
            .and_where(Expr::col("channel").eq(channel.get()))
            .and_where(Expr::col("time_us").lt(before.micros()))
            .order_by("time_us", sea_query::Order::Asc)
            .limit(most)
            .take();
        let delete = Query::delete()
            .from_table("event")
            .and_where(Expr::col("id").in_subquery(oldest))
            .take();
        self.execute("deletion of old events", &delete).await
    }
}

/// Writes an event and the jobs that follow from it; whether there are any. As late in its transaction as
/// can be, see [`take`].
pub(crate) async fn write(
    tx: &mut Tx,
    new: &NewEvent,
    notify: bool,
    jobs: impl FnOnce(EventId) -> Vec<NewJob>,
    now: WallTime,
) -> Result<(Event, bool), Error> {
    check_key("the name of an event", &new.name)?;
    require(tx, new.channel, None, LockType::KeyShare).await?;
    let revision = take(tx, Counter::Event, 1).await?;
    let insert = Query::insert()
        .into_table("event")
        .columns([
            "revision",
            "channel",
            "name",
            "time_us",
            "created_us",
            "source",
            "has_file",
            "notify",
        ])
        .values_panic([
            revision.into(),
            new.channel.get().into(),
            new.name.as_str().into(),
            new.time.micros().into(),
            now.micros().into(),
            new.source.as_str().into(),
            false.into(),
            notify.into(),
        ])
        .returning_col("id")
        .take();
    let id = only(&tx.fetch(&insert).await?)?.id("id", EventId::new)?;
    if let Some(tags) = insert_tags(id, &new.tags)? {
        tx.execute(&tags).await?;
    }
    let mut has_jobs = false;
    for job in jobs(id) {
        has_jobs |= insert_following(tx, &job, now).await?;
    }
    let event = Event {
        id,
        channel: new.channel,
        name: new.name.clone(),
        time: new.time,
        created: now,
        source: new.source,
        tags: new.tags.clone(),
        has_file: false,
        notify,
        revision,
    };
    Ok((event, has_jobs))
}

/// The event stays until the transaction ends.
async fn require_event(tx: &mut Tx, id: EventId) -> Result<(), Error> {
    let select = Query::select()
        .column("id")
        .from("event")
        .and_where(Expr::col("id").eq(id.get()))
        .lock(LockType::Update)
        .take();
    let rows = tx.fetch(&select).await?;
    let missing = || Error::not_found(format!("event {id}"));
    rows.first().map(drop).ok_or_else(missing)
}

async fn without_tags(search: &mut Search, page: &SelectStatement) -> Result<Vec<Event>, Error> {
    let rows = search.fetch(page).await?;
    rows.iter().map(event).collect()
}

/// Adds the tags, up to so many bytes: the events from which on they would be more are left out, but for the
/// first one. Whether any was.
async fn add_tags(
    search: &mut Search,
    events: &mut Vec<Event>,
    most_bytes: i64,
) -> Result<bool, Error> {
    let ids =
        |events: &[Event]| -> Vec<i64> { events.iter().map(|event| event.id.get()).collect() };
    if events.is_empty() {
        return Ok(false);
    }
    let is_wanted = search.dialect().is_one_of(Expr::col("event"), &ids(events));
    let sums = with_tag_sums(Query::select().column("event").take())
        .and_where(is_wanted)
        .group_by_col("event")
        .take();
    let mut bytes = HashMap::new();
    for row in search.fetch(&sums).await? {
        bytes.insert(row.get::<i64>("event")?, row.get::<i64>("bytes")?);
    }
    let fitting = fitting(events, &bytes, most_bytes);
    let is_cut = fitting < events.len();
    events.truncate(fitting);
    let is_wanted = search.dialect().is_one_of(Expr::col("event"), &ids(events));
    let tags = search.fetch(&select_tags(is_wanted)).await?;
    distribute_tags(events, &tags)?;
    Ok(is_cut)
}

/// How many of these events have so many bytes of tags together; one at least, so that whoever asks for
/// the rest gets on.
fn fitting(events: &[Event], bytes: &HashMap<i64, i64>, most_bytes: i64) -> usize {
    let mut left = most_bytes;
    let fits = |event: &&Event| {
        left -= bytes.get(&event.id.get()).copied().unwrap_or(0);
        left >= 0
    };
    events.iter().take_while(fits).count().max(1)
}

/// Events of these channels that match; no columns yet.
fn matching(
    dialect: Dialect,
    channels: &[ChannelId],
    filter: &EventFilter,
) -> Result<SelectStatement, Error> {
    filter.check()?;
    let ids: Vec<i64> = channels.iter().map(|channel| channel.get()).collect();
    let column = |column| Expr::col(("event", column));
    let mut select = Query::select();
    select
        .from("event")
        .and_where(dialect.is_one_of(column("channel"), &ids))
        .and_where_option(
            filter
                .names
                .as_ref()
                .map(|names| column("name").is_in(names)),
        )
        .and_where_option(filter.start.map(|at| column("time_us").gte(at.micros())))
        .and_where_option(filter.end.map(|at| column("time_us").lte(at.micros())));
    if !filter.with_any_tag.is_empty() {
        select.and_where(has_any_tag(&filter.with_any_tag));
    }
    if !filter.without_tags.is_empty() {
        select.and_where(has_any_tag(&filter.without_tags).not());
    }
    Ok(select)
}

fn has_any_tag(tags: &[String]) -> Expr {
    Expr::exists(
        Query::select()
            .expr(Expr::cust("1"))
            .from("event_tag")
            .and_where(Expr::col(("event_tag", "event")).equals(("event", "id")))
            .and_where(Expr::col(("event_tag", "tag")).is_in(tags))
            .take(),
    )
}
