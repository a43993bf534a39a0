//! Making and revoking credentials.

use crate::{Access, Error, MediaScope};
use framewell_catalog::{TokenRow, TokenTarget};
use framewell_model::{Access as Level, AccountId, ChannelId, GroupId, Holder, Secret, WallTime};
use framewell_token::{
    MediaTicket, ShareToken, TokenError, license_key, media_ticket, share_token,
    verify_media_ticket,
};
use std::collections::BTreeMap;

impl Access {
    /// Creates an account and its license key, which is never shown again.
    pub async fn create_account(&self, name: &str) -> Result<(AccountId, Secret<String>), Error> {
        let now = self.clock.now();
        let account = self.catalog.create_account(name, now).await?.id;
        Ok((account, self.license_of(account).await?))
    }

    /// Revokes the license key of an account and makes another, for an owner who lost it.
    pub async fn renew_license_key(&self, account: AccountId) -> Result<Secret<String>, Error> {
        self.revoke(account, TokenTarget::Account(account)).await?;
        self.license_of(account).await
    }

    async fn license_of(&self, account: AccountId) -> Result<Secret<String>, Error> {
        let row = self
            .catalog
            .ensure_token(account, TokenTarget::Account(account), self.clock.now())
            .await?;
        Ok(Secret::new(license_key(&self.key, row.serial)))
    }

    /// Inner tokens of channels at both levels (the same text at every call until revoked). Channels of
    /// other accounts are an error.
    pub async fn channel_tokens(
        &self,
        account: AccountId,
        channels: &[ChannelId],
    ) -> Result<BTreeMap<(ChannelId, Level), Secret<String>>, Error> {
        let now = self.clock.now();
        let rows = self
            .catalog
            .ensure_channel_tokens(account, channels, now)
            .await?;
        let tokens = rows.iter().filter_map(|row| match row.target {
            TokenTarget::Channel(channel, level) => Some(((channel, level), self.text_of(row))),
            _ => None,
        });
        Ok(tokens.collect())
    }

    /// Inner token of a group (the same text at every call until revoked).
    pub async fn group_token(
        &self,
        account: AccountId,
        group: GroupId,
    ) -> Result<Secret<String>, Error> {
        let target = TokenTarget::Group(group);
        let row = self
            .catalog
            .ensure_token(account, target, self.clock.now())
            .await?;
        Ok(self.text_of(&row))
    }

    /// Revokes the standing token of a target; the next call for it makes another. Acts on the next
    /// call that shows the old one.
    pub async fn revoke(&self, account: AccountId, target: TokenTarget) -> Result<(), Error> {
        let now = self.clock.now();
        Ok(self
            .catalog
            .revoke_standing_token(account, target, now)
            .await?)
    }

    /// A ticket for a media URL, good until `expire` (whole seconds, rounded down). What it opens for
    /// long ends with the token of its holder ([`Access::admit_ticket`]); the ticket itself cannot be revoked,
    /// so keep it short.
    #[must_use]
    pub fn ticket(&self, holder: Holder, scope: &MediaScope, expire: WallTime) -> String {
        media_ticket(&self.key, holder, &scope.to_string(), expire)
    }

    /// Verifies a ticket from a media URL: who asked for it, and when it ends. By its signature alone, which is
    /// enough for single pictures and files.
    pub fn check_ticket(&self, text: &str, scope: &MediaScope) -> Result<MediaTicket, TokenError> {
        verify_media_ticket(&self.key, text, &scope.to_string(), self.clock.now())
    }

    pub(crate) fn text_of(&self, row: &TokenRow) -> Secret<String> {
        let token = ShareToken {
            serial: row.serial,
            created: row.created,
            lifetime_s: u64::try_from(row.lifetime_s).unwrap_or(0),
        };
        Secret::new(share_token(&self.key, token))
    }
}
