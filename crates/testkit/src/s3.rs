//! Buckets of a real S3-compatible store for tests.
//!
//! `cargo xtask test` starts a store (moto, an independent implementation) and names it in
//! `FRAMEWELL_TEST_S3_ENDPOINT`. There is no other way to have one: without the variable,
//! [`TestBucket::create`] is an error that says so.

use anyhow::{Context as _, Result, ensure};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use url::Url;

/// Name of the environment variable with the address of the store, such as `http://127.0.0.1:5000`.
pub const ENDPOINT_VARIABLE: &str = "FRAMEWELL_TEST_S3_ENDPOINT";

/// A bucket that no other test has.
#[derive(Debug, Clone)]
pub struct TestBucket {
    /// Address of the store.
    pub endpoint: String,
    /// Name of the bucket.
    pub name: String,
}

impl TestBucket {
    /// Makes a bucket. Any key pair opens it.
    pub fn create() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let endpoint = endpoint()?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{}-{number}", std::process::id());
        let url = Url::parse(&endpoint).with_context(|| format!("{endpoint} is no address"))?;
        put(&url, &name).with_context(|| format!("bucket {name} at {endpoint}"))?;
        Ok(Self { endpoint, name })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are configured by variables, as is the URL of the database"
)]
fn endpoint() -> Result<String> {
    std::env::var(ENDPOINT_VARIABLE).with_context(|| {
        format!(
            "{ENDPOINT_VARIABLE} does not name an S3-compatible store: run `cargo xtask test`, \
             which starts one"
        )
    })
}

/// `PUT /<bucket>`, which makes it.
fn put(store: &Url, bucket: &str) -> Result<()> {
    let host = store.host_str().context("no host")?;
    let port = store.port_or_known_default().context("no port")?;
    let mut stream = TcpStream::connect((host, port))?;
    write!(
        stream,
        "PUT /{bucket} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(
        answer.split(' ').nth(1) == Some("200"),
        "the store answered {:?}",
        answer.lines().next()
    );
    Ok(())
}
