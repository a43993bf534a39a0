//! Channels and their tags.

use crate::{Catalog, Error, Page, Slice};
use framewell_model::{AccountId, Channel, ChannelId, ChannelPatch, GroupId, NewChannel, WallTime};
use std::collections::BTreeMap;

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
        let _ = (account, new, now);
        todo!()
    }

    /// Loads a channel of any account.
    pub async fn load_channel(&self, id: ChannelId) -> Result<Channel, Error> {
        let _ = id;
        todo!()
    }

    /// Changes a channel of the account.
    pub async fn update_channel(
        &self,
        account: AccountId,
        id: ChannelId,
        patch: &ChannelPatch,
    ) -> Result<Channel, Error> {
        let _ = (account, id, patch);
        todo!()
    }

    /// Deletes a channel of the account with its tags, group memberships, tokens, gaps and metadata
    /// documents; its segments become doomed.
    pub async fn delete_channel(
        &self,
        account: AccountId,
        id: ChannelId,
        now: WallTime,
    ) -> Result<(), Error> {
        let _ = (account, id, now);
        todo!()
    }

    /// Channels of an account, ascending by id.
    pub async fn list_channels(
        &self,
        account: AccountId,
        filter: &ChannelFilter,
        slice: Slice,
    ) -> Result<Page<Channel>, Error> {
        let _ = (account, filter, slice);
        todo!()
    }

    /// Channels of a group, ascending by id.
    pub async fn list_group_channels(
        &self,
        group: GroupId,
        filter: &ChannelFilter,
        slice: Slice,
    ) -> Result<Page<Channel>, Error> {
        let _ = (group, filter, slice);
        todo!()
    }

    /// Every channel of every account, for the reconciler.
    pub async fn all_channels(&self) -> Result<Vec<Channel>, Error> {
        todo!()
    }

    /// Adds a tag; [`Error::AlreadyExists`] if the channel has it.
    pub async fn create_channel_tag(
        &self,
        id: ChannelId,
        tag: &str,
        data: &str,
    ) -> Result<(), Error> {
        let _ = (id, tag, data);
        todo!()
    }

    /// Sets a tag, new or not.
    pub async fn put_channel_tag(&self, id: ChannelId, tag: &str, data: &str) -> Result<(), Error> {
        let _ = (id, tag, data);
        todo!()
    }

    /// Removes a tag; [`Error::NotFound`] if the channel does not have it.
    pub async fn delete_channel_tag(&self, id: ChannelId, tag: &str) -> Result<(), Error> {
        let _ = (id, tag);
        todo!()
    }

    /// All tags of a channel.
    pub async fn load_channel_tags(
        &self,
        id: ChannelId,
    ) -> Result<BTreeMap<String, String>, Error> {
        let _ = id;
        todo!()
    }
}
