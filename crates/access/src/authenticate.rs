//! From a credential to a grant.

use crate::{Access, Error};
use framewell_catalog::{TokenRow, TokenTarget};
use framewell_model::{
    Access as Level, AccountId, ChannelId, Grant, GroupId, Holder, Principal, Right, RightSet,
    Secret, TokenSerial,
};
use framewell_token::{
    ShareToken, TokenError, inner_token, verify_license_key, verify_share_token,
};

/// Everything that the owner of an account may do.
const OWNER: RightSet = RightSet::of(&[
    Right::Watch,
    Right::Create,
    Right::Meta,
    Right::Configure,
    Right::Admin,
    Right::Publish,
]);

/// How license keys begin.
const LICENSE_PREFIX: &str = "v3.";

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

impl Access {
    /// Verifies a credential.
    ///
    /// The signature first, without the database; then the row: it must exist, say the same times, not
    /// be revoked, and open the kind of thing that the scheme is for.
    pub async fn authenticate(&self, credential: &Credential) -> Result<Grant, Error> {
        match credential {
            Credential::License(text) => self.account_grant(text.expose().trim()).await,
            Credential::Channel(text) => {
                let (token, row) = self.share_row(text.expose()).await?;
                match row.target {
                    TokenTarget::Channel(channel, level) => {
                        Ok(channel_grant(token.serial, &row, channel, level))
                    }
                    _ => Err(wrong_scheme("Acc takes a channel token")),
                }
            }
            Credential::Group(text) => {
                let (token, row) = self.share_row(text.expose()).await?;
                match row.target {
                    TokenTarget::Group(group) => self.group_grant(token.serial, &row, group).await,
                    _ => Err(wrong_scheme("SI takes a group token")),
                }
            }
            Credential::Any(text) => self.any_grant(text.expose().trim()).await,
        }
    }

    /// The grant of the channel token of which a client has shown that it knows it, without sending it:
    /// `is_shown` says whether the proof is one of this inner token (Digest, RFC 7616).
    pub async fn authenticate_proof(
        &self,
        channel: ChannelId,
        is_shown: impl Fn(&str) -> bool,
    ) -> Result<Grant, Error> {
        let now = self.clock.now();
        for row in self.catalog.channel_tokens(channel).await? {
            let TokenTarget::Channel(_, level) = row.target else {
                continue;
            };
            if row.end() > now && is_shown(self.text_of(&row).expose()) {
                return Ok(channel_grant(row.serial, &row, channel, level));
            }
        }
        Err(Error::Unauthenticated(
            "no token of the channel is the password".into(),
        ))
    }

    async fn any_grant(&self, text: &str) -> Result<Grant, Error> {
        if text.starts_with(LICENSE_PREFIX) {
            return self.account_grant(text).await;
        }
        let (token, row) = self.share_row(text).await?;
        match row.target {
            TokenTarget::Channel(channel, level) => {
                Ok(channel_grant(token.serial, &row, channel, level))
            }
            TokenTarget::Group(group) => self.group_grant(token.serial, &row, group).await,
            TokenTarget::Account(_) => Err(Error::not_valid()),
        }
    }

    async fn account_grant(&self, text: &str) -> Result<Grant, Error> {
        let serial = verify_license_key(&self.key, text)?;
        let row = self.standing_row(serial).await?;
        let TokenTarget::Account(account) = row.target else {
            return Err(Error::not_valid());
        };
        if row.end() <= self.clock.now() {
            return Err(TokenError::Expired.into());
        }
        Ok(Grant {
            serial: Some(serial),
            ..grant(Principal::Account(account), account, OWNER)
        })
    }

    async fn group_grant(
        &self,
        serial: TokenSerial,
        row: &TokenRow,
        id: GroupId,
    ) -> Result<Grant, Error> {
        let group = self.catalog.load_group(id).await.map_err(missing_row)?;
        if group.expire.is_some_and(|end| end <= self.clock.now()) {
            return Err(TokenError::Expired.into());
        }
        let end = row.end();
        Ok(Grant {
            expire: Some(group.expire.map_or(end, |expire| expire.min(end))),
            serial: Some(serial),
            ..grant(
                Principal::Group(id),
                row.account,
                group.channels_access.rights(),
            )
        })
    }

    /// A verified share token and its row.
    async fn share_row(&self, text: &str) -> Result<(ShareToken, TokenRow), Error> {
        let inner = inner_token(text)?;
        let token = verify_share_token(&self.key, &inner, self.clock.now())?;
        let row = self.standing_row(token.serial).await?;
        let is_same = row.created == token.created
            && u64::try_from(row.lifetime_s).is_ok_and(|lifetime| lifetime == token.lifetime_s);
        if !is_same {
            return Err(Error::not_valid());
        }
        Ok((token, row))
    }

    /// Whether a grant still stands, for what goes on long after its first call: the token was not
    /// revoked, neither it nor its group has ended, and the group still gives all its rights. Which
    /// channels it reaches is asked apart.
    pub async fn recheck(&self, grant: &Grant) -> Result<(), Error> {
        let now = self.clock.now();
        if grant.expire.is_some_and(|end| end <= now) {
            return Err(TokenError::Expired.into());
        }
        if let Some(serial) = grant.serial {
            self.standing_row(serial).await?;
        }
        if let Principal::Group(group) = grant.principal {
            let group = self.catalog.load_group(group).await.map_err(missing_row)?;
            if group.expire.is_some_and(|end| end <= now) {
                return Err(TokenError::Expired.into());
            }
            if !group.channels_access.rights().covers(grant.rights) {
                let text = "the group's rights have changed";
                return Err(Error::Unauthenticated(text.into()));
            }
        }
        Ok(())
    }

    /// What the token of a holder opens today, for what goes on long after it was opened.
    pub async fn standing_grant(&self, holder: &Holder) -> Result<Grant, Error> {
        let serial = holder.serial.ok_or_else(Error::not_valid)?;
        let row = self.standing_row(serial).await?;
        if row.account != holder.account {
            return Err(Error::not_valid());
        }
        let grant = match row.target {
            TokenTarget::Account(account) => Grant {
                expire: Some(row.end()),
                serial: Some(serial),
                ..grant(Principal::Account(account), account, OWNER)
            },
            TokenTarget::Channel(channel, level) => channel_grant(serial, &row, channel, level),
            TokenTarget::Group(group) => self.group_grant(serial, &row, group).await?,
        };
        if grant.expire.is_some_and(|end| end <= self.clock.now()) {
            return Err(TokenError::Expired.into());
        }
        Ok(grant)
    }

    async fn standing_row(&self, serial: TokenSerial) -> Result<TokenRow, Error> {
        let row = self.catalog.load_token(serial).await.map_err(missing_row)?;
        if row.revoked.is_some() {
            return Err(Error::Unauthenticated("token has been revoked".into()));
        }
        Ok(row)
    }
}

fn channel_grant(serial: TokenSerial, row: &TokenRow, channel: ChannelId, level: Level) -> Grant {
    Grant {
        expire: Some(row.end()),
        serial: Some(serial),
        ..grant(Principal::Channel(channel), row.account, level.rights())
    }
}

fn grant(principal: Principal, account: AccountId, rights: RightSet) -> Grant {
    Grant {
        principal,
        account,
        rights,
        expire: None,
        serial: None,
    }
}

/// What a token opened is gone, and the token with it.
fn missing_row(error: framewell_catalog::Error) -> Error {
    match error {
        framewell_catalog::Error::NotFound { .. } => Error::not_valid(),
        other => other.into(),
    }
}

fn wrong_scheme(text: &str) -> Error {
    Error::Unauthenticated(format!("token is of another kind: {text}"))
}
