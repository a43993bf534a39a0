//! How a channel lies in its three tables: `channel`, `camera_credential`, `channel_tag`.
//!
//! The password is stored as it came: this crate has no key to seal it with. It has a table of its own
//! and leaves it as a [`Secret`] only; the database file is readable by its owner only.

use crate::Error;
use crate::slice::check_key;
use crate::sql::{Row, Tx};
use framewell_model::{
    AccountId, CameraSource, Channel, ChannelId, RecMode, RtspTransport, Schedule, Secret, WallTime,
};
use sea_query::{
    DeleteStatement, Expr, ExprTrait as _, InsertStatement, LockType, Query, SelectStatement,
};
use std::collections::BTreeMap;

/// Tables, but no columns: for [`crate::slice::count`] and [`with_columns`].
pub(crate) fn select() -> SelectStatement {
    Query::select().from("channel").take()
}

/// Adds columns and the table of credentials.
pub(crate) fn with_columns(mut select: SelectStatement) -> SelectStatement {
    select
        .left_join(
            "camera_credential",
            Expr::col(("camera_credential", "channel")).equals(("channel", "id")),
        )
        .columns([
            ("channel", "id"),
            ("channel", "account"),
            ("channel", "name"),
            ("channel", "created_us"),
            ("channel", "rec_mode"),
            ("channel", "timezone"),
            ("channel", "retention_s"),
            ("channel", "max_bytes"),
            ("channel", "image_period_us"),
            ("channel", "pre_roll_us"),
            ("channel", "post_roll_us"),
            ("channel", "schedule"),
            ("channel", "source_url"),
            ("channel", "source_transport"),
            ("camera_credential", "login"),
            ("camera_credential", "password"),
        ])
        .take()
}

/// The tags of the channels that a condition picks.
pub(crate) fn select_tags(is_wanted: Expr) -> SelectStatement {
    Query::select()
        .columns(["channel", "tag", "data"])
        .from("channel_tag")
        .and_where(is_wanted)
        .take()
}

/// Reads rows of [`with_columns`], in their order, and of [`select_tags`], in any order.
pub(crate) fn assemble(rows: &[Row], tags: &[Row]) -> Result<Vec<Channel>, Error> {
    let mut tags_by_channel: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
    for tag in tags {
        tags_by_channel
            .entry(tag.get("channel")?)
            .or_default()
            .insert(tag.get("tag")?, tag.get("data")?);
    }
    rows.iter()
        .map(|row| {
            let mut channel = channel(row)?;
            channel.meta = tags_by_channel
                .remove(&channel.id.get())
                .unwrap_or_default();
            Ok(channel)
        })
        .collect()
}

fn channel(row: &Row) -> Result<Channel, Error> {
    Ok(Channel {
        id: row.id("id", ChannelId::stored)?,
        account: row.id("account", AccountId::new)?,
        name: row.get("name")?,
        created: WallTime::from_micros(row.get("created_us")?),
        rec_mode: row.word("rec_mode", RecMode::from_word)?,
        timezone: row.get("timezone")?,
        source: source(row)?,
        retention_s: row.get("retention_s")?,
        max_bytes: row.get("max_bytes")?,
        image_period_us: row.get("image_period_us")?,
        pre_roll_us: row.get("pre_roll_us")?,
        post_roll_us: row.get("post_roll_us")?,
        schedule: schedule(row)?,
        meta: BTreeMap::new(),
    })
}

fn schedule(row: &Row) -> Result<Option<Schedule>, Error> {
    let text = row.get::<Option<String>>("schedule")?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| Error::corrupt("schedule", error))
}

fn source(row: &Row) -> Result<Option<CameraSource>, Error> {
    let Some(url) = row.get::<Option<String>>("source_url")? else {
        return Ok(None);
    };
    let text = |column| Ok::<String, Error>(row.get::<Option<String>>(column)?.unwrap_or_default());
    Ok(Some(CameraSource {
        url,
        login: text("login")?,
        password: Secret::new(text("password")?),
        transport: row.word("source_transport", transport_from_word)?,
    }))
}

pub(crate) fn transport_word(transport: RtspTransport) -> &'static str {
    match transport {
        RtspTransport::Tcp => "tcp",
        RtspTransport::Udp => "udp",
    }
}

fn transport_from_word(word: &str) -> Option<RtspTransport> {
    [RtspTransport::Tcp, RtspTransport::Udp]
        .into_iter()
        .find(|transport| transport_word(*transport) == word)
}

/// Writes the credentials of a channel, which has none yet.
pub(crate) fn insert_credential(channel: ChannelId, source: &CameraSource) -> InsertStatement {
    Query::insert()
        .into_table("camera_credential")
        .columns(["channel", "login", "password"])
        .values_panic([
            channel.get().into(),
            source.login.as_str().into(),
            source.password.expose().as_str().into(),
        ])
        .take()
}

/// Writes tags of a channel, which has none of them yet; `None` if there are none to write.
pub(crate) fn insert_tags(
    channel: ChannelId,
    tags: &BTreeMap<String, String>,
) -> Result<Option<InsertStatement>, Error> {
    let mut insert = Query::insert();
    insert
        .into_table("channel_tag")
        .columns(["channel", "tag", "data"]);
    for (tag, data) in tags {
        check_key("the name of a tag", tag)?;
        insert.values_panic([
            channel.get().into(),
            tag.as_str().into(),
            data.as_str().into(),
        ]);
    }
    Ok((!tags.is_empty()).then_some(insert))
}

/// Deletes a channel's rows in a side table.
pub(crate) fn delete_of(table: &'static str, channel: ChannelId) -> DeleteStatement {
    Query::delete()
        .from_table(table)
        .and_where(Expr::col("channel").eq(channel.get()))
        .take()
}

/// Fails unless the channel exists, in this account where one is given. The row stays locked until
/// the transaction ends: nobody deletes the channel meanwhile.
pub(crate) async fn require(
    tx: &mut Tx,
    id: ChannelId,
    account: Option<AccountId>,
    lock: LockType,
) -> Result<(), Error> {
    let statement = Query::select()
        .column("id")
        .from("channel")
        .and_where(Expr::col("id").eq(id.get()))
        .and_where_option(account.map(|account| Expr::col("account").eq(account.get())))
        .lock(lock)
        .take();
    let rows = tx.fetch(&statement).await?;
    rows.first().map(drop).ok_or_else(|| not_found(id))
}

pub(crate) fn not_found(id: ChannelId) -> Error {
    Error::not_found(format!("channel {id}"))
}
