//! What a credential allows.

use crate::{AccountId, ChannelId, GroupId, TokenSerial, WallTime};
use serde::{Deserialize, Serialize};

/// Level of a channel or group token, in the words of the contract (section 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everything on the channel.
    All,
    /// Reading pictures, clips, streams and events.
    Watch,
}

impl Access {
    /// The contract's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Watch => "watch",
        }
    }

    /// Reads the contract's word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "all" => Some(Self::All),
            "watch" => Some(Self::Watch),
            _ => None,
        }
    }

    /// The rights of this level on a channel.
    #[must_use]
    pub const fn rights(self) -> RightSet {
        match self {
            Self::All => RightSet::of(&[
                Right::Watch,
                Right::Create,
                Right::Meta,
                Right::Configure,
                Right::Publish,
            ]),
            Self::Watch => RightSet::of(&[Right::Watch]),
        }
    }
}

/// One thing a route may need. Every route names exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Right {
    /// Read channels, pictures, clips, streams, records, events.
    Watch = 1,
    /// Make stored pictures, clips, events.
    Create = 2,
    /// Read and write metadata documents.
    Meta = 4,
    /// Change a channel's settings.
    Configure = 8,
    /// Administer the account: channels, groups, tokens.
    Admin = 16,
    /// Send a channel's video to the server.
    Publish = 32,
}

/// A set of [`Right`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RightSet(u8);

impl RightSet {
    /// The set of the given rights.
    #[must_use]
    pub const fn of(rights: &[Right]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < rights.len() {
            bits |= rights[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// Whether `right` is in the set.
    #[must_use]
    pub const fn has(self, right: Right) -> bool {
        self.0 & right as u8 != 0
    }

    /// Whether every right of `other` is in the set.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }
}

/// Who is asking, as the catalog knows it. Never built from what a client claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Principal {
    /// The holder of a license key.
    Account(AccountId),
    /// The holder of a channel token.
    Channel(ChannelId),
    /// The holder of a group token.
    Group(GroupId),
}

/// A verified credential and what it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who is asking.
    pub principal: Principal,
    /// The account that owns everything the grant reaches.
    pub account: AccountId,
    /// What may be done.
    pub rights: RightSet,
    /// When it ends; `None` for never.
    pub expire: Option<WallTime>,
    /// Serial number of the token or license key.
    pub serial: Option<TokenSerial>,
}

/// Whose something is that outlives one request: a session, a place, a media ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The account that pays for it.
    pub account: AccountId,
    /// The token or license key that it was opened with; its row says what it opens today.
    pub serial: Option<TokenSerial>,
}

impl From<&Grant> for Holder {
    fn from(grant: &Grant) -> Self {
        Self {
            account: grant.account,
            serial: grant.serial,
        }
    }
}
