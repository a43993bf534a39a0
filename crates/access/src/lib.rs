//! Who may do what: credentials in, [`Grant`] out, checked against the catalog at every call.

use framewell_catalog::{Catalog, TokenTarget};
use framewell_model::{
    Access as Level, AccountId, ChannelId, ErrorKind, Grant, GroupId, HasKind, Right, Secret,
    WallClock, WallTime,
};
use framewell_token::{SigningKey, TokenError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A credential that opens nothing, or not this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Missing, malformed, unsigned, expired or revoked.
    #[error("{0}")]
    Unauthenticated(String),
    /// Valid, without the right. The text says which right is missing.
    #[error("{0}")]
    Denied(String),
    /// The thing is not behind this credential; the same answer as for one that does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The database.
    #[error("checking a credential failed")]
    Catalog(#[from] framewell_catalog::Error),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unauthenticated(_) => ErrorKind::Unauthenticated,
            Self::Denied(_) => ErrorKind::PermissionDenied,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Catalog(source) => source.kind(),
        }
    }
}

/// A credential as a client sent it.
#[derive(Debug, Clone)]
pub enum Credential {
    /// `LKey`.
    License(Secret<String>),
    /// `Acc`: outer base64 or inner text of a channel token.
    Channel(Secret<String>),
    /// `SI`: outer base64 or inner text of a group token.
    Group(Secret<String>),
    /// `?token=` or `Bearer`: any of them; told apart by its form.
    Any(Secret<String>),
}

/// The gate; cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    catalog: Catalog,
    key: SigningKey,
    clock: Arc<dyn WallClock>,
}

impl Access {
    /// Joins the parts.
    #[must_use]
    pub fn new(catalog: Catalog, key: SigningKey, clock: Arc<dyn WallClock>) -> Self {
        Self {
            catalog,
            key,
            clock,
        }
    }

    /// Creates an account and its license key, which is never shown again.
    pub async fn create_account(&self, name: &str) -> Result<(AccountId, Secret<String>), Error> {
        let _ = (name, &self.catalog, &self.key, &self.clock);
        todo!()
    }

    /// Verifies a credential.
    pub async fn authenticate(&self, credential: &Credential) -> Result<Grant, Error> {
        let _ = credential;
        todo!()
    }

    /// Whether the grant has the right on this channel, now: account ownership, the token's own
    /// channel, or group membership at this moment. `NotFound` hides channels of others.
    pub async fn check_channel(
        &self,
        grant: &Grant,
        channel: ChannelId,
        right: Right,
    ) -> Result<(), Error> {
        let _ = (grant, channel, right);
        todo!()
    }

    /// All channels behind the grant.
    pub async fn channels(&self, grant: &Grant) -> Result<Vec<ChannelId>, Error> {
        let _ = grant;
        todo!()
    }

    /// Inner tokens of channels at a level (the same text at every call until revoked).
    pub async fn channel_tokens(
        &self,
        account: AccountId,
        channels: &[ChannelId],
    ) -> Result<BTreeMap<(ChannelId, Level), Secret<String>>, Error> {
        let _ = (account, channels);
        todo!()
    }

    /// Inner token of a group (the same text at every call until revoked).
    pub async fn group_token(
        &self,
        account: AccountId,
        group: GroupId,
    ) -> Result<Secret<String>, Error> {
        let _ = (account, group);
        todo!()
    }

    /// Revokes the standing token of a target.
    pub async fn revoke(&self, account: AccountId, target: TokenTarget) -> Result<(), Error> {
        let _ = (account, target);
        todo!()
    }

    /// A ticket for a media URL.
    #[must_use]
    pub fn ticket(&self, scope: &MediaScope, expire: WallTime) -> String {
        let _ = (scope, expire);
        todo!()
    }

    /// Verifies a ticket from a media URL.
    pub fn check_ticket(&self, text: &str, scope: &MediaScope) -> Result<(), TokenError> {
        let _ = (text, scope);
        todo!()
    }
}

/// What a media ticket opens: exactly one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaScope {
    /// Live streams of a channel, on every protocol.
    Live(ChannelId),
    /// One recorded segment.
    Record(ChannelId, framewell_model::RecordId),
    /// One picture of a channel at an instant.
    Image(ChannelId, WallTime),
}
