//! How a group lies in its three tables: `channel_group`, `channel_group_member`, `channel_group_meta`.

use crate::Error;
use crate::slice::check_key;
use crate::sql::{Row, Tx};
use crate::sub_streams::is_main;
use framewell_model::{Access, AccountId, ChannelId, Group, GroupId, NewGroup, WallTime};
use sea_query::{
    Expr, ExprTrait as _, InsertStatement, LockType, Order, Query, SelectStatement, UpdateStatement,
};
use std::collections::{BTreeMap, BTreeSet};

const COLUMNS: [&str; 9] = [
    "id",
    "account",
    "name",
    "channels_access",
    "include_all_channels",
    "expire_us",
    "max_channels_amount",
    "ai_targeted",
    "created_us",
];

/// Rows inserted by one statement: three values each stay far below the limits of both databases.
const ROWS_AT_ONCE: usize = 5_000;

/// Adds the columns that [`assemble`] reads.
pub(crate) fn with_columns(mut select: SelectStatement) -> SelectStatement {
    select.columns(COLUMNS).take()
}

/// `(channel_group, channel)` of groups that a condition picks, ascending; of groups of all channels
/// too.
pub(crate) fn select_members(is_wanted: Expr) -> SelectStatement {
    Query::select()
        .expr_as(Expr::col(("channel_group", "id")), "channel_group")
        .expr_as(Expr::col(("channel", "id")), "channel")
        .from("channel_group")
        .inner_join(
            "channel",
            Expr::col(("channel", "account")).equals(("channel_group", "account")),
        )
        .and_where(is_wanted)
        .and_where(is_own_member())
        .order_by(("channel", "id"), Order::Asc)
        .take()
}

/// Whether the row of `channel` is a member of the row of `channel_group`, both of one account: listed,
/// or in a group of all channels.
fn is_own_member() -> Expr {
    let member = |column| Expr::col(("channel_group_member", column));
    let listed = Query::select()
        .expr(Expr::cust("1"))
        .from("channel_group_member")
        .and_where(member("channel_group").equals(("channel_group", "id")))
        .and_where(member("channel").equals(("channel", "id")))
        .take();
    Expr::col(("channel_group", "include_all_channels"))
        .eq(true)
        .and(is_main())
        .or(Expr::exists(listed))
}

/// `(channel_group, channel)` as listed, whether or not the group is one of all channels.
pub(crate) fn select_listed(group: GroupId) -> SelectStatement {
    Query::select()
        .columns(["channel_group", "channel"])
        .from("channel_group_member")
        .and_where(Expr::col("channel_group").eq(group.get()))
        .take()
}

/// Whether the channel of the outer statement is a member of a group now.
pub(crate) fn is_member(group: GroupId) -> Expr {
    let of_group = Query::select()
        .expr(Expr::cust("1"))
        .from("channel_group")
        .and_where(Expr::col(("channel_group", "id")).eq(group.get()))
        .and_where(Expr::col(("channel_group", "account")).equals(("channel", "account")))
        .and_where(is_own_member())
        .take();
    Expr::exists(of_group)
}

pub(crate) fn select_meta(is_wanted: Expr) -> SelectStatement {
    Query::select()
        .columns(["channel_group", "name", "value"])
        .from("channel_group_meta")
        .and_where(is_wanted)
        .take()
}

/// Reads rows of [`with_columns`], [`select_members`] and [`select_meta`].
pub(crate) fn assemble(groups: &[Row], members: &[Row], meta: &[Row]) -> Result<Vec<Group>, Error> {
    let mut channels: BTreeMap<i64, Vec<ChannelId>> = BTreeMap::new();
    for member in members {
        channels
            .entry(member.get("channel_group")?)
            .or_default()
            .push(member.id("channel", ChannelId::stored)?);
    }
    let mut tags: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
    for tag in meta {
        tags.entry(tag.get("channel_group")?)
            .or_default()
            .insert(tag.get("name")?, tag.get("value")?);
    }
    groups
        .iter()
        .map(|row| {
            let mut group = group(row)?;
            group.channels = channels.remove(&group.id.get()).unwrap_or_default();
            group.meta = tags.remove(&group.id.get()).unwrap_or_default();
            Ok(group)
        })
        .collect()
}

fn group(row: &Row) -> Result<Group, Error> {
    Ok(Group {
        id: row.id("id", GroupId::new)?,
        account: row.id("account", AccountId::new)?,
        name: row.get("name")?,
        channels: Vec::new(),
        channels_access: row.word("channels_access", Access::from_word)?,
        include_all_channels: row.get("include_all_channels")?,
        expire: row
            .get::<Option<i64>>("expire_us")?
            .map(WallTime::from_micros),
        max_channels_amount: row.get("max_channels_amount")?,
        ai_targeted: row.get("ai_targeted")?,
        meta: BTreeMap::new(),
        created: WallTime::from_micros(row.get("created_us")?),
    })
}

/// Writes the row of a group and returns its id.
pub(crate) fn insert(account: AccountId, new: &NewGroup, now: WallTime) -> InsertStatement {
    Query::insert()
        .into_table("channel_group")
        .columns(COLUMNS.into_iter().skip(1))
        .values_panic([
            account.get().into(),
            new.name.as_str().into(),
            new.channels_access.as_str().into(),
            new.include_all_channels.into(),
            new.expire.map(WallTime::micros).into(),
            new.max_channels_amount.into(),
            new.ai_targeted.into(),
            now.micros().into(),
        ])
        .returning_col("id")
        .take()
}

pub(crate) fn update(group: &Group) -> UpdateStatement {
    Query::update()
        .table("channel_group")
        .value("name", group.name.as_str())
        .value("channels_access", group.channels_access.as_str())
        .value("include_all_channels", group.include_all_channels)
        .value("expire_us", group.expire.map(WallTime::micros))
        .value("max_channels_amount", group.max_channels_amount)
        .value("ai_targeted", group.ai_targeted)
        .and_where(Expr::col("id").eq(group.id.get()))
        .take()
}

/// Replaces the list of members by one without duplicates. [`Error::NotFound`] names a channel that the account does not have.
pub(crate) async fn store_members(
    tx: &mut Tx,
    account: AccountId,
    group: GroupId,
    channels: &[ChannelId],
) -> Result<(), Error> {
    delete(tx, "channel_group_member", group).await?;
    for some in channels.chunks(ROWS_AT_ONCE) {
        require_own(tx, account, some).await?;
        let mut insert = Query::insert();
        insert
            .into_table("channel_group_member")
            .columns(["channel_group", "channel"]);
        for channel in some {
            insert.values_panic([group.get().into(), channel.get().into()]);
        }
        tx.execute(&insert).await?;
    }
    Ok(())
}

/// Fails unless the account has all of these channels, which stay until the transaction ends.
pub(crate) async fn require_own(
    tx: &mut Tx,
    account: AccountId,
    channels: &[ChannelId],
) -> Result<(), Error> {
    let ids: Vec<i64> = channels.iter().map(|id| id.get()).collect();
    let is_listed = tx.dialect().is_one_of(Expr::col("id"), &ids);
    let own = Query::select()
        .column("id")
        .from("channel")
        .and_where(Expr::col("account").eq(account.get()))
        .and_where(is_listed)
        .order_by("id", Order::Asc)
        .lock(LockType::KeyShare)
        .take();
    let rows = tx.fetch(&own).await?;
    let own = rows
        .iter()
        .map(|row| row.id("id", ChannelId::stored))
        .collect::<Result<BTreeSet<_>, _>>()?;
    match channels.iter().find(|channel| !own.contains(channel)) {
        Some(missing) => Err(crate::channel_rows::not_found(*missing)),
        None => Ok(()),
    }
}

/// Replaces the tags.
pub(crate) async fn store_meta(
    tx: &mut Tx,
    group: GroupId,
    meta: &BTreeMap<String, String>,
) -> Result<(), Error> {
    delete(tx, "channel_group_meta", group).await?;
    if meta.is_empty() {
        return Ok(());
    }
    let mut insert = Query::insert();
    insert
        .into_table("channel_group_meta")
        .columns(["channel_group", "name", "value"]);
    for (name, value) in meta {
        check_key("the name of a group's tag", name)?;
        insert.values_panic([
            group.get().into(),
            name.as_str().into(),
            value.as_str().into(),
        ]);
    }
    tx.execute(&insert).await.map(drop)
}

async fn delete(tx: &mut Tx, table: &'static str, group: GroupId) -> Result<(), Error> {
    let delete = Query::delete()
        .from_table(table)
        .and_where(Expr::col("channel_group").eq(group.get()))
        .take();
    tx.execute(&delete).await.map(drop)
}
