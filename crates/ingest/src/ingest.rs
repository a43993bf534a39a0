//! Compares wanted channels with running ones and starts and stops the difference.

use crate::IngestConfig;
use crate::publish::Publishers;
use crate::supervisor::ChannelSupervisor;
use crate::writers::Writers;
use framewell_live::Registry;
use framewell_model::{CameraSource, ChannelId, StreamKind, WallClock};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

type Wanted = Arc<BTreeMap<ChannelId, CameraSource>>;

/// All supervisors of this node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ingest {
    config: Arc<IngestConfig>,
    registry: Registry,
    clock: Arc<dyn WallClock>,
    wanted: Arc<watch::Sender<Wanted>>,
    writers: Writers,
}

impl Ingest {
    /// Nothing is wanted yet.
    #[must_use]
    pub fn new(config: IngestConfig, registry: Registry, clock: Arc<dyn WallClock>) -> Self {
        Self {
            config: Arc::new(config),
            registry,
            clock,
            wanted: Arc::default(),
            writers: Writers::default(),
        }
    }

    /// Those who send by themselves, into channels that no camera is pulled for.
    #[must_use]
    pub fn publishers(&self) -> Publishers {
        Publishers::new(
            self.registry.clone(),
            self.writers.clone(),
            Arc::clone(&self.config),
            Arc::clone(&self.clock),
        )
    }

    /// Says which channels are to be pulled from where. Missing ones are stopped, new ones started,
    /// changed ones restarted; the others are not disturbed.
    pub fn set_wanted(&self, wanted: BTreeMap<ChannelId, CameraSource>) {
        self.wanted.send_if_modified(|before| {
            let is_news = **before != wanted;
            if is_news {
                *before = Arc::new(wanted);
            }
            is_news
        });
    }

    /// Runs until `stop`, then ends all sessions (runs close cleanly).
    pub async fn run(self, stop: CancellationToken) {
        let mut wanted = self.wanted.subscribe();
        let mut fleet = Fleet::default();
        loop {
            let now = Arc::clone(&wanted.borrow_and_update());
            fleet.reconcile(&self, &now, &stop);
            tokio::select! {
                () = stop.cancelled() => break,
                // The sender lives in `self`.
                _changed = wanted.changed() => {}
                () = fleet.join_one(&self.writers) => {}
            }
        }
        info!(
            channels = fleet.running.len(),
            "waiting for camera sessions to end"
        );
        while !fleet.running.is_empty() {
            fleet.join_one(&self.writers).await;
        }
    }
}

/// The running supervisors.
#[derive(Debug, Default)]
struct Fleet {
    tasks: JoinSet<()>,
    running: BTreeMap<ChannelId, Member>,
}

#[derive(Debug)]
struct Member {
    task: Id,
    source: CameraSource,
    stop: CancellationToken,
}

impl Fleet {
    /// Stops what is not wanted as it runs, starts what is wanted and does not run. A channel whose
    /// source changed is started again only after its old supervisor has ended: a track has one
    /// writer.
    fn reconcile(&mut self, ingest: &Ingest, wanted: &Wanted, stop: &CancellationToken) {
        for (channel, member) in &self.running {
            if wanted.get(channel) != Some(&member.source) {
                member.stop.cancel();
            }
        }
        for (channel, source) in wanted.iter() {
            if self.running.contains_key(channel) || stop.is_cancelled() {
                continue;
            }
            ingest.writers.claim_for_camera(*channel);
            let supervisor = ChannelSupervisor {
                channel: *channel,
                source: source.clone(),
                config: Arc::clone(&ingest.config),
                track: ingest.registry.track(*channel),
                main: (channel.stream() == StreamKind::Sub)
                    .then(|| ingest.registry.track(channel.main())),
                clock: Arc::clone(&ingest.clock),
            };
            let stop = stop.child_token();
            let task = self.tasks.spawn(supervisor.run(stop.clone())).id();
            let source = source.clone();
            let member = Member { task, source, stop };
            self.running.insert(*channel, member);
        }
    }

    /// Waits for a supervisor to end; for ever if none runs. Cancel-safe: an ended task that was not
    /// taken out is found again.
    async fn join_one(&mut self, writers: &Writers) {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let task = match ended {
            Ok((task, ())) => task,
            Err(failure) => {
                error!(%failure, "camera supervisor failed");
                failure.id()
            }
        };
        self.running.retain(|channel, member| {
            let has_ended = member.task == task;
            if has_ended {
                writers.release_camera(*channel);
            }
            !has_ended
        });
    }
}
