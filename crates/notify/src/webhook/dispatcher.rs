//! Hears of new entries, and makes a job for each webhook that wants one of them.
//!
//! What a webhook is owed is a number: the newest entry that it wants. A job is made until its cursor has
//! got there, so a job that ended a moment too early, or was lost, is followed by another. Cursors of
//! webhooks that want nothing of what comes are moved on now and then.

use framewell_catalog::meta::{Filter, Scanned};
use framewell_catalog::{Catalog, NewJob, WEBHOOK_JOB, Webhook, WebhookCursors};
use framewell_insight::Error;
use framewell_insight::feed::{Entry, FeedKind, Feeds, Follower, Interest, Topic};
use framewell_model::{AccountId, ChannelId, WallClock, WebhookId};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Webhooks that other processes make are noticed within this time.
const POLL: Duration = Duration::from_secs(5);
/// How often it is looked whether a webhook got what it is owed.
const OWED_POLL: Duration = Duration::from_secs(1);
/// Shortest time between two rounds: entries that come one by one are then delivered some at a time.
const PACE: Duration = Duration::from_millis(50);
/// How often cursors are moved over what their webhooks do not want.
const IDLE_ROUND: Duration = Duration::from_secs(10);
/// Channels whose account is kept in mind.
const MOST_CHANNELS: usize = 100_000;

/// The service.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    catalog: Catalog,
    feeds: Feeds,
    clock: Arc<dyn WallClock>,
}

/// A webhook as of this round.
struct Known {
    hook: Webhook,
    topics: Vec<Topic>,
    owed: WebhookCursors,
}

impl Known {
    fn is_owed(&self) -> bool {
        self.owed.event > self.hook.cursors.event || self.owed.document > self.hook.cursors.document
    }

    fn wants(&self, entry: &Entry, scanned: Option<&Scanned<'_>>, account: AccountId) -> bool {
        let is_wanted = |topic: &Topic| topic.matches_scanned(entry, scanned);
        self.hook.owner.account == account && self.topics.iter().any(is_wanted)
    }
}

/// Everything that goes on from round to round.
struct Rounds {
    events: Follower,
    /// While some webhook wants documents: there may be thousands in a second, and reading them costs.
    documents: Option<Follower>,
    known: BTreeMap<WebhookId, Known>,
    /// Which account a channel is of never changes.
    accounts: HashMap<ChannelId, AccountId>,
    idle: Instant,
}

impl Dispatcher {
    /// Joins the parts.
    #[must_use]
    pub fn new(catalog: Catalog, feeds: Feeds, clock: Arc<dyn WallClock>) -> Self {
        Self {
            catalog,
            feeds,
            clock,
        }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(Box::pin(self.run_for_ever()))
            .await;
    }

    async fn run_for_ever(&self) {
        loop {
            if let Err(error) = self.follow().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "webhooks cannot be served now; will try again"
                );
                sleep(OWED_POLL).await;
            }
        }
    }

    /// Returns when there are no webhooks.
    async fn follow(&self) -> Result<(), Error> {
        let mut changes = self.catalog.webhook_changes();
        while self.catalog.active_webhooks().await?.is_empty() {
            tokio::select! {
                _changed = changes.changed() => {}
                () = sleep(POLL) => {}
            }
        }
        // What comes before this is found by comparing cursors, what comes later is heard.
        let every_event = Topic::Events(Default::default());
        let mut rounds = Rounds {
            events: self.feeds.open(every_event, None, None).await?,
            documents: None,
            known: BTreeMap::new(),
            accounts: HashMap::new(),
            idle: Instant::now() + IDLE_ROUND,
        };
        loop {
            changes.mark_unchanged();
            self.round(&mut rounds).await?;
            if rounds.known.is_empty() {
                return Ok(());
            }
            let is_owed = rounds.known.values().any(Known::is_owed);
            let poll = if is_owed { OWED_POLL } else { POLL };
            tokio::select! {
                _changed = changes.changed() => {}
                () = rounds.events.moved() => {}
                () = moved(&mut rounds.documents) => {}
                () = sleep(poll) => {}
            }
            sleep(PACE).await;
        }
    }

    async fn round(&self, rounds: &mut Rounds) -> Result<(), Error> {
        // The webhooks first: what is heard after this is judged by what they want now.
        self.reload(rounds).await?;
        self.hear(rounds).await?;
        self.pay(rounds).await?;
        if Instant::now() >= rounds.idle {
            rounds.idle = Instant::now() + IDLE_ROUND;
            self.move_idle(rounds).await?;
        }
        Ok(())
    }

    /// A webhook that is new here, or was changed, may be owed anything up to where we stand.
    async fn reload(&self, rounds: &mut Rounds) -> Result<(), Error> {
        let hooks = self.catalog.active_webhooks().await?;
        let are_wanted = hooks
            .iter()
            .flat_map(topics)
            .any(|topic| topic.kind() == FeedKind::Documents);
        // Opened before it is looked where we stand.
        rounds.documents = match rounds.documents.take() {
            opened @ Some(_) if are_wanted => opened,
            None if are_wanted => {
                let every_document = Topic::Documents(Filter::And(Vec::new()));
                Some(self.feeds.open(every_document, None, None).await?)
            }
            _ => None,
        };
        let here = rounds.cursors();
        let mut before = std::mem::take(&mut rounds.known);
        for hook in hooks {
            let same = before.remove(&hook.id);
            let same = same.filter(|known| known.hook.version == hook.version);
            let known = match same {
                Some(known) => Known { hook, ..known },
                None => Known {
                    topics: topics(&hook),
                    owed: here,
                    hook,
                },
            };
            rounds.known.insert(known.hook.id, known);
        }
        Ok(())
    }

    async fn hear(&self, rounds: &mut Rounds) -> Result<(), Error> {
        while let Some(entry) = next(&mut rounds.events).await? {
            if let Some(account) = self.account(&mut rounds.accounts, entry.channel()).await? {
                let scanned = entry.scanned();
                for known in rounds.known.values_mut() {
                    if known.wants(&entry, scanned.as_ref(), account) {
                        known.owed.event = entry.revision;
                    }
                }
            }
        }
        let Some(documents) = &mut rounds.documents else {
            return Ok(());
        };
        while let Some(entry) = next(documents).await? {
            if let Some(account) = self.account(&mut rounds.accounts, entry.channel()).await? {
                let scanned = entry.scanned();
                for known in rounds.known.values_mut() {
                    if known.wants(&entry, scanned.as_ref(), account) {
                        known.owed.document = entry.revision;
                    }
                }
            }
        }
        Ok(())
    }

    /// `None` for a channel that has been deleted since.
    async fn account(
        &self,
        accounts: &mut HashMap<ChannelId, AccountId>,
        channel: ChannelId,
    ) -> Result<Option<AccountId>, Error> {
        if let Some(account) = accounts.get(&channel) {
            return Ok(Some(*account));
        }
        let account = match self.catalog.load_channel(channel).await {
            Ok(channel) => channel.account,
            Err(framewell_catalog::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if accounts.len() >= MOST_CHANNELS {
            accounts.clear();
        }
        accounts.insert(channel, account);
        Ok(Some(account))
    }

    /// Makes the jobs that are missing.
    async fn pay(&self, rounds: &Rounds) -> Result<(), Error> {
        if !rounds.known.values().any(Known::is_owed) {
            return Ok(());
        }
        let open = self.catalog.open_job_keys(WEBHOOK_JOB).await?;
        let open: BTreeSet<String> = open.into_iter().collect();
        let now = self.clock.now();
        for known in rounds.known.values().filter(|known| known.is_owed()) {
            let key = known.hook.id.to_string();
            if open.contains(&key) {
                continue;
            }
            let job = NewJob {
                kind: WEBHOOK_JOB,
                account: known.hook.owner.account,
                channel: None,
                parameters: json!({ "webhook": known.hook.id }),
                dedup: Some(key),
                due: now,
            };
            self.catalog.create_job(&job, now).await?;
        }
        Ok(())
    }

    async fn move_idle(&self, rounds: &Rounds) -> Result<(), Error> {
        let here = rounds.cursors();
        for known in rounds.known.values().filter(|known| !known.is_owed()) {
            let at = known.hook.cursors;
            let cursors = WebhookCursors {
                event: here.event.max(at.event),
                document: here.document.max(at.document),
            };
            if cursors != at {
                self.catalog.skip_webhook(&known.hook, cursors).await?;
            }
        }
        Ok(())
    }
}

impl Rounds {
    fn cursors(&self) -> WebhookCursors {
        WebhookCursors {
            event: self.events.cursor(),
            // 0: nobody is owed any.
            document: self.documents.as_ref().map_or(0, Follower::cursor),
        }
    }
}

/// What cannot be read wants nothing here; the job says so to the owner.
fn topics(hook: &Webhook) -> Vec<Topic> {
    let object = hook.subscription.as_object();
    let interest = object.and_then(|object| Interest::parse(object).ok());
    interest
        .map(|interest| interest.topics())
        .unwrap_or_default()
}

/// Waits for a follower that may not be there.
async fn moved(follower: &mut Option<Follower>) {
    match follower {
        Some(follower) => follower.moved().await,
        None => std::future::pending().await,
    }
}

/// The next entry that is there now.
async fn next(follower: &mut Follower) -> Result<Option<Arc<Entry>>, Error> {
    loop {
        if let Some(entry) = follower.pop() {
            return Ok(Some(entry));
        }
        if !follower.read().await? {
            return Ok(None);
        }
    }
}
