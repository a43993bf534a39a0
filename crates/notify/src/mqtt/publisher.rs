//! Publishes, connection after connection.

use super::MqttConfig;
use super::channels::Channels;
use super::connection::{Dialer, Error, Link, OFFLINE};
use super::topics::Topics;
use framewell_catalog::{Catalog, EventFilter};
use framewell_insight::feed::{FeedKind, Feeds, Follower, Told, Topic};
use framewell_live::Registry;
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Revisions that are made up for when the broker was away; events before them are left out.
pub const MOST_BEHIND: i64 = 10_000;
/// Name of the stored cursor.
const CURSOR: &str = "mqtt";
/// Events that are published before the broker is waited for.
const AT_ONCE: usize = 50;
/// Connections that may break over one event before it is left out.
const MOST_BREAKS: u32 = 3;
/// How often channels are looked at, and the cursor is stored.
const ROUND: Duration = Duration::from_secs(1);
/// How often the names of channels are read anew.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// First pause after a failed connection; doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two connections.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// The service.
pub struct Publisher {
    dialer: Dialer,
    topics: Topics,
    discovery_prefix: Option<String>,
    catalog: Catalog,
    feeds: Feeds,
    registry: Registry,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

/// How far events were published, and that was stored.
struct Place {
    follower: Follower,
    stored: i64,
}

/// What is known of events that break connections, over all of them.
#[derive(Debug, Default)]
struct Risk {
    /// Revision of the newest event that the broker has not taken yet, and how many there are.
    under_way: Option<(i64, usize)>,
    /// A connection broke: events are published one by one, so that it is known which one it was.
    is_careful: bool,
    /// Revision of the event at which connections broke, and how many did.
    broken: Option<(i64, u32)>,
}

impl Risk {
    /// A connection broke. The event that no connection survives, if it is known.
    fn note_break(&mut self) -> Option<i64> {
        self.is_careful = true;
        let (revision, count) = self.under_way.take()?;
        if count > 1 {
            return None;
        }
        let before = self.broken.filter(|(broken, _)| *broken == revision);
        let breaks = before.map_or(0, |(_, breaks)| breaks) + 1;
        self.broken = Some((revision, breaks));
        (breaks >= MOST_BREAKS).then_some(revision)
    }
}

impl Publisher {
    /// Connects when it runs. Fails for a configuration that cannot be used.
    pub fn new(
        config: MqttConfig,
        catalog: Catalog,
        feeds: Feeds,
        registry: Registry,
    ) -> Result<Self, Error> {
        Ok(Self {
            dialer: Dialer::new(&config)?,
            topics: Topics::new(&config.prefix),
            discovery_prefix: config.discovery_prefix,
            catalog,
            feeds,
            registry,
        })
    }

    /// Publishes until `stop`, over as many connections as it takes.
    pub async fn run(self, stop: CancellationToken) {
        let (mut pause, mut risk) = (FIRST_PAUSE, Risk::default());
        while !stop.is_cancelled() {
            let began = Instant::now();
            match self.connection(&stop, &mut risk).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "MQTT is interrupted; will connect again"
                    );
                    self.judge(&error, &mut risk).await;
                }
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            let jitter = rand::random::<f64>();
            let _stopped = stop
                .run_until_cancelled(sleep(pause.mul_f64(0.5 + jitter / 2.0)))
                .await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Leaves out an event that would keep all others from being published.
    async fn judge(&self, error: &Error, risk: &mut Risk) {
        // Any other error says nothing of what was under way.
        if !matches!(error, Error::Connection(_) | Error::Stuck) {
            risk.under_way = None;
        }
        let Some(revision) = risk.note_break() else {
            return;
        };
        tracing::warn!(
            revision,
            "an event is left out: the connection to the MQTT broker broke over it again and again"
        );
        if let Err(error) = self.catalog.save_feed_cursor(CURSOR, revision).await {
            // The next connection breaks over it once more, and this is tried again.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the place behind it cannot be stored"
            );
        }
    }

    /// One connection; returns without an error when it was stopped.
    async fn connection(&self, stop: &CancellationToken, risk: &mut Risk) -> Result<(), Error> {
        let (link, wire) = self.dialer.dial();
        let mut wire = Box::pin(wire.run());
        tokio::select! {
            error = &mut wire => return Err(error),
            result = Box::pin(self.publish(&link, risk)) => return result,
            () = stop.cancelled() => {}
        }
        let goodbye = async {
            link.publish(self.topics.status(), true, OFFLINE).await?;
            link.settled().await?;
            link.leave().await
        };
        tokio::select! {
            // The broker closes the connection after the goodbye.
            _closed = &mut wire => {}
            _said = tokio::time::timeout(GOODBYE, goodbye) => {
                let _closed = tokio::time::timeout(GOODBYE, wire).await;
            }
        }
        Ok(())
    }

    /// Publishes what there is and what comes; has no end of its own.
    async fn publish(&self, link: &Link, risk: &mut Risk) -> Result<(), Error> {
        link.connected().await?;
        tracing::info!("connected to the MQTT broker");
        link.publish(self.topics.status(), true, "online").await?;
        let mut channels = Channels::open(
            &self.catalog,
            &self.registry,
            &self.topics,
            self.discovery_prefix.as_deref(),
        )
        .await?;
        let mut place = self.place().await?;
        let (mut look, mut store) = (Instant::now() + LOOK_AGAIN, Instant::now());
        loop {
            if Instant::now() >= look {
                look = Instant::now() + LOOK_AGAIN;
                channels.look_again();
            }
            channels.publish(link).await?;
            let is_all = self.publish_events(&mut place.follower, link, risk).await?;
            // What comes after a break is taken one by one, and not to be told again by the next.
            if Instant::now() >= store || risk.is_careful {
                store = Instant::now() + ROUND;
                self.store(&mut place).await?;
            }
            if is_all {
                tokio::select! {
                    () = place.follower.moved() => {}
                    () = sleep(ROUND) => {}
                }
            }
        }
    }

    /// Where to go on.
    async fn place(&self) -> Result<Place, Error> {
        let newest = FeedKind::Events.newest(&self.catalog).await?;
        let stored = self.catalog.load_feed_cursor(CURSOR).await?;
        // A cursor of another database starts anew.
        let stored = match stored.filter(|stored| *stored <= newest) {
            Some(stored) => stored,
            None => {
                // At once: what comes from now on is owed, however short this connection is.
                self.catalog.save_feed_cursor(CURSOR, newest).await?;
                newest
            }
        };
        let from = stored.max(newest - MOST_BEHIND);
        if from > stored {
            let left_out = from - stored;
            tracing::warn!(
                left_out,
                "the MQTT broker was away for too long: old events are left out"
            );
        }
        let every_event = Topic::Events(EventFilter::default());
        let follower = self.feeds.open(every_event, None, Some(from)).await?;
        Ok(Place { follower, stored })
    }

    /// Publishes some events and waits for the broker to take them; whether that were all.
    async fn publish_events(
        &self,
        follower: &mut Follower,
        link: &Link,
        risk: &mut Risk,
    ) -> Result<bool, Error> {
        let at_once = if risk.is_careful { 1 } else { AT_ONCE };
        let mut count = 0;
        let is_all = loop {
            if let Some(entry) = follower.pop() {
                risk.under_way = Some((entry.revision, count + 1));
                if let Told::Event(event) = &entry.told {
                    let topic = self.topics.event(event.channel, &event.name);
                    link.publish(topic, false, entry.text()).await?;
                    let last = self.topics.channel(event.channel, "last_event");
                    link.publish(last, true, entry.text()).await?;
                }
                count += 1;
                if count == at_once {
                    break false;
                }
            } else if !follower.read().await? {
                break true;
            }
        };
        link.settled().await?;
        risk.under_way = None;
        risk.is_careful &= !is_all;
        Ok(is_all)
    }

    async fn store(&self, place: &mut Place) -> Result<(), Error> {
        let cursor = place.follower.cursor();
        if cursor != place.stored {
            self.catalog.save_feed_cursor(CURSOR, cursor).await?;
            place.stored = cursor;
        }
        Ok(())
    }
}
