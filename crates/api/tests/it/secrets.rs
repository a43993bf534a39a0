//! What must never reach a log.

use crate::site::{Site, inner, text};
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// Everything logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn tokens_tickets_and_passwords_are_in_no_log_line() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    // For the whole process: which call sites are live is cached across threads, and the other tests
    // run beside this one. What they log must be clean as well.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let site = Site::new().await;
    let body = json!({"name": "x", "source": {"url": "rtsp://viewer:s3cret@10.0.0.5/main"}});
    let channel = site
        .post(site.key(), "/api/v3/channels/", &body)
        .await
        .expect(201);
    let bad = json!({"source": {"url": "http://viewer:s3cret@10.0.0.5/"}});
    site.post(site.key(), "/api/v3/channels/", &bad)
        .await
        .expect(400);
    let token = inner(text(&channel["access_tokens"]["all"]));
    let urls = site
        .get("", &format!("/api/v4/live/watch/?token={token}"))
        .await
        .expect(200);
    let hls = text(&urls["hls"]).trim_start_matches("http://vms.test:8080");
    let ticket = hls.split("ticket=").nth(1).unwrap();
    site.get("", hls).await.expect(404);
    let forged = format!("{}x", token);
    site.get("", &format!("/api/v4/live/watch/?token={forged}"))
        .await
        .expect(401);
    site.get(&format!("Acc {forged}"), "/api/v4/channel/")
        .await
        .expect(401);
    site.get(&format!("LKey {forged}"), "/api/v4/channel/")
        .await
        .expect(401);

    let bytes = log.0.lock().unwrap().clone();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("/api/v4/live/watch"), "requests are logged");
    let key = site.key().trim_start_matches("LKey ");
    for secret in [key, &token, ticket, "s3cret"] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "a secret is logged: {line:?}");
    }
}
