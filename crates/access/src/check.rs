//! What a grant reaches.

use crate::{Access, Error};
use framewell_model::{ChannelId, Grant, Principal, Right};

impl Access {
    /// Whether the grant has a right that is not about one channel.
    pub fn check_right(&self, grant: &Grant, right: Right) -> Result<(), Error> {
        if grant.rights.has(right) {
            Ok(())
        } else {
            Err(Error::lacks(right))
        }
    }

    /// Whether the grant has the right on this channel, now: account ownership, the token's own
    /// channel, or group membership at this moment. Who may use a channel may use its sub stream, if it has
    /// one. `NotFound` hides channels of others.
    pub async fn check_channel(
        &self,
        grant: &Grant,
        channel: ChannelId,
        right: Right,
    ) -> Result<(), Error> {
        let main = channel.main();
        if !self.reaches(grant, main).await? {
            return Err(Error::NotFound(format!("channel {main}")));
        }
        self.check_right(grant, right)?;
        if channel != main && self.catalog.load_sub_stream(main).await?.is_none() {
            return Err(Error::NotFound(format!("a sub stream of channel {main}")));
        }
        Ok(())
    }

    /// All channels behind the grant, ascending.
    pub async fn channels(&self, grant: &Grant) -> Result<Vec<ChannelId>, Error> {
        Ok(match grant.principal {
            Principal::Account(account) => self.catalog.list_channel_ids(account).await?,
            Principal::Channel(channel) => vec![channel],
            Principal::Group(group) => self.catalog.load_group(group).await?.channels,
        })
    }

    async fn reaches(&self, grant: &Grant, channel: ChannelId) -> Result<bool, Error> {
        match grant.principal {
            Principal::Account(account) => match self.catalog.load_channel(channel).await {
                Ok(found) => Ok(found.account == account),
                Err(framewell_catalog::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(error.into()),
            },
            Principal::Channel(own) => Ok(own == channel),
            Principal::Group(group) => Ok(self.catalog.group_has_channel(group, channel).await?),
        }
    }
}
