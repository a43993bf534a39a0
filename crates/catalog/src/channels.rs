//! Channels.

use crate::channel_rows::{
    assemble, delete_of, insert_credential, insert_tags, not_found, require, select, select_tags,
    transport_word, with_columns,
};
use crate::clips::doom_clips_of;
use crate::doom::doom_channel;
use crate::images::doom_images_of;
use crate::slice::count;
use crate::sql::{Dialect, Row, Tx};
use crate::sub_streams::is_main;
use crate::text::fold;
use crate::{Catalog, Error, Page, Slice};
use framewell_model::{
    AccountId, Channel, ChannelId, ChannelPatch, ErrorKind, GroupId, HasKind as _, NewChannel,
    StreamKind, WallTime,
};
use sea_query::{Expr, ExprTrait as _, LockType, Order, Query, SelectStatement};

/// Which channels a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelFilter {
    /// Only these ids.
    pub ids: Option<Vec<ChannelId>>,
    /// Only channels whose name contains this text, in any case.
    pub name_contains: Option<String>,
    /// Only channels that have at least one of these tags; empty for no test.
    pub with_tags: Vec<String>,
    /// Only channels that have none of these tags.
    pub without_tags: Vec<String>,
}

impl Catalog {
    /// Creates a channel.
    pub async fn create_channel(
        &self,
        account: AccountId,
        new: &NewChannel,
        now: WallTime,
    ) -> Result<Channel, Error> {
        let mut tx = self.begin("creation of a channel").await?;
        require_account(&mut tx, account).await?;
        let insert = Query::insert()
            .into_table("channel")
            .columns([
                "account",
                "name",
                "name_folded",
                "created_us",
                "rec_mode",
                "timezone",
                "retention_s",
                "source_url",
                "source_transport",
            ])
            .values_panic([
                account.get().into(),
                new.name.as_str().into(),
                fold(&new.name).into(),
                now.micros().into(),
                new.rec_mode.as_str().into(),
                new.timezone.as_str().into(),
                new.retention_s.into(),
                new.source.as_ref().map(|source| source.url.clone()).into(),
                new.source
                    .as_ref()
                    .map(|source| transport_word(source.transport))
                    .into(),
            ])
            .returning_col("id")
            .take();
        let id = only(&tx.fetch(&insert).await?)?.id("id", ChannelId::stored)?;
        if let Some(source) = &new.source {
            tx.execute(&insert_credential(id, source)).await?;
        }
        if let Some(tags) = insert_tags(id, &new.meta)? {
            tx.execute(&tags).await?;
        }
        tx.commit().await?;
        self.note_channel_change();
        Ok(Channel {
            id,
            account,
            name: new.name.clone(),
            created: now,
            rec_mode: new.rec_mode,
            timezone: new.timezone.clone(),
            source: new.source.clone(),
            retention_s: new.retention_s,
            max_bytes: None,
            image_period_us: None,
            pre_roll_us: None,
            post_roll_us: None,
            schedule: None,
            meta: new.meta.clone(),
        })
    }

    /// Loads a channel of any account.
    pub async fn load_channel(&self, id: ChannelId) -> Result<Channel, Error> {
        let one = with_columns(select())
            .and_where(Expr::col(("channel", "id")).eq(id.get()))
            .take();
        let rows = self.read("load of a channel", &one).await?;
        let tags = select_tags(Expr::col("channel").eq(id.get()));
        let tags = self.read("load of a channel", &tags).await?;
        assemble(&rows, &tags)?.pop().ok_or_else(|| not_found(id))
    }

    /// Changes a channel of the account.
    pub async fn update_channel(
        &self,
        account: AccountId,
        id: ChannelId,
        patch: &ChannelPatch,
    ) -> Result<Channel, Error> {
        let mut tx = self.begin("change of a channel").await?;
        require(&mut tx, id, Some(account), LockType::NoKeyUpdate).await?;
        let channel = change(&mut tx, id, patch).await?;
        if patch.timezone.is_some() {
            // One place, one time zone.
            let update = Query::update()
                .table("channel")
                .value("timezone", channel.timezone.as_str())
                .and_where(Expr::col("id").eq(id.of(StreamKind::Sub).get()))
                .take();
            tx.execute(&update).await?;
        }
        tx.commit().await?;
        self.note_channel_change();
        Ok(channel)
    }

    /// Deletes a channel of the account with its sub stream, tags, group memberships, tokens, gaps and metadata
    /// documents; its segments, stored pictures and stored clips become doomed. Its jobs go; whoever
    /// works on one notices with the next thing it writes. [`Error::Held`] while a hold stands.
    pub async fn delete_channel(
        &self,
        account: AccountId,
        id: ChannelId,
        now: WallTime,
    ) -> Result<(), Error> {
        let mut tx = self.begin("deletion of a channel").await?;
        require(&mut tx, id, Some(account), LockType::Update).await?;
        let sub = id.of(StreamKind::Sub);
        // Its own row: who stages one of its segments locks that.
        match require(&mut tx, sub, Some(account), LockType::Update).await {
            Ok(_) => doom_all_of(&mut tx, sub, now).await?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        doom_all_of(&mut tx, id, now).await?;
        tx.commit().await?;
        self.note_channel_change();
        Ok(())
    }

    /// Channels of an account, ascending by id.
    pub async fn list_channels(
        &self,
        account: AccountId,
        filter: &ChannelFilter,
        slice: Slice,
    ) -> Result<Page<Channel>, Error> {
        let is_own = Expr::col(("channel", "account")).eq(account.get());
        self.page_of_channels(is_own, filter, slice).await
    }

    /// Channels of a group, ascending by id.
    pub async fn list_group_channels(
        &self,
        group: GroupId,
        filter: &ChannelFilter,
        slice: Slice,
    ) -> Result<Page<Channel>, Error> {
        self.page_of_channels(crate::group_rows::is_member(group), filter, slice)
            .await
    }

    /// Ids of all channels of an account, ascending.
    pub async fn list_channel_ids(&self, account: AccountId) -> Result<Vec<ChannelId>, Error> {
        let ids = Query::select()
            .column("id")
            .from("channel")
            .and_where(Expr::col("account").eq(account.get()))
            .and_where(is_main())
            .order_by("id", Order::Asc)
            .take();
        let rows = self.read("list of channel ids", &ids).await?;
        rows.iter()
            .map(|row| row.id("id", ChannelId::stored))
            .collect()
    }

    /// Every channel of every account, sub streams as channels of their own, for the reconciler.
    pub async fn all_channels(&self) -> Result<Vec<Channel>, Error> {
        let all = with_columns(select())
            .order_by(("channel", "id"), Order::Asc)
            .take();
        let rows = self.read("list of all channels", &all).await?;
        let tags = select_tags(Expr::cust("1 = 1"));
        let tags = self.read("list of all channels", &tags).await?;
        assemble(&rows, &tags)
    }

    async fn page_of_channels(
        &self,
        is_in_scope: Expr,
        filter: &ChannelFilter,
        slice: Slice,
    ) -> Result<Page<Channel>, Error> {
        const OPERATION: &str = "list of channels";
        let mut matching = select();
        matching.and_where(is_in_scope).and_where(is_main());
        restrict(&mut matching, filter, self.dialect());
        let total = only(&self.read(OPERATION, &count(&matching)).await?)?.get("total")?;
        let mut page = with_columns(matching)
            .order_by(("channel", "id"), Order::Asc)
            .take();
        slice.apply(&mut page);
        let rows = self.read(OPERATION, &page).await?;
        let ids = rows
            .iter()
            .map(|row| row.get("id"))
            .collect::<Result<Vec<i64>, _>>()?;
        let tags = select_tags(self.dialect().is_one_of(Expr::col("channel"), &ids));
        let tags = self.read(OPERATION, &tags).await?;
        Ok(Page {
            items: assemble(&rows, &tags)?,
            total,
        })
    }
}

/// A channel that a lock of the transaction keeps from changing.
pub(crate) async fn load_locked(tx: &mut Tx, id: ChannelId) -> Result<Channel, Error> {
    let one = with_columns(select())
        .and_where(Expr::col(("channel", "id")).eq(id.get()))
        .take();
    let rows = tx.fetch(&one).await?;
    let tags = tx
        .fetch(&select_tags(Expr::col("channel").eq(id.get())))
        .await?;
    assemble(&rows, &tags)?.pop().ok_or_else(|| not_found(id))
}

/// Changes such a channel.
pub(crate) async fn change(
    tx: &mut Tx,
    id: ChannelId,
    patch: &ChannelPatch,
) -> Result<Channel, Error> {
    let mut channel = load_locked(tx, id).await?;
    apply(&mut channel, patch);
    store(tx, &channel).await?;
    Ok(channel)
}

/// Removes the row of a channel, if it is there, and dooms what is stored of it. [`Error::Held`] while a hold
/// stands.
pub(crate) async fn doom_all_of(tx: &mut Tx, id: ChannelId, now: WallTime) -> Result<(), Error> {
    doom_channel(tx, id, now).await?;
    tx.execute(&doom_images_of(id, now)).await?;
    tx.execute(&doom_clips_of(id, now)).await?;
    let delete = Query::delete()
        .from_table("channel")
        .and_where(Expr::col("id").eq(id.get()))
        .take();
    tx.execute(&delete).await.map(drop)
}

fn restrict(select: &mut SelectStatement, filter: &ChannelFilter, dialect: Dialect) {
    if let Some(ids) = &filter.ids {
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        select.and_where(dialect.is_one_of(Expr::col(("channel", "id")), &ids));
    }
    if let Some(part) = &filter.name_contains {
        select.and_where(dialect.contains(Expr::col(("channel", "name_folded")), fold(part)));
    }
    if !filter.with_tags.is_empty() {
        select.and_where(Expr::exists(tagged(&filter.with_tags)));
    }
    if !filter.without_tags.is_empty() {
        select.and_where(Expr::exists(tagged(&filter.without_tags)).not());
    }
}

/// Rows for the channel of the outer statement if it has one of the tags.
fn tagged(tags: &[String]) -> SelectStatement {
    Query::select()
        .expr(Expr::cust("1"))
        .from("channel_tag")
        .and_where(Expr::col(("channel_tag", "channel")).equals(("channel", "id")))
        .and_where(Expr::col(("channel_tag", "tag")).is_in(tags))
        .take()
}

fn apply(channel: &mut Channel, patch: &ChannelPatch) {
    let patch = patch.clone();
    channel.name = patch.name.unwrap_or(std::mem::take(&mut channel.name));
    channel.rec_mode = patch.rec_mode.unwrap_or(channel.rec_mode);
    channel.timezone = patch
        .timezone
        .unwrap_or(std::mem::take(&mut channel.timezone));
    channel.source = patch.source.unwrap_or(channel.source.take());
    channel.retention_s = patch.retention_s.unwrap_or(channel.retention_s);
    channel.max_bytes = patch.max_bytes.unwrap_or(channel.max_bytes);
    channel.image_period_us = patch.image_period_us.unwrap_or(channel.image_period_us);
    channel.pre_roll_us = patch.pre_roll_us.unwrap_or(channel.pre_roll_us);
    channel.post_roll_us = patch.post_roll_us.unwrap_or(channel.post_roll_us);
    channel.schedule = patch.schedule.unwrap_or(channel.schedule.take());
    channel.meta = patch.meta.unwrap_or(std::mem::take(&mut channel.meta));
}

async fn store(tx: &mut Tx, channel: &Channel) -> Result<(), Error> {
    let source = channel.source.as_ref();
    let schedule = channel.schedule.as_ref().map(serde_json::to_string);
    let schedule = schedule.transpose();
    let schedule = schedule.map_err(|error| Error::Invalid(error.to_string()))?;
    let update = Query::update()
        .table("channel")
        .value("name", channel.name.as_str())
        .value("name_folded", fold(&channel.name))
        .value("rec_mode", channel.rec_mode.as_str())
        .value("timezone", channel.timezone.as_str())
        .value("retention_s", channel.retention_s)
        .value("max_bytes", channel.max_bytes)
        .value("image_period_us", channel.image_period_us)
        .value("pre_roll_us", channel.pre_roll_us)
        .value("post_roll_us", channel.post_roll_us)
        .value("schedule", schedule)
        .value("source_url", source.map(|source| source.url.clone()))
        .value(
            "source_transport",
            source.map(|source| transport_word(source.transport)),
        )
        .and_where(Expr::col("id").eq(channel.id.get()))
        .take();
    tx.execute(&update).await?;
    tx.execute(&delete_of("camera_credential", channel.id))
        .await?;
    if let Some(source) = source {
        tx.execute(&insert_credential(channel.id, source)).await?;
    }
    tx.execute(&delete_of("channel_tag", channel.id)).await?;
    if let Some(tags) = insert_tags(channel.id, &channel.meta)? {
        tx.execute(&tags).await?;
    }
    Ok(())
}

/// Fails unless the account exists.
pub(crate) async fn require_account(tx: &mut Tx, id: AccountId) -> Result<(), Error> {
    let select = Query::select()
        .column("id")
        .from("account")
        .and_where(Expr::col("id").eq(id.get()))
        .take();
    let rows = tx.fetch(&select).await?;
    let missing = || Error::not_found(format!("account {id}"));
    rows.first().map(drop).ok_or_else(missing)
}

/// The row of a statement that always gives one.
pub(crate) fn only(rows: &[Row]) -> Result<&Row, Error> {
    rows.first()
        .ok_or_else(|| Error::corrupt("*", "a statement that gives one row gave none"))
}
