//! Channel groups.

use crate::{Catalog, Error, Page, Slice};
use framewell_model::{AccountId, ChannelId, Group, GroupId, GroupPatch, NewGroup, WallTime};

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
