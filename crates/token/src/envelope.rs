//! The outer base64 JSON of channel and group tokens (contract sections 3.1, 3.2).

use crate::TokenError;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use framewell_model::{Access, ChannelId};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Longest text that is looked at. Ours have about 300 bytes; agents add members.
const MOST_BYTES: usize = 16 * 1024;

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
#[derive(Clone, PartialEq, Eq)]
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
#[derive(Clone, PartialEq, Eq)]
pub struct GroupEnvelope {
    /// Inner token.
    pub token: String,
    /// Where to send it.
    pub endpoint: Endpoint,
}

/// The JSON object; members in the order of the contract's table.
#[derive(Serialize)]
struct Wire<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    camid: Option<ChannelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmngrid: Option<ChannelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<&'static str>,
    api: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_p: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_sp: Option<u16>,
}

impl Wire<'_> {
    fn encode(&self) -> String {
        let json = serde_json::to_string(self).expect("texts and integers are valid JSON");
        general_purpose::STANDARD.encode(to_ascii(&json))
    }
}

/// Escapes what is not ASCII (RFC 8259 section 7): `atob` of browsers gives bytes, not UTF-8.
fn to_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(ascii, "\\u{unit:04x}").expect("writing to a String does not fail");
            }
        }
    }
    ascii
}

impl ChannelEnvelope {
    /// Standard base64 with padding.
    #[must_use]
    pub fn encode(&self) -> String {
        Wire {
            token: &self.token,
            camid: Some(self.channel),
            cmngrid: Some(self.channel),
            access: Some(self.access.as_str()),
            api: &self.endpoint.host,
            api_p: self.endpoint.http_port,
            api_sp: self.endpoint.https_port,
        }
        .encode()
    }
}

impl GroupEnvelope {
    /// Standard base64 with padding.
    #[must_use]
    pub fn encode(&self) -> String {
        Wire {
            token: &self.token,
            camid: None,
            cmngrid: None,
            access: None,
            api: &self.endpoint.host,
            api_p: self.endpoint.http_port,
            api_sp: self.endpoint.https_port,
        }
        .encode()
    }
}

impl std::fmt::Debug for ChannelEnvelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelEnvelope")
            .field("channel", &self.channel)
            .field("access", &self.access)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for GroupEnvelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupEnvelope")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// The only member that is read.
#[derive(Deserialize)]
struct Inner {
    token: String,
}

/// The inner token out of an outer text, whatever other members it has and in whatever order; an
/// inner token is returned as it is.
///
/// Agents decode the outer text and encode it again, so padding and alphabet are not insisted on.
pub fn inner_token(text: &str) -> Result<String, TokenError> {
    let text = text.trim();
    if text.len() > MOST_BYTES {
        return Err(TokenError::Malformed);
    }
    // Every inner form has a dot; neither base64 alphabet does.
    let token = if text.contains('.') {
        text.to_owned()
    } else {
        let json = decode_base64(text)?;
        serde_json::from_slice::<Inner>(&json)
            .map_err(|_| TokenError::Malformed)?
            .token
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (token.contains('.') && token.bytes().all(is_plain))
        .then_some(token)
        .ok_or(TokenError::Malformed)
}

fn decode_base64(text: &str) -> Result<Vec<u8>, TokenError> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const ANY_STANDARD: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
    const ANY_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);
    ANY_STANDARD
        .decode(text)
        .or_else(|_| ANY_URL_SAFE.decode(text))
        .map_err(|_| TokenError::Malformed)
}
