//! HTTP to places that clients name, within the outbound policy.

use super::sign;
use chrono::DateTime;
use framewell_catalog::Trouble;
use framewell_model::{ForbiddenAddress, OutboundPolicy, Secret, WallTime};
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, header};
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// Bytes of an answer that are read, so that the connection can be used again; what they say is of no
/// interest.
const MOST_ANSWER_BYTES: usize = 16 << 10;

/// From a name to addresses.
pub trait Lookup: fmt::Debug + Send + Sync + 'static {
    /// All addresses of a name.
    fn lookup(&self, name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// The resolver of the HTTP client: gives it only addresses that the policy lets through, and it connects
/// to nothing else. So the answer of a name server counts once, and is checked.
struct Guarded {
    lookup: Arc<dyn Lookup>,
    policy: Arc<OutboundPolicy>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.lookup.lookup(name.as_str().to_owned());
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let found = found.await?;
            let is_open = |address: &IpAddr| policy.check_public(*address).is_ok();
            let open: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(is_open)
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            match (found.first(), open.is_empty()) {
                (Some(forbidden), true) => Err(ForbiddenAddress(*forbidden).into()),
                _ => Ok(Box::new(open.into_iter()) as Addrs),
            }
        })
    }
}

/// A delivery to be posted.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// Where to.
    pub url: &'a str,
    /// Key of the signature.
    pub secret: &'a Secret<String>,
    /// Number of the webhook.
    pub webhook: i64,
    /// From 1.
    pub attempt: i64,
    /// JSON.
    pub body: &'a str,
    /// For the timestamp that is signed.
    pub now: WallTime,
}

/// A delivery that was not taken.
#[derive(Debug)]
pub struct Refused {
    /// Why, for the owner.
    pub trouble: Trouble,
    /// How long the other side asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl Refused {
    fn new(error: impl Into<String>) -> Self {
        let trouble = Trouble {
            error: error.into(),
            status: None,
        };
        Self {
            trouble,
            retry_after: None,
        }
    }
}

/// Posts to URLs that clients name; cheap to clone. Redirects are not followed and proxies not used: both
/// would lead around the policy.
#[derive(Debug, Clone)]
pub struct OutboundClient {
    http: Client,
    policy: Arc<OutboundPolicy>,
}

impl OutboundClient {
    /// With the system's resolver; `timeout` is for everything from connecting to the end of the answer.
    /// Fails if TLS cannot be set up.
    pub fn new(policy: Arc<OutboundPolicy>, timeout: Duration) -> Result<Self, reqwest::Error> {
        Self::with_lookup(policy, timeout, Arc::new(SystemLookup))
    }

    /// With another resolver.
    pub fn with_lookup(
        policy: Arc<OutboundPolicy>,
        timeout: Duration,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, reqwest::Error> {
        let guarded = Guarded {
            lookup,
            policy: Arc::clone(&policy),
        };
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .timeout(timeout)
            .connect_timeout(timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1)
            .user_agent(concat!("framewell/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(guarded))
            .build()?;
        Ok(Self { http, policy })
    }

    /// Posts a delivery; fine if the answer is 2xx.
    pub async fn post(&self, post: &Post<'_>) -> Result<(), Refused> {
        let url = self.check(post.url)?;
        let timestamp = post.now.secs();
        let sending = self
            .http
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("framewell-webhook", post.webhook)
            .header("framewell-attempt", post.attempt)
            .header("framewell-timestamp", timestamp)
            .header(
                "framewell-signature",
                sign(post.secret, timestamp, post.body),
            )
            .body(post.body.to_owned())
            .send();
        let answer = sending
            .await
            .map_err(|error| Refused::new(describe(&error)))?;
        let status = answer.status();
        if status.is_success() {
            drain(answer).await;
            return Ok(());
        }
        let mut refused = Refused::new(match status.is_redirection() {
            true => format!("the answer was {status}; redirects are not followed"),
            false => format!("the answer was {status}"),
        });
        refused.trouble.status = Some(status.as_u16());
        let retry_after = answer.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok());
        refused.retry_after = retry_after.and_then(|text| read_retry_after(text, post.now));
        drain(answer).await;
        Err(refused)
    }

    /// An address in the URL itself is never resolved, so it is checked here.
    fn check(&self, url: &str) -> Result<Url, Refused> {
        let url = Url::parse(url).map_err(|_| Refused::new("the URL cannot be parsed"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::new("the URL is neither http nor https"));
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(url),
            None => return Err(Refused::new("the URL names no host")),
        };
        match self.policy.check_public(address) {
            Ok(()) => Ok(url),
            Err(_) => Err(Refused::new(FORBIDDEN)),
        }
    }
}

/// Without the address: the owner of a webhook need not learn what names mean inside this network.
const FORBIDDEN: &str = "the outbound policy of this server forbids the address";

/// In words for the owner, without the URL, which may hold a secret of the receiver.
fn describe(error: &reqwest::Error) -> String {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(source) = next {
        if source.is::<ForbiddenAddress>() {
            return FORBIDDEN.into();
        }
        next = source.source();
    }
    let text = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "the connection could not be made"
    } else {
        "the connection broke off"
    };
    text.into()
}

/// Seconds or a date (RFC 9110 section 10.2.3).
fn read_retry_after(text: &str, now: WallTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text.trim()).ok()?;
    let seconds = at.timestamp().saturating_sub(now.secs());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

async fn drain(mut answer: Response) {
    let mut bytes = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes += chunk.len();
        if bytes > MOST_ANSWER_BYTES {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now: WallTime = "2015-10-21T07:27:00Z".parse().unwrap();
        let read = |text| read_retry_after(text, now).map(|pause| pause.as_secs());
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
        assert_eq!(read("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }
}
