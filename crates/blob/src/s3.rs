//! An S3-compatible store.

use crate::Error;
use framewell_model::Secret;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, RetryConfig};
use std::time::Duration;

/// A request that got no answer within this time is given up: a picture waits for it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// No retry starts later than this after the first attempt. Whoever stores a segment tries again
/// later by itself.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_RETRIES: usize = 3;

/// Where the bucket is and who we are there.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The bucket, which exists already.
    pub bucket: String,
    /// Put before every key, with a `/` between; empty for none.
    pub prefix: String,
    /// `http://` or `https://` with a host; the bucket becomes the first part of the path. Empty: AWS.
    pub endpoint: String,
    /// As the store names it; many stores do not care.
    pub region: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: Secret<String>,
}

pub(crate) fn open(config: &S3Config) -> Result<PrefixStore<AmazonS3>, Error> {
    let plain_http = config.endpoint.starts_with("http://");
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_access_key_id(&config.access_key)
        .with_secret_access_key(config.secret_key.expose())
        .with_client_options(
            ClientOptions::new()
                .with_timeout(REQUEST_TIMEOUT)
                .with_allow_http(plain_http),
        )
        .with_retry(RetryConfig {
            max_retries: MAX_RETRIES,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        });
    if !config.endpoint.is_empty() {
        builder = builder.with_endpoint(config.endpoint.trim_end_matches('/'));
    }
    let store = builder
        .build()
        .map_err(|error| Error::Config(error.into()))?;
    Ok(PrefixStore::new(store, config.prefix.as_str()))
}
