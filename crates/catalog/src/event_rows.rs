//! How an event lies in its tables: `event`, `event_tag`, `event_file`.

use crate::Error;
use crate::slice::check_key;
use crate::sql::Row;
use framewell_model::{ChannelId, Event, EventId, EventSource, NewEvent, WallTime};
use sea_query::{Expr, Query, SelectStatement};
use std::collections::BTreeMap;

/// Adds the columns that [`event`] reads.
pub(crate) fn with_columns(mut select: SelectStatement) -> SelectStatement {
    let columns = [
        "id",
        "revision",
        "channel",
        "name",
        "time_us",
        "created_us",
        "source",
        "has_file",
        "notify",
    ];
    select
        .columns(columns.map(|column| ("event", column)))
        .take()
}

/// An event without its tags.
pub(crate) fn event(row: &Row) -> Result<Event, Error> {
    Ok(Event {
        id: row.id("id", EventId::new)?,
        channel: row.id("channel", ChannelId::stored)?,
        name: row.get("name")?,
        time: WallTime::from_micros(row.get("time_us")?),
        created: WallTime::from_micros(row.get("created_us")?),
        source: row.word("source", EventSource::from_word)?,
        tags: BTreeMap::new(),
        has_file: row.get("has_file")?,
        notify: row.get("notify")?,
        revision: row.get("revision")?,
    })
}

/// The tags of the events that a condition on `event_tag` picks.
pub(crate) fn select_tags(is_wanted: Expr) -> SelectStatement {
    Query::select()
        .columns(["event", "tag", "data"])
        .from("event_tag")
        .and_where(is_wanted)
        .take()
}

/// Puts rows of [`select_tags`] into their events.
pub(crate) fn distribute_tags(events: &mut [Event], tags: &[Row]) -> Result<(), Error> {
    let mut by_event: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
    for tag in tags {
        by_event
            .entry(tag.get("event")?)
            .or_default()
            .insert(tag.get("tag")?, tag.get("data")?);
    }
    for event in events {
        event.tags = by_event.remove(&event.id.get()).unwrap_or_default();
    }
    Ok(())
}

/// Most tags of one event.
const MOST_TAGS: i64 = 256;
/// Most bytes of all its tags with their data: every reader of the event gets them.
const MOST_TAG_BYTES: i64 = 64 << 10;

/// The columns `tags` and `bytes` of tags: how many they are, and how long with their data.
pub(crate) fn with_tag_sums(mut select: SelectStatement) -> SelectStatement {
    let bytes = "CAST(COALESCE(SUM(OCTET_LENGTH(tag) + OCTET_LENGTH(data)), 0) AS BIGINT)";
    select
        .expr_as(Expr::cust("COUNT(*)"), "tags")
        .expr_as(Expr::cust(bytes), "bytes")
        .from("event_tag")
        .take()
}

/// Refuses more tags than an event may have.
pub(crate) fn check_tag_sums(tags: i64, bytes: i64) -> Result<(), Error> {
    if tags > MOST_TAGS || bytes > MOST_TAG_BYTES {
        let text = format!(
            "an event takes {MOST_TAGS} tags at most, of {MOST_TAG_BYTES} bytes with their data"
        );
        return Err(Error::Invalid(text));
    }
    Ok(())
}

/// [`Error::Invalid`] for an event that could not be written, before anything of it is.
pub fn check_event(new: &NewEvent) -> Result<(), Error> {
    check_key("the name of an event", &new.name)?;
    let count = i64::try_from(new.tags.len()).unwrap_or(i64::MAX);
    let tags = || new.tags.iter();
    check_tag_sums(count, tags().map(|(tag, data)| tag_bytes(tag, data)).sum())?;
    for (tag, _) in tags() {
        check_key("the name of a tag", tag)?;
    }
    let mut texts = tags().flat_map(|(tag, data)| [tag, data]);
    if new.name.contains('\0') || texts.any(|text| text.contains('\0')) {
        return Err(Error::Invalid("an event contains the character NUL".into()));
    }
    Ok(())
}

/// Bytes of a tag with its data, as [`with_tag_sums`] counts them.
pub(crate) fn tag_bytes(tag: &str, data: &str) -> i64 {
    i64::try_from(tag.len().saturating_add(data.len())).unwrap_or(i64::MAX)
}

/// The statement that writes tags of an event, which has none of them yet; `None` for no tags.
pub(crate) fn insert_tags(
    event: EventId,
    tags: &BTreeMap<String, String>,
) -> Result<Option<sea_query::InsertStatement>, Error> {
    let count = i64::try_from(tags.len()).unwrap_or(i64::MAX);
    let bytes = tags.iter().map(|(tag, data)| tag_bytes(tag, data)).sum();
    check_tag_sums(count, bytes)?;
    let mut insert = Query::insert();
    insert
        .into_table("event_tag")
        .columns(["event", "tag", "data"]);
    for (tag, data) in tags {
        check_key("the name of a tag", tag)?;
        insert.values_panic([
            event.get().into(),
            tag.as_str().into(),
            data.as_str().into(),
        ]);
    }
    Ok((!tags.is_empty()).then_some(insert))
}
