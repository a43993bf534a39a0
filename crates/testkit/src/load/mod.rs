//! Readers of streams in any number, for benchmarks: they take what they are sent, look for losses, and read the
//! clock that `fakecam --clock` puts into every picture. Everything runs on one thread, so that the cost of
//! reading stays small beside that of the server.

mod hls;
mod http;
mod rtmp;
mod rtsp;
mod webrtc;

use crate::clock::wall_now;
use crate::mark;
use anyhow::Result;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::LocalSet;
use tokio::time::Instant;

/// Over what the readers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RTSP over TCP.
    Rtsp,
    /// HLS: whole segments, a playlist every half target duration.
    Hls,
    /// RTMP.
    Rtmp,
    /// WebRTC over UDP, by WHEP.
    WebRtc,
}

/// The clock is among the first NAL units of a picture, which are small.
const CLOCK_WITHIN: usize = 200;

/// How many readers, for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Over what.
    pub protocol: Protocol,
    /// Of what.
    pub url: String,
    /// How many at once.
    pub readers: usize,
    /// From the last one's start to the first one that counts.
    pub settle: Duration,
    /// How long they count.
    pub length: Duration,
}

/// What they saw.
#[derive(Debug, Default)]
pub struct Seen {
    is_counting: Cell<bool>,
    bytes: Cell<u64>,
    pictures: Cell<u64>,
    lost_packets: Cell<u64>,
    segments: Cell<u64>,
    failed: Cell<u64>,
    delays_ms: RefCell<Vec<f64>>,
    fetches_ms: RefCell<Vec<f64>>,
    firsts_ms: RefCell<Vec<f64>>,
}

impl Seen {
    fn count(&self, what: &Cell<u64>, more: u64) {
        if self.is_counting.get() {
            what.set(what.get() + more);
        }
    }

    /// A picture that has come, by its first bytes.
    fn note_clock(&self, start: &[u8]) {
        let start = &start[..start.len().min(CLOCK_WITHIN)];
        if let Some(sent) = mark::read(start) {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
            let delay_ms = (wall_now().micros() - sent) as f64 / 1e3;
            self.note(&self.delays_ms, delay_ms);
        }
    }

    fn note(&self, what: &RefCell<Vec<f64>>, value_ms: f64) {
        if self.is_counting.get() {
            what.borrow_mut().push(value_ms);
        }
    }

    /// One line of JSON.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn json(&self, plan: &Plan) -> String {
        let seconds = plan.length.as_secs_f64();
        let rate = |count: &Cell<u64>| count.get() as f64 / seconds;
        let each = |count: &Cell<u64>| rate(count) / plan.readers.max(1) as f64;
        let (delay, fetch) = (spread(&self.delays_ms), spread(&self.fetches_ms));
        let first = spread(&self.firsts_ms);
        format!(
            "{{\"readers\":{},\"failed\":{},\"mbit_s\":{:.2},\"pictures_per_s_each\":{:.3},\"segments\":{},\"lost_packets\":{},\
             \"first_ms\":{first},\"delay_ms\":{delay},\"fetch_ms\":{fetch}}}",
            plan.readers,
            self.failed.get(),
            rate(&self.bytes) * 8.0 / 1e6,
            each(&self.pictures),
            self.segments.get(),
            self.lost_packets.get(),
        )
    }
}

/// `[p50, p99]`, or null.
fn spread(values: &RefCell<Vec<f64>>) -> String {
    let mut values = values.borrow_mut();
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| values.get((values.len().saturating_sub(1)) * percent / 100);
    match (at(50), at(99)) {
        (Some(p50), Some(p99)) => format!("[{p50:.2},{p99:.2}]"),
        _ => String::from("null"),
    }
}

type LocalBoxFuture = std::pin::Pin<Box<dyn Future<Output = Result<()>>>>;

/// Between the starts of two readers.
const RAMP: Duration = Duration::from_millis(5);

/// Runs the readers. `ready` is called when they begin to count.
///
/// # Errors
/// Those of `ready`; readers that fail are counted.
pub async fn run(plan: &Plan, ready: impl FnOnce() -> Result<()>) -> Result<Rc<Seen>> {
    let seen = Rc::new(Seen::default());
    let readers = LocalSet::new();
    let work = async {
        for number in 0..plan.readers {
            let (url, seen) = (plan.url.clone(), Rc::clone(&seen));
            let reading: LocalBoxFuture = match plan.protocol {
                Protocol::Rtsp => Box::pin(rtsp::read(url, Rc::clone(&seen))),
                Protocol::Hls => Box::pin(hls::read(url, Rc::clone(&seen))),
                Protocol::Rtmp => Box::pin(rtmp::read(url, Rc::clone(&seen))),
                Protocol::WebRtc => Box::pin(webrtc::read(url, Rc::clone(&seen))),
            };
            readers.spawn_local(watched(number, reading, seen));
            tokio::time::sleep(RAMP).await;
        }
        tokio::time::sleep(plan.settle).await;
        ready()?;
        seen.is_counting.set(true);
        tokio::time::sleep(plan.length).await;
        seen.is_counting.set(false);
        Ok(())
    };
    readers.run_until(work).await.map(|()| seen)
}

async fn watched(number: usize, reading: impl Future<Output = Result<()>>, seen: Rc<Seen>) {
    if let Err(error) = reading.await {
        tracing::warn!(number, error = %format!("{error:#}"), "a reader failed");
        seen.failed.set(seen.failed.get() + 1);
    }
}

fn elapsed_ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::{Camera, CameraConfig, Source};
    use crate::encode::ClipSpec;
    use std::sync::Arc;

    #[tokio::test]
    async fn readers_see_every_picture_and_when_it_was_sent() {
        let clip = ClipSpec::default().encode().unwrap().with_clock();
        let camera = Camera::start(CameraConfig::new(Source::Clip(Arc::new(clip))));
        let camera = camera.await.unwrap();
        let plan = Plan {
            protocol: Protocol::Rtsp,
            url: camera.url(),
            readers: 2,
            settle: Duration::ZERO,
            length: Duration::from_secs(1),
        };
        let camera_is_gone = Plan {
            url: "rtsp://127.0.0.1:1/cam".into(),
            ..plan.clone()
        };
        let seen = run(&plan, || Ok(())).await.unwrap();
        assert_eq!((seen.failed.get(), seen.lost_packets.get()), (0, 0));
        assert!(seen.pictures.get() > 0);
        let delays = seen.delays_ms.take();
        assert!(!delays.is_empty());
        assert!(delays.iter().all(|delay| (0.0..60_000.0).contains(delay)));
        let seen = run(&camera_is_gone, || Ok(())).await.unwrap();
        assert_eq!(seen.failed.get(), 2);
    }
}
