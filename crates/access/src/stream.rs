//! Who may open a stream: the same for every protocol that streams or takes streams in.

use crate::{Access, Credential, Error, MediaScope};
use framewell_model::{ChannelId, Grant, Holder, Principal, Right, Secret, WallTime};

/// How tickets begin.
const TICKET_PREFIX: &str = "media.";

/// What a stream is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamUse {
    /// Watching, live or recorded.
    Watch,
    /// Sending the channel's video.
    Publish,
}

impl StreamUse {
    pub(crate) const fn right(self) -> Right {
        match self {
            Self::Watch => Right::Watch,
            Self::Publish => Right::Publish,
        }
    }

    const fn scope(self, channel: ChannelId) -> MediaScope {
        match self {
            Self::Watch => MediaScope::Live(channel),
            Self::Publish => MediaScope::Publish(channel),
        }
    }
}

/// A client that may open a stream of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Whose stream it is: the token, or the token that the ticket was asked for with.
    pub holder: Holder,
    /// When the ticket ends; `None` for a token.
    pub ticket_end: Option<WallTime>,
}

impl Access {
    /// Checks a ticket for this use of this channel, or a token that has the right: channel token, group
    /// token (base64 or the inner text of both) or license key. The channel exists.
    ///
    /// # Errors
    /// The text opens nothing, or not this; the channel does not exist.
    pub async fn admit(
        &self,
        text: &Secret<String>,
        channel: ChannelId,
        stream: StreamUse,
    ) -> Result<Admission, Error> {
        if text.expose().starts_with(TICKET_PREFIX) {
            let scope = stream.scope(channel);
            let ticket = self.admit_ticket(text.expose(), &scope).await?;
            return match self.catalog.load_channel(channel).await {
                Ok(_) => Ok(Admission {
                    holder: ticket.holder,
                    ticket_end: Some(ticket.expire),
                }),
                Err(framewell_catalog::Error::NotFound { .. }) => {
                    Err(Error::NotFound(format!("channel {channel}")))
                }
                Err(error) => Err(error.into()),
            };
        }
        let grant = self.authenticate(&Credential::Any(text.clone())).await?;
        self.check_channel(&grant, channel, stream.right()).await?;
        Ok(Admission::of(&grant))
    }

    /// As [`Access::admit`], of the one channel that a channel token is for.
    ///
    /// # Errors
    /// As [`Access::admit`]; a token that is for more than one channel.
    pub async fn admit_key(
        &self,
        text: &Secret<String>,
        stream: StreamUse,
    ) -> Result<(ChannelId, Admission), Error> {
        let grant = self.authenticate(&Credential::Any(text.clone())).await?;
        let Principal::Channel(channel) = grant.principal else {
            return Err(Error::Denied(
                "this token does not say which channel is meant".into(),
            ));
        };
        self.check_right(&grant, stream.right())?;
        Ok((channel, Admission::of(&grant)))
    }

    /// Whether a stream may go on: its token still has the right on the channel.
    ///
    /// # Errors
    /// As [`Access::admit`].
    pub async fn readmit(
        &self,
        admission: &Admission,
        channel: ChannelId,
        stream: StreamUse,
    ) -> Result<(), Error> {
        let grant = self.standing_grant(&admission.holder).await?;
        self.check_channel(&grant, channel, stream.right()).await
    }
}

impl Admission {
    fn of(grant: &Grant) -> Self {
        Self {
            holder: grant.into(),
            ticket_end: None,
        }
    }
}
