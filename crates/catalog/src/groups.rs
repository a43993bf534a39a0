//! Channel groups.

use crate::{Catalog, Error, Page, Slice};
use framewell_model::{AccountId, ChannelId, Group, GroupId, GroupPatch, NewGroup, WallTime};
use sea_query::{Expr, ExprTrait as _, Query};

impl Catalog {
    /// Creates a group; [`Error::NotFound`] names a channel that the account does not have.
    pub async fn create_group(
        &self,
        account: AccountId,
        new: &NewGroup,
        now: WallTime,
    ) -> Result<Group, Error> {
        let _ = (account, new, now);
        todo!()
    }

    /// Loads a group of any account; `channels` is filled in for "all channels" groups too.
    pub async fn load_group(&self, id: GroupId) -> Result<Group, Error> {
        let _ = id;
        todo!()
    }

    /// Changes a group of the account.
    pub async fn update_group(
        &self,
        account: AccountId,
        id: GroupId,
        patch: &GroupPatch,
    ) -> Result<Group, Error> {
        let _ = (account, id, patch);
        todo!()
    }

    /// Deletes a group and its token.
    pub async fn delete_group(&self, account: AccountId, id: GroupId) -> Result<(), Error> {
        let _ = (account, id);
        todo!()
    }

    /// Groups of an account, ascending by id; optionally only those made for an AI service.
    pub async fn list_groups(
        &self,
        account: AccountId,
        ai_targeted: Option<bool>,
        slice: Slice,
    ) -> Result<Page<Group>, Error> {
        let _ = (account, ai_targeted, slice);
        todo!()
    }

    /// Whether a channel is a member now.
    pub async fn group_has_channel(
        &self,
        group: GroupId,
        channel: ChannelId,
    ) -> Result<bool, Error> {
        let _ = (group, channel);
        todo!()
    }
}

/// Whether the channel of the outer statement is a member: listed, or of the same account in a group of
/// all channels.
pub(crate) fn is_member(group: GroupId) -> Expr {
    let listed = Query::select()
        .expr(Expr::cust("1"))
        .from("channel_group_member")
        .and_where(
            Expr::col(("channel_group_member", "channel_group")).equals(("channel_group", "id")),
        )
        .and_where(Expr::col(("channel_group_member", "channel")).equals(("channel", "id")))
        .take();
    let of_group = Query::select()
        .expr(Expr::cust("1"))
        .from("channel_group")
        .and_where(Expr::col(("channel_group", "id")).eq(group.get()))
        .and_where(Expr::col(("channel_group", "account")).equals(("channel", "account")))
        .and_where(
            Expr::col(("channel_group", "include_all_channels"))
                .eq(true)
                .or(Expr::exists(listed)),
        )
        .take();
    Expr::exists(of_group)
}
