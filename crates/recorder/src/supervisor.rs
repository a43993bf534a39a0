//! Keeps one task per wanted channel, and the tasks that publish and clean up.

use crate::backlog::Backlog;
use crate::channel::ChannelRecorder;
use crate::config::{Policy, RecorderConfig};
use crate::ledger::{Ledger, LedgerSender};
use crate::memory::ChannelMemory;
use crate::pressure::Pressure;
use crate::publish::{PublishLoop, PublishSender, Publisher};
use crate::room::Room;
use framewell_blob::BlobStore;
use framewell_catalog::Catalog;
use framewell_footage::Spool;
use framewell_live::Registry;
use framewell_model::{ChannelId, WallClock};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Open segments have this long to be closed when the server stops.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// Closed segments and gap rows then have this long; what is left stays in the spool folder for
/// [`Recorder::recover`].
const PUBLISH_DEADLINE: Duration = Duration::from_secs(10);

/// What all parts of a recorder share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: RecorderConfig,
    pub(crate) registry: Registry,
    pub(crate) blobs: BlobStore,
    pub(crate) catalog: Catalog,
    pub(crate) spool: Spool,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) room: Arc<Room>,
    pub(crate) wanted: watch::Sender<BTreeMap<ChannelId, Policy>>,
    /// What waits to be published.
    pub(crate) backlog: Backlog,
    /// Files that are in no queue wait in the spool folder.
    pub(crate) has_overflowed: Arc<AtomicBool>,
    memories: Mutex<BTreeMap<ChannelId, ChannelMemory>>,
}

impl Shared {
    /// What is known of a channel across its tasks; a few hundred bytes each, kept for the life of the
    /// process.
    pub(crate) fn memory(&self, channel: ChannelId) -> ChannelMemory {
        self.memories.lock().entry(channel).or_default().clone()
    }
}

/// The recorder of this node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    pub(crate) shared: Arc<Shared>,
}

impl Recorder {
    /// Joins the parts. Nothing is wanted yet.
    #[must_use]
    pub fn new(
        config: RecorderConfig,
        registry: Registry,
        blobs: BlobStore,
        catalog: Catalog,
        spool: Spool,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        let room = Arc::new(Room::new(config.room, &config.spool_dir));
        Self {
            shared: Arc::new(Shared {
                room,
                config,
                registry,
                blobs,
                catalog,
                spool,
                clock,
                wanted: watch::Sender::default(),
                backlog: Backlog::default(),
                has_overflowed: Arc::default(),
                memories: Mutex::default(),
            }),
        }
    }

    /// Says which channels to record and how. Channels that are missing stop recording.
    pub fn set_wanted(&self, wanted: BTreeMap<ChannelId, Policy>) {
        self.shared.wanted.send_if_modified(|now| {
            let is_new = *now != wanted;
            *now = wanted;
            is_new
        });
    }

    /// Waits until a channel is wanted in any mode, `off` too.
    pub async fn until_wanted(&self) {
        let mut wanted = self.shared.wanted.subscribe();
        // The sender is ours, so it is there as long as we are.
        let _known = wanted.wait_for(|wanted| !wanted.is_empty()).await;
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher {
            catalog: self.shared.catalog.clone(),
            blobs: self.shared.blobs.clone(),
            spool: self.shared.spool.clone(),
            clock: Arc::clone(&self.shared.clock),
            room: Arc::clone(&self.shared.room),
        }
    }

    /// Runs until `stop`, then closes and publishes all open segments. Stop ingest first. Takes at
    /// most 15 s to stop; what is not published by then is left to [`Recorder::recover`].
    pub async fn run(self, stop: CancellationToken) {
        let (ledger_sender, ledger) =
            Ledger::new(self.shared.catalog.clone(), Arc::clone(&self.shared.clock));
        let (publish_sender, publish) = PublishLoop::new(
            self.publisher(),
            ledger_sender.clone(),
            self.shared.config.spool_dir.clone(),
            self.shared.backlog.clone(),
            Arc::clone(&self.shared.has_overflowed),
        );
        let backlog = self.shared.backlog.clone();
        let pressure = Pressure::new(self.clone(), backlog, ledger_sender.clone());
        let mut services = JoinSet::new();
        services.spawn(pressure.run(stop.clone()));
        services.spawn(publish.run());
        services.spawn(ledger.run());
        services.spawn(self.clone().sweep_until(stop.clone()));

        let mut channels = Channels {
            shared: Arc::clone(&self.shared),
            publish: publish_sender,
            ledger: ledger_sender,
            stop: stop.clone(),
            tasks: JoinSet::new(),
            policies: BTreeMap::new(),
            by_task: HashMap::new(),
        };
        let mut wanted = self.shared.wanted.subscribe();
        loop {
            channels.reconcile(&wanted.borrow_and_update());
            tokio::select! {
                () = stop.cancelled() => break,
                _ = wanted.changed() => {}
                Some(ended) = channels.tasks.join_next_with_id() => channels.forget(ended),
            }
        }
        channels.close().await;
        drain("publishing of segments", &mut services, PUBLISH_DEADLINE).await;
    }
}

/// The running channel tasks.
struct Channels {
    shared: Arc<Shared>,
    publish: PublishSender,
    ledger: LedgerSender,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    policies: BTreeMap<ChannelId, watch::Sender<Option<Policy>>>,
    by_task: HashMap<Id, ChannelId>,
}

impl Channels {
    /// Starts what is missing, tells the others their policy. A task without one ends by itself.
    fn reconcile(&mut self, wanted: &BTreeMap<ChannelId, Policy>) {
        for (channel, sender) in &self.policies {
            let policy = wanted.get(channel).copied();
            sender.send_if_modified(|now| std::mem::replace(now, policy) != policy);
        }
        for (channel, policy) in wanted {
            if !self.policies.contains_key(channel) {
                self.start(*channel, *policy);
            }
        }
    }

    fn start(&mut self, channel: ChannelId, policy: Policy) {
        let recorder = ChannelRecorder::new(
            channel,
            Arc::clone(&self.shared),
            self.publish.clone(),
            self.ledger.clone(),
        );
        let (sender, receiver) = watch::channel(Some(policy));
        let task = self.tasks.spawn(recorder.run(receiver, self.stop.clone()));
        self.policies.insert(channel, sender);
        self.by_task.insert(task.id(), channel);
    }

    /// A task ended; if its channel is wanted (again), the next reconcile starts another.
    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(channel) = self.by_task.remove(&id) else {
            return;
        };
        self.policies.remove(&channel);
        if let Err(error) = ended {
            tracing::error!(channel.id = %channel, error = %error, "recording task failed; starting another");
        }
    }

    async fn close(mut self) {
        drain("closing of segments", &mut self.tasks, CLOSE_DEADLINE).await;
    }
}

/// Waits for all tasks; aborts what is left at the deadline.
async fn drain(what: &str, tasks: &mut JoinSet<()>, deadline: Duration) {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(what, error = %error, "task failed while stopping");
            }
        }
    };
    if tokio::time::timeout(deadline, all).await.is_err() {
        tracing::warn!(
            what,
            left = tasks.len(),
            "not done in time; the next start goes on with it"
        );
        tasks.shutdown().await;
    }
}
