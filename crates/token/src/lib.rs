//! Token texts: making and verifying them. Pure functions; the caller passes key and time.
//!
//! The inner token of a channel or group is derived by HMAC from a serial number and never stored
//! (architecture invariant 8): `share.<base64url {"si":n}>.<hex created>t<hex lifetime s>.<27 chars>`.
//! A token for one shared clip looks the same and says `clip` instead of `si`.
//! A license key is `v3.<serial>.<signature>`. A media ticket is
//! `media.<base64url {"u": scope}>.<unix expiry>.<signature>`, good for one scope until it ends.

mod clip_share;
mod envelope;
mod key;
mod license;
mod share;
mod ticket;

pub use clip_share::{ClipShareToken, clip_share_token, is_clip_share, verify_clip_share};
pub use envelope::{ChannelEnvelope, Endpoint, GroupEnvelope, inner_token};
pub use key::{SigningKey, TokenError};
pub use license::{license_key, verify_license_key};
pub use share::{ShareToken, share_token, verify_share_token};
pub use ticket::{MediaTicket, media_ticket, verify_media_ticket};
