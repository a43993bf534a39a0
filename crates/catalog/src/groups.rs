//! Channel groups.

use crate::channels::{only, require_account};
use crate::group_rows::{
    assemble, insert, is_member, select_listed, select_members, select_meta, store_members,
    store_meta, update, with_columns,
};
use crate::slice::count;
use crate::{Catalog, Error, Page, Slice};
use framewell_model::{AccountId, ChannelId, Group, GroupId, GroupPatch, NewGroup, WallTime};
use sea_query::{Expr, ExprTrait as _, LockType, Order, Query};

impl Catalog {
    /// Creates a group; [`Error::NotFound`] names a channel that the account does not have,
    /// [`Error::Invalid`] a list longer than the group's limit.
    pub async fn create_group(
        &self,
        account: AccountId,
        new: &NewGroup,
        now: WallTime,
    ) -> Result<Group, Error> {
        let channels = without_duplicates(&new.channels);
        if !new.include_all_channels {
            check_limit(&channels, new.max_channels_amount)?;
        }
        let mut tx = self.begin("creation of a group").await?;
        require_account(&mut tx, account).await?;
        let rows = tx.fetch(&insert(account, new, now)).await?;
        let id = only(&rows)?.id("id", GroupId::new)?;
        store_members(&mut tx, account, id, &channels).await?;
        store_meta(&mut tx, id, &new.meta).await?;
        tx.commit().await?;
        self.load_group(id).await
    }

    /// Loads a group of any account; `channels` is filled in for "all channels" groups too.
    pub async fn load_group(&self, id: GroupId) -> Result<Group, Error> {
        const OPERATION: &str = "load of a group";
        let one = with_columns(Query::select().from("channel_group").take())
            .and_where(Expr::col("id").eq(id.get()))
            .take();
        let rows = self.read(OPERATION, &one).await?;
        let members = select_members(Expr::col(("channel_group", "id")).eq(id.get()));
        let members = self.read(OPERATION, &members).await?;
        let meta = select_meta(Expr::col("channel_group").eq(id.get()));
        let meta = self.read(OPERATION, &meta).await?;
        assemble(&rows, &members, &meta)?
            .pop()
            .ok_or_else(|| not_found(id))
    }

    /// Changes a group of the account. Errors as of [`Catalog::create_group`].
    pub async fn update_group(
        &self,
        account: AccountId,
        id: GroupId,
        patch: &GroupPatch,
    ) -> Result<Group, Error> {
        let mut tx = self.begin("change of a group").await?;
        let one = with_columns(Query::select().from("channel_group").take())
            .and_where(Expr::col("id").eq(id.get()))
            .and_where(Expr::col("account").eq(account.get()))
            .lock(LockType::NoKeyUpdate)
            .take();
        let rows = tx.fetch(&one).await?;
        let listed = tx.fetch(&select_listed(id)).await?;
        let mut group = assemble(&rows, &listed, &[])?
            .pop()
            .ok_or_else(|| not_found(id))?;
        apply(&mut group, patch);
        if !group.include_all_channels {
            check_limit(&group.channels, group.max_channels_amount)?;
        }
        tx.execute(&update(&group)).await?;
        if patch.channels.is_some() {
            store_members(&mut tx, account, id, &group.channels).await?;
        }
        if let Some(meta) = &patch.meta {
            store_meta(&mut tx, id, meta).await?;
        }
        tx.commit().await?;
        self.load_group(id).await
    }

    /// Deletes a group and its token.
    pub async fn delete_group(&self, account: AccountId, id: GroupId) -> Result<(), Error> {
        let delete = Query::delete()
            .from_table("channel_group")
            .and_where(Expr::col("id").eq(id.get()))
            .and_where(Expr::col("account").eq(account.get()))
            .take();
        if self.execute("deletion of a group", &delete).await? == 0 {
            return Err(not_found(id));
        }
        Ok(())
    }

    /// Groups of an account, ascending by id; optionally only those made for an AI service.
    pub async fn list_groups(
        &self,
        account: AccountId,
        ai_targeted: Option<bool>,
        slice: Slice,
    ) -> Result<Page<Group>, Error> {
        const OPERATION: &str = "list of groups";
        let matching = Query::select()
            .from("channel_group")
            .and_where(Expr::col("account").eq(account.get()))
            .and_where_option(ai_targeted.map(|wanted| Expr::col("ai_targeted").eq(wanted)))
            .take();
        let total = only(&self.read(OPERATION, &count(&matching)).await?)?.get("total")?;
        let mut page = with_columns(matching).order_by("id", Order::Asc).take();
        slice.apply(&mut page);
        let rows = self.read(OPERATION, &page).await?;
        let ids = rows
            .iter()
            .map(|row| row.get("id"))
            .collect::<Result<Vec<i64>, _>>()?;
        let is_listed = |column| self.dialect().is_one_of(column, &ids);
        let members = select_members(is_listed(Expr::col(("channel_group", "id"))));
        let members = self.read(OPERATION, &members).await?;
        let meta = select_meta(is_listed(Expr::col("channel_group")));
        let meta = self.read(OPERATION, &meta).await?;
        Ok(Page {
            items: assemble(&rows, &members, &meta)?,
            total,
        })
    }

    /// Whether a channel is a member now.
    pub async fn group_has_channel(
        &self,
        group: GroupId,
        channel: ChannelId,
    ) -> Result<bool, Error> {
        let select = Query::select()
            .column("id")
            .from("channel")
            .and_where(Expr::col("id").eq(channel.get()))
            .and_where(is_member(group))
            .take();
        let rows = self.read("test of a group's membership", &select).await?;
        Ok(!rows.is_empty())
    }
}

fn apply(group: &mut Group, patch: &GroupPatch) {
    let patch = patch.clone();
    group.name = patch.name.unwrap_or(std::mem::take(&mut group.name));
    if let Some(channels) = patch.channels {
        group.channels = without_duplicates(&channels);
    }
    group.channels_access = patch.channels_access.unwrap_or(group.channels_access);
    group.include_all_channels = patch
        .include_all_channels
        .unwrap_or(group.include_all_channels);
    group.expire = patch.expire.unwrap_or(group.expire);
    group.max_channels_amount = patch
        .max_channels_amount
        .unwrap_or(group.max_channels_amount);
    group.ai_targeted = patch.ai_targeted.unwrap_or(group.ai_targeted);
}

fn without_duplicates(channels: &[ChannelId]) -> Vec<ChannelId> {
    let mut channels = channels.to_vec();
    channels.sort_unstable();
    channels.dedup();
    channels
}

/// The limit binds the list; a group of all channels has as many as there are.
fn check_limit(channels: &[ChannelId], most: Option<i64>) -> Result<(), Error> {
    let amount = i64::try_from(channels.len()).unwrap_or(i64::MAX);
    match most {
        Some(most) if amount > most => {
            let text = format!("the group may have {most} channels, not {amount}");
            Err(Error::Invalid(text))
        }
        _ => Ok(()),
    }
}

fn not_found(id: GroupId) -> Error {
    Error::not_found(format!("group {id}"))
}
