//! Channel groups: what one group token opens.

use crate::{Access, AccountId, ChannelId, GroupId, WallTime};
use std::collections::BTreeMap;

/// A group of channels as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Key.
    pub id: GroupId,
    /// Owner.
    pub account: AccountId,
    /// Shown to people.
    pub name: String,
    /// Members, ascending; with [`Group::include_all_channels`] the catalog fills in all of them.
    pub channels: Vec<ChannelId>,
    /// Level of the channel tokens that the group hands out.
    pub channels_access: Access,
    /// Whether every channel of the account is a member.
    pub include_all_channels: bool,
    /// When the group token stops working.
    pub expire: Option<WallTime>,
    /// Most channels the group may have.
    pub max_channels_amount: Option<i64>,
    /// The vendor's mark for groups made for an AI service.
    pub ai_targeted: bool,
    /// Tags; each value is the JSON text that was sent (a string arrives as `"\"text\""`).
    pub meta: BTreeMap<String, String>,
    /// When it was created.
    pub created: WallTime,
}

/// A group to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// Shown to people.
    pub name: String,
    /// Members; duplicates collapse.
    pub channels: Vec<ChannelId>,
    /// Level of the channel tokens that the group hands out.
    pub channels_access: Access,
    /// Whether every channel of the account is a member.
    pub include_all_channels: bool,
    /// When the group token stops working.
    pub expire: Option<WallTime>,
    /// Most channels the group may have.
    pub max_channels_amount: Option<i64>,
    /// The vendor's mark for groups made for an AI service.
    pub ai_targeted: bool,
    /// Tags, see [`Group::meta`].
    pub meta: BTreeMap<String, String>,
}

/// Changes to a group; `None` leaves a member as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPatch {
    /// New name.
    pub name: Option<String>,
    /// Replaces the member list.
    pub channels: Option<Vec<ChannelId>>,
    /// New level.
    pub channels_access: Option<Access>,
    /// New flag.
    pub include_all_channels: Option<bool>,
    /// New end; `Some(None)` removes it.
    pub expire: Option<Option<WallTime>>,
    /// New limit; `Some(None)` removes it.
    pub max_channels_amount: Option<Option<i64>>,
    /// New flag.
    pub ai_targeted: Option<bool>,
    /// Replaces the tags.
    pub meta: Option<BTreeMap<String, String>>,
}
