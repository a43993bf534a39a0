//! Protocol servers: RTSP (RFC 2326), live play over TCP interleaved; raw pictures in shared memory for
//! engines on the same machine; WebRTC.
//!
//! What belongs here: turning a live track into packets (`rtp`, shared by all readers of a channel)
//! and the protocol conversations around them ([`rtsp`]);
//! WebRTC sessions ([`webrtc`]);
//! accepting connections, so many of each stranger ([`accept`]), which the HTTP listener of the server does by the same rule;
//! putting pictures where a neighbour process reads them ([`raw`]). What does not: cameras, recordings, HTTP.
//! Invariant: a reader never slows the track or another reader; it lags, or it is disconnected.

pub mod accept;
mod fanout;
pub mod raw;
pub mod rtmp;
mod rtp;
pub mod rtsp;
pub mod webrtc;

/// A connection beyond the limit is closed. Strangers can make as many as they like: they are counted, and
/// not told of one by one.
fn count_turned_away(protocol: &'static str, peer: std::net::SocketAddr) {
    metrics::counter!("framewell_connections_refused_total", "protocol" => protocol).increment(1);
    tracing::debug!(%peer, protocol, "too many connections");
}

#[cfg(test)]
mod tests {
    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Adds up one counter.
    #[derive(Debug, Default)]
    struct Count(Arc<AtomicU64>);

    impl Recorder for Count {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            assert_eq!(key.name(), "framewell_connections_refused_total");
            Counter::from_arc(Arc::clone(&self.0))
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn connections_beyond_the_limit_are_counted() {
        let count = Count::default();
        let peer = ([127, 0, 0, 1], 9).into();
        metrics::with_local_recorder(&count, || {
            super::count_turned_away("rtmp", peer);
            super::count_turned_away("rtsp", peer);
        });
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
