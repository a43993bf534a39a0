//! One kept-alive connection for GET, as cheap as it gets, and a POST.

use anyhow::{Context, Result, ensure};
use std::ops::Range;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

pub(super) struct Http {
    stream: TcpStream,
    host: String,
    bytes: Vec<u8>,
    used: usize,
}

impl Http {
    pub(super) async fn open(url: &Url) -> Result<Self> {
        let host = url.host_str().context("no host")?;
        let port = url.port_or_known_default().context("no port")?;
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: format!("{host}:{port}"),
            bytes: Vec::new(),
            used: 0,
        })
    }

    /// The body of a 200; it stays until the next call.
    pub(super) async fn get(&mut self, url: &Url) -> Result<&[u8]> {
        self.bytes.drain(..self.used);
        self.used = 0;
        let query = url
            .query()
            .map_or_else(String::new, |query| format!("?{query}"));
        let request = format!(
            "GET {}{query} HTTP/1.1\r\nHost: {}\r\n\r\n",
            url.path(),
            self.host
        );
        self.stream.write_all(request.as_bytes()).await?;
        let body = self.body().await.with_context(|| url.path().to_owned())?;
        self.used = body.end;
        Ok(&self.bytes[body])
    }

    /// The body that answers a description with 201.
    pub(super) async fn post_sdp(&mut self, url: &Url, body: &str) -> Result<String> {
        let query = url
            .query()
            .map_or_else(String::new, |query| format!("?{query}"));
        let request = format!(
            "POST {}{query} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            url.path(),
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        let body = self.body().await.with_context(|| url.path().to_owned())?;
        Ok(String::from_utf8_lossy(&self.bytes[body]).into_owned())
    }

    async fn body(&mut self) -> Result<Range<usize>> {
        let start = loop {
            let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.bytes[..start]).to_ascii_lowercase();
        let status = head.lines().next().unwrap_or_default();
        ensure!(
            status.contains(" 200") || status.contains(" 201"),
            "{status}"
        );
        let mut lines = head.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.context("no length")?.trim().parse()?;
        while self.bytes.len() < start + length {
            self.more().await?;
        }
        Ok(start..start + length)
    }

    async fn more(&mut self) -> Result<()> {
        self.bytes.reserve(64 << 10);
        let count = self.stream.read_buf(&mut self.bytes).await?;
        ensure!(count > 0, "the connection was closed");
        Ok(())
    }
}
