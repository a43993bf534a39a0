//! The outer base64 JSON of channel and group tokens (contract sections 3.1, 3.2).

use crate::TokenError;
use framewell_model::{Access, ChannelId};

/// Where clients reach the server, as written into tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host without scheme and port.
    pub host: String,
    /// Plain HTTP port.
    pub http_port: Option<u16>,
    /// HTTPS port.
    pub https_port: Option<u16>,
}

/// Outer form of a channel token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelEnvelope {
    /// Inner token.
    pub token: String,
    /// The channel.
    pub channel: ChannelId,
    /// For the client's information only.
    pub access: Access,
    /// Where to send it.
    pub endpoint: Endpoint,
}

/// Outer form of a group token: no `camid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEnvelope {
    /// Inner token.
    pub token: String,
    /// Where to send it.
    pub endpoint: Endpoint,
}

impl ChannelEnvelope {
    /// Standard base64 with padding.
    #[must_use]
    pub fn encode(&self) -> String {
        todo!()
    }
}

impl GroupEnvelope {
    /// Standard base64 with padding.
    #[must_use]
    pub fn encode(&self) -> String {
        todo!()
    }
}

/// The inner token out of an outer text, whatever other members it has and in whatever order; an
/// inner token is returned as it is.
pub fn inner_token(text: &str) -> Result<String, TokenError> {
    let _ = text;
    todo!()
}
