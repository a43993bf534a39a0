//! One HLS reader: each segment once, as players without low latency do.

use super::http::Http;
use super::{Seen, elapsed_ms};
use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Segments that are remembered as read.
const MEMORY: usize = 64;

/// Reads until the server ends it.
pub(super) async fn read(url: String, seen: Rc<Seen>) -> Result<()> {
    let began = Instant::now();
    let mut url = Url::parse(&url)?;
    let mut http = Http::open(&url).await?;
    let mut known: VecDeque<String> = VecDeque::new();
    let mut is_first = true;
    loop {
        let body = http.get(&url).await?;
        seen.count(&seen.bytes, body.len() as u64);
        let text = String::from_utf8_lossy(body).into_owned();
        let uris = || {
            text.lines()
                .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        };
        if text.contains("#EXT-X-STREAM-INF") {
            url = url.join(uris().next().context("no rendition")?)?;
            continue;
        }
        if is_first {
            // Everything but the newest counts as seen: a player starts near the end.
            let count = uris().count();
            known.extend(uris().take(count.saturating_sub(1)).map(str::to_owned));
        }
        for uri in uris() {
            if known.iter().any(|one| one == uri) {
                continue;
            }
            let asked = Instant::now();
            let count = http.get(&url.join(uri)?).await?.len();
            if is_first {
                is_first = false;
                seen.firsts_ms.borrow_mut().push(elapsed_ms(began));
            }
            seen.count(&seen.bytes, count as u64);
            seen.count(&seen.segments, 1);
            seen.note(&seen.fetches_ms, elapsed_ms(asked));
            known.push_back(uri.to_owned());
            if known.len() > MEMORY {
                known.pop_front();
            }
        }
        tokio::time::sleep(pause(&text)).await;
    }
}

/// Half a target duration (RFC 8216 section 6.3.4).
fn pause(playlist: &str) -> Duration {
    let mut lines = playlist.lines();
    let target = lines.find_map(|line| line.strip_prefix("#EXT-X-TARGETDURATION:"));
    let seconds: f64 = target
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(2.0);
    Duration::from_secs_f64((seconds / 2.0).clamp(0.3, 2.0))
}
