//! Rows behind tokens: what a serial number opens, and whether it is revoked. No token text here.

use crate::{Catalog, Error};
use framewell_model::{Access, AccountId, ChannelId, GroupId, TokenSerial, WallTime};

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenTarget {
    /// License key of an account.
    Account(AccountId),
    /// A channel, at a level.
    Channel(ChannelId, Access),
    /// A group.
    Group(GroupId),
}

/// A token's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Serial number.
    pub serial: TokenSerial,
    /// Owner of what it opens.
    pub account: AccountId,
    /// What it opens.
    pub target: TokenTarget,
    /// When it was issued, whole seconds.
    pub created: WallTime,
    /// Lifetime in seconds from `created`.
    pub lifetime_s: i64,
    /// When it was revoked, if it was.
    pub revoked: Option<WallTime>,
}

impl Catalog {
    /// The standing token of a target: made at the first call, the same row at every later one, until
    /// it is revoked. Safe against two callers at once.
    pub async fn ensure_token(
        &self,
        account: AccountId,
        target: TokenTarget,
        now: WallTime,
    ) -> Result<TokenRow, Error> {
        let _ = (account, target, now);
        todo!()
    }

    /// The standing tokens of many channels at both levels, in one round trip (lists show them).
    pub async fn ensure_channel_tokens(
        &self,
        account: AccountId,
        channels: &[ChannelId],
        now: WallTime,
    ) -> Result<Vec<TokenRow>, Error> {
        let _ = (account, channels, now);
        todo!()
    }

    /// The row of a serial number, revoked or not.
    pub async fn load_token(&self, serial: TokenSerial) -> Result<TokenRow, Error> {
        let _ = serial;
        todo!()
    }

    /// Revokes a token for good; the next [`Catalog::ensure_token`] makes another.
    pub async fn revoke_token(&self, serial: TokenSerial, now: WallTime) -> Result<(), Error> {
        let _ = (serial, now);
        todo!()
    }
}
