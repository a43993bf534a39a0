//! Newtype ids. Integers where the compatible API shows integers, UUIDv7 for what we name ourselves.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A text that is no valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}")]
pub struct IdError {
    what: &'static str,
    text: String,
}

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// Wraps a database key; `None` unless it is at least 1.
            #[must_use]
            pub const fn new(value: i64) -> Option<Self> {
                if value >= 1 { Some(Self(value)) } else { None }
            }

            /// The number that databases and the API show, at least 1.
            #[must_use]
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = i64::deserialize(deserializer)?;
                Self::new(number)
                    .ok_or_else(|| D::Error::custom(format_args!("{number} is not a valid {}", $what)))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().ok().and_then(Self::new).ok_or_else(|| IdError {
                    what: $what,
                    text: text.chars().take(40).collect(),
                })
            }
        }
    };
}

/// An integer id that is shown as its number.
macro_rules! shown_integer_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        integer_id!($(#[$doc])* $name, $what);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

shown_integer_id!(
    /// A customer's account, the owner of channels and groups.
    AccountId, "account id"
);
integer_id!(
    /// A channel: one camera as the API addresses it; or, made by [`ChannelId::of`] and never read from a client's
    /// text, one stream of it.
    ChannelId, "channel id"
);
shown_integer_id!(
    /// A group of channels that one group token opens.
    GroupId, "group id"
);
shown_integer_id!(
    /// A segment's number in the catalog; the `id` of a record in the compatible API.
    RecordId, "record id"
);
shown_integer_id!(
    /// A durable job; the `id` of an image generation task in the compatible API.
    JobId, "job id"
);
shown_integer_id!(
    /// A stored picture.
    ImageId, "image id"
);
shown_integer_id!(
    /// A stored clip.
    ClipId, "clip id"
);
shown_integer_id!(
    /// A right to see one stored clip that its owner gave away.
    ClipShareId, "sharing id"
);
shown_integer_id!(
    /// An event.
    EventId, "event id"
);
shown_integer_id!(
    /// A webhook.
    WebhookId, "webhook id"
);
shown_integer_id!(
    /// A delivery of a webhook that was given up.
    DeliveryId, "failure id"
);
shown_integer_id!(
    /// A rule on metadata documents.
    RuleId, "rule id"
);
shown_integer_id!(
    /// A range of footage that has to stay.
    HoldId, "hold id"
);
shown_integer_id!(
    /// Serial number of an issued token; the token text is derived from it by HMAC.
    TokenSerial, "token serial number"
);

impl ChannelId {
    /// For [`crate::StreamKind`], which gives negative numbers a meaning.
    pub(crate) const fn from_number(number: i64) -> Self {
        Self(number)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID made by the caller (`Uuid::now_v7()` outside the clock-free layers).
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text).map(Self).map_err(|_| IdError {
                    what: $what,
                    text: text.chars().take(40).collect(),
                })
            }
        }
    };
}

uuid_id!(
    /// Identity of a segment, written into the object itself.
    SegmentId, "segment id"
);
uuid_id!(
    /// Name of the objects of a stored clip: the file and its thumbnail.
    ClipObjectId, "clip object id"
);
uuid_id!(
    /// An unbroken piece of one camera session; a reconnect starts a new run.
    RunId, "run id"
);

uuid_id!(
    /// Who holds the lease of a job: made anew each time one is taken.
    HolderId, "holder id"
);
uuid_id!(
    /// Names the object of a stored picture.
    ImageObjectId, "image object id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_below_one_are_refused() {
        assert!(ChannelId::new(0).is_none());
        assert!("0".parse::<ChannelId>().is_err());
        assert!("-7".parse::<ChannelId>().is_err());
        assert_eq!("7".parse::<ChannelId>().map(ChannelId::get), Ok(7));
    }

    #[test]
    fn an_id_error_names_the_input() {
        let error = "seven".parse::<ChannelId>().unwrap_err();
        assert_eq!(error.to_string(), "\"seven\" is not a valid channel id");
    }
}
