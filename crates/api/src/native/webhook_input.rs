//! What clients write into a webhook.

use crate::error::ApiError;
use crate::vxg::input;
use framewell_model::{OutboundPolicy, Secret};
use serde_json::{Map, Value};
use std::net::IpAddr;
use url::{Host, Url};

/// Longest URL in bytes.
const MAX_URL_BYTES: usize = 2_048;
/// Shortest and longest secret in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=256;
/// The members that say what is told.
const SUBSCRIPTION: [&str; 3] = ["events", "documents", "channels"];
/// All members; another one is a typing mistake.
const MEMBERS: [&str; 6] = ["url", "events", "documents", "channels", "secret", "active"];

/// A webhook to be made or changed; what is absent is `None`.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) url: Option<String>,
    pub(crate) secret: Option<Secret<String>>,
    pub(crate) is_active: Option<bool>,
    pub(crate) subscription: SubscriptionInput,
}

/// The members that say what is told, as they came.
#[derive(Debug)]
pub(crate) struct SubscriptionInput(Map<String, Value>);

impl SubscriptionInput {
    /// What is told after the change.
    pub(crate) fn over(&self, before: &Map<String, Value>) -> Map<String, Value> {
        let mut after = before.clone();
        for (name, value) in &self.0 {
            after.insert(name.clone(), value.clone());
        }
        after
    }
}

impl Input {
    pub(crate) fn read(
        body: &Map<String, Value>,
        policy: &OutboundPolicy,
    ) -> Result<Self, ApiError> {
        if let Some(name) = body.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            let shown: String = name.chars().take(40).collect();
            let known = MEMBERS.join(", ");
            return Err(ApiError::invalid(format!(
                "{shown:?} is no member of a webhook; there are {known}"
            )));
        }
        let members = SUBSCRIPTION.iter().filter_map(|name| {
            let value = body.get(*name)?;
            Some(((*name).to_owned(), value.clone()))
        });
        let url = input::text(body, "url")?;
        Ok(Self {
            url: url.map(|url| check_url(url, policy)).transpose()?,
            secret: input::text(body, "secret")?.map(check_secret).transpose()?,
            is_active: input::flag(body, "active")?,
            subscription: SubscriptionInput(members.collect()),
        })
    }
}

/// The URL is not repeated in errors: it may hold a secret. Names are resolved, and their addresses
/// checked, at each connection; an address in the URL is refused at once.
fn check_url(text: &str, policy: &OutboundPolicy) -> Result<String, ApiError> {
    if text.len() > MAX_URL_BYTES {
        let text = format!("url is longer than {MAX_URL_BYTES} bytes");
        return Err(ApiError::invalid(text));
    }
    let invalid = || ApiError::invalid("url is not an http:// or https:// URL with a host");
    let mut url = Url::parse(text.trim()).map_err(|_| invalid())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid());
    }
    if !url.username().is_empty() || url.password().is_some() {
        let text =
            "url has a user name or a password: put what the receiver asks for into the path";
        return Err(ApiError::invalid(text));
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return Err(invalid()),
    };
    if let Some(address) = address {
        policy
            .check_public(address)
            .map_err(|error| ApiError::invalid(format!("url: {error}")))?;
    }
    url.set_fragment(None);
    Ok(url.into())
}

fn check_secret(text: &str) -> Result<Secret<String>, ApiError> {
    if !SECRET_BYTES.contains(&text.len()) {
        let (least, most) = (SECRET_BYTES.start(), SECRET_BYTES.end());
        let text = format!("secret has not {least} to {most} bytes");
        return Err(ApiError::invalid(text));
    }
    Ok(Secret::new(text.to_owned()))
}

/// 256 random bits, if the client brings no secret.
pub(crate) fn secret_or_new(given: Option<Secret<String>>) -> Secret<String> {
    given.unwrap_or_else(|| {
        let [one, other]: [u128; 2] = rand::random();
        Secret::new(format!("{one:032x}{other:032x}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<Input, ApiError> {
        Input::read(body.as_object().unwrap(), &OutboundPolicy::default())
    }

    #[test]
    fn urls_that_lead_inside_or_carry_credentials_are_refused() {
        for url in [
            "ftp://example.com/",
            "file:///etc/passwd",
            "http://",
            "x",
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]:80/",
            "http://[::ffff:10.0.0.1]/",
            "http://169.254.169.254/latest/meta-data",
            "https://user:hunter2@example.com/",
        ] {
            let error = read(json!({ "url": url })).unwrap_err();
            assert!(!error.message.contains("hunter2"), "{url}");
        }
        let good = read(json!({"url": "https://example.com/hook?key=1#x"})).unwrap();
        assert_eq!(good.url.unwrap(), "https://example.com/hook?key=1");
    }

    #[test]
    fn secrets_have_a_length_and_generated_ones_differ() {
        assert!(read(json!({"secret": "short"})).is_err());
        assert!(read(json!({"secret": "x".repeat(257)})).is_err());
        let given = read(json!({"secret": "0123456789abcdef"})).unwrap().secret;
        assert_eq!(secret_or_new(given).expose(), "0123456789abcdef");
        assert_ne!(secret_or_new(None), secret_or_new(None));
        assert_eq!(secret_or_new(None).expose().len(), 64);
    }

    #[test]
    fn a_typing_mistake_is_named() {
        let error = read(json!({"evnets": true})).unwrap_err();
        assert!(error.message.contains("evnets"), "{}", error.message);
    }
}
