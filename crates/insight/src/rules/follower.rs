//! Evaluates all rules: follows the log of documents, and writes what follows from each part of it in one
//! transaction with how far it has come. A crash repeats what was not written, and nothing else.

use super::definition::Understood;
use super::watch::{Found, MAX_A_MINUTE, Taken, Watch};
use crate::events::jobs_of;
use crate::{Error, Insight};
use framewell_catalog::meta::{Document, DocumentPage, Filter, Scanned};
use framewell_catalog::{Revisions, RuleEvent, RuleOwner, RuleRow, RuleState, RuleStep};
use framewell_model::{
    AccountId, ChannelId, ErrorKind, EventProcessing, EventSource, HasKind as _, NewEvent, RuleId,
    WallClock, WallTime,
};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What other processes on the same database write is noticed within this time.
const POLL: Duration = Duration::from_secs(1);
/// After a notice: documents that come one by one are then looked at some at a time.
const PACE: Duration = Duration::from_millis(20);
/// After an error of the database.
const PAUSE: Duration = Duration::from_secs(1);
/// How old what is known of rules and groups may be; what this process changes is noticed at once.
const RELOAD: Duration = Duration::from_secs(3);
/// Documents of one step.
const MOST_DOCUMENTS: u64 = 200;
/// Most events that the rules of one account raise in one step: they are written in one transaction, for
/// which all others wait.
const MOST_EVENTS: usize = 500;
/// Shortest text of the id of a document in a tag of an event; longer ones are cut.
const MAX_TAG_BYTES: usize = 512;

/// The service.
#[derive(Debug)]
pub struct RuleFollower {
    insight: Insight,
    clock: Arc<dyn WallClock>,
    rules: Vec<Active>,
    channels: Vec<ChannelId>,
    watches: BTreeMap<(RuleId, ChannelId), Watch>,
    /// As stored.
    cursor: i64,
    /// Nothing up to here concerns any rule.
    skip_to: i64,
    loaded: Option<Instant>,
}

/// A rule that looks at something.
#[derive(Debug)]
struct Active {
    row: RuleRow,
    understood: Understood,
    channels: BTreeSet<ChannelId>,
}

impl Active {
    const fn key(&self) -> (RuleId, i64) {
        (self.row.id, self.row.version)
    }
}

impl RuleFollower {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(insight: Insight, clock: Arc<dyn WallClock>) -> Self {
        Self {
            insight,
            clock,
            rules: Vec::new(),
            channels: Vec::new(),
            watches: BTreeMap::new(),
            cursor: 0,
            skip_to: 0,
            loaded: None,
        }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let following = Box::pin(self.follow());
        stop.run_until_cancelled(following).await;
    }

    async fn follow(mut self) {
        let mut documents = self.insight.catalog.document_changes();
        let mut rules = self.insight.catalog.rule_changes();
        loop {
            match self.turn().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "rules cannot look at documents; trying again"
                    );
                    self.loaded = None;
                    tokio::time::sleep(PAUSE).await;
                }
            }
            tokio::select! {
                _ = documents.changed() => tokio::time::sleep(PACE).await,
                _ = rules.changed() => self.loaded = None,
                () = tokio::time::sleep(self.until_next_look()) => {}
            }
            documents.mark_unchanged();
        }
    }

    fn until_next_look(&self) -> Duration {
        let now = self.clock.now();
        let next = self.rules.iter().flat_map(|rule| {
            let definition = &rule.understood.definition;
            let watches = self.watches.range(of_rule(rule.row.id));
            watches.filter_map(move |(_, watch)| watch.next_look(definition))
        });
        let Some(next) = next.min() else { return POLL };
        let micros = u64::try_from(next.micros_since(now)).unwrap_or(0);
        Duration::from_micros(micros).clamp(PACE, POLL)
    }

    /// Looks at some documents; whether there may be more.
    async fn turn(&mut self) -> Result<bool, Error> {
        if self.loaded.is_none_or(|at| at.elapsed() > RELOAD) {
            self.load().await?;
        }
        if self.rules.is_empty() {
            return Ok(false);
        }
        let catalog = &self.insight.catalog;
        let newest = catalog.newest_document_revision().await?;
        let after = self.cursor.max(self.skip_to);
        let revisions = Revisions::behind(after, newest);
        // What is skipped may lie further than anything that was stored.
        let until = revisions.until.max(after);
        let page = if until > after && !self.channels.is_empty() {
            let all = Filter::And(Vec::new());
            catalog
                .documents_after(&self.channels, &all, revisions, MOST_DOCUMENTS)
                .await?
        } else {
            DocumentPage::default()
        };
        let until = page.next.unwrap_or(until);
        self.step(&page.documents, until).await?;
        Ok(page.next.is_some() || until < newest)
    }

    /// Rules, the channels that they look at, how far they have come, and what they remember.
    async fn load(&mut self) -> Result<(), Error> {
        let catalog = &self.insight.catalog;
        self.cursor = catalog.rule_cursor().await?;
        let mut rules = Vec::new();
        for row in catalog.all_rules().await? {
            match self.active(row).await {
                Ok(Some(rule)) => rules.push(rule),
                Ok(None) => {}
                Err(error) if is_its_own(&error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a rule cannot be used"
                ),
                Err(error) => return Err(error),
            }
        }
        let is_as_before = rules
            .iter()
            .map(Active::key)
            .eq(self.rules.iter().map(Active::key));
        let from = rules.iter().map(|rule| rule.row.from_revision).min();
        let from = from.unwrap_or_default();
        if is_as_before && self.loaded.is_some() {
            self.skip_to = self.skip_to.max(from);
        } else {
            self.watches = self.load_watches(&rules).await?;
            self.skip_to = from;
        }
        let channels = rules.iter().flat_map(|rule| rule.channels.iter().copied());
        self.channels = channels.collect::<BTreeSet<_>>().into_iter().collect();
        self.rules = rules;
        self.loaded = Some(Instant::now());
        Ok(())
    }

    async fn load_watches(
        &self,
        rules: &[Active],
    ) -> Result<BTreeMap<(RuleId, ChannelId), Watch>, Error> {
        let current: BTreeSet<(RuleId, i64)> = rules.iter().map(Active::key).collect();
        let mut watches = BTreeMap::new();
        for state in self.insight.catalog.rule_states().await? {
            if current.contains(&state.rule)
                && let Ok(watch) = serde_json::from_str(&state.state)
            {
                watches.insert((state.rule.0, state.channel), watch);
            }
        }
        Ok(watches)
    }

    /// `None` for a rule that is switched off, or whose token has ended.
    async fn active(&self, row: RuleRow) -> Result<Option<Active>, Error> {
        if let Some(why) = row.ended(self.clock.now()) {
            if row.disabled.is_none() {
                tracing::info!(rule.id = %row.id, "a rule ends: {why}");
                self.insight.catalog.disable_rule(&row, why).await?;
            }
            return Ok(None);
        }
        let rule = super::Rule::of(&row)?;
        if !rule.definition.enabled {
            return Ok(None);
        }
        let understood = Understood::new(rule.definition)?;
        let catalog = &self.insight.catalog;
        let open = match row.owner {
            RuleOwner::Account => catalog.list_channel_ids(row.account).await?,
            RuleOwner::Channel(channel) => vec![channel],
            RuleOwner::Group(group) => catalog.load_group(group).await?.channels,
        };
        let named = understood.definition.channels.as_ref();
        let is_wanted = |channel: &ChannelId| named.is_none_or(|named| named.contains(channel));
        let channels = open.into_iter().filter(is_wanted).collect();
        Ok(Some(Active {
            row,
            understood,
            channels,
        }))
    }

    /// Looks at documents and at the clock, and writes what follows.
    async fn step(&mut self, documents: &[(i64, Document)], until: i64) -> Result<(), Error> {
        let now = self.clock.now();
        let mut touched: BTreeSet<(RuleId, ChannelId)> = BTreeSet::new();
        for (revision, document) in documents {
            self.show(*revision, document, now, &mut touched);
        }
        let mut step = RuleStep {
            from: self.cursor,
            until,
            ..RuleStep::default()
        };
        let mut raising = Raising::default();
        for rule in &self.rules {
            for ((_, channel), watch) in self.watches.range_mut(of_rule(rule.row.id)) {
                let definition = &rule.understood.definition;
                let is_due = watch.next_look(definition).is_some_and(|due| due <= now);
                if !is_due && !touched.contains(&(rule.row.id, *channel)) {
                    continue;
                }
                let before = watch.in_minute(now);
                let found = watch.look(definition, now);
                if before <= MAX_A_MINUTE && watch.in_minute(now) > MAX_A_MINUTE {
                    tracing::warn!(rule.id = %rule.row.id, channel.id = %channel, "more than {MAX_A_MINUTE} events of the rule in a minute: the others are dropped");
                }
                let raised = raising.raise(&self.insight, rule, *channel, &found, now);
                step.events.extend(raised.await?);
                let state = serde_json::to_string(watch);
                step.states.push(RuleState {
                    rule: rule.key(),
                    channel: *channel,
                    state: state.map_err(|error| Error::Invalid(error.to_string()))?,
                });
            }
        }
        // Where nothing concerns a rule, how far it was looked need not be written each time.
        let is_news = !step.states.is_empty() || until - self.cursor >= Revisions::SPAN;
        if !is_news {
            self.skip_to = self.skip_to.max(until);
            return Ok(());
        }
        if self.insight.catalog.commit_rule_step(step, now).await? {
            self.cursor = until;
        } else {
            // Another process has looked at them.
            self.loaded = None;
        }
        Ok(())
    }

    fn show(
        &mut self,
        revision: i64,
        document: &Document,
        now: WallTime,
        touched: &mut BTreeSet<(RuleId, ChannelId)>,
    ) {
        let channel = document.channel;
        let scanned = Scanned::new(document);
        for rule in &self.rules {
            if revision <= rule.row.from_revision || !rule.channels.contains(&channel) {
                continue;
            }
            let Some(sight) = rule.understood.look(&scanned) else {
                continue;
            };
            let key = (rule.row.id, channel);
            let watch = self.watches.entry(key).or_default();
            let word = match watch.take(document.timestamp, &document.id, sight, now) {
                Taken::Waits => {
                    touched.insert(key);
                    continue;
                }
                Taken::Late => "late",
                Taken::Ahead => "ahead",
                Taken::Crowded => "crowded",
            };
            metrics::counter!("framewell_rule_documents_left_out_total", "why" => word)
                .increment(1);
        }
    }
}

/// Whether an error is about one rule: trying again would not help it, and the others would wait for it.
fn is_its_own(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidArgument | ErrorKind::NotFound
    )
}

fn of_rule(rule: RuleId) -> std::ops::RangeInclusive<(RuleId, ChannelId)> {
    let first = ChannelId::new(1).expect("1 is an id");
    let last = ChannelId::new(i64::MAX).expect("a large number is an id");
    (rule, first)..=(rule, last)
}

/// What is known while one step raises events.
#[derive(Debug, Default)]
struct Raising {
    processing: BTreeMap<(ChannelId, String), EventProcessing>,
    raised: BTreeMap<AccountId, usize>,
}

impl Raising {
    /// The events of what a rule found on a channel: none if the channel does not want to hear of events of
    /// its name, and none that cannot be stored or are too many.
    async fn raise(
        &mut self,
        insight: &Insight,
        rule: &Active,
        channel: ChannelId,
        found: &[Found],
        now: WallTime,
    ) -> Result<Vec<RuleEvent>, Error> {
        let mut events = Vec::new();
        for found in found {
            let raised = self.raised.entry(rule.row.account).or_default();
            *raised += 1;
            if *raised > MOST_EVENTS {
                if *raised == MOST_EVENTS + 1 {
                    tracing::warn!(account.id = %rule.row.account, "more than {MOST_EVENTS} events of the rules of an account at once: the others are dropped");
                }
                continue;
            }
            match self.event(insight, rule, channel, found, now).await {
                Ok(event) => events.extend(event),
                Err(error) if is_its_own(&error) => tracing::warn!(
                    rule.id = %rule.row.id,
                    channel.id = %channel,
                    error = &error as &dyn std::error::Error,
                    "an event of a rule cannot be stored and is dropped"
                ),
                Err(error) => return Err(error),
            }
        }
        Ok(events)
    }

    async fn event(
        &mut self,
        insight: &Insight,
        rule: &Active,
        channel: ChannelId,
        found: &Found,
        now: WallTime,
    ) -> Result<Option<RuleEvent>, Error> {
        let name = &rule.understood.definition.event;
        let key = (channel, name.clone());
        let processing = match self.processing.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                unknown.insert(insight.event_processing(channel, name).await?)
            }
        };
        if !processing.receive {
            return Ok(None);
        }
        let event = NewEvent {
            channel,
            name: name.clone(),
            time: found.at,
            source: EventSource::Server,
            tags: tags(rule, found),
        };
        framewell_catalog::check_event(&event)?;
        let jobs = jobs_of(rule.row.account, &event, processing, now);
        Ok(Some(RuleEvent {
            rule: rule.key(),
            event,
            notify: processing.notify,
            jobs: Box::new(jobs),
        }))
    }
}

/// What the rule says, and what led to the event.
fn tags(rule: &Active, found: &Found) -> BTreeMap<String, String> {
    let definition = &rule.understood.definition;
    let mut tags = definition.tags.clone();
    let mut add = |tag: &str, data: &str| {
        let end = data.floor_char_boundary(MAX_TAG_BYTES);
        let data = data.get(..end).unwrap_or_default();
        tags.insert(tag.to_owned(), data.to_owned());
    };
    add("rule", &rule.row.id.to_string());
    add("since", &found.since.to_rfc3339());
    add("document", &found.document);
    if let Some(objects) = &definition.objects {
        if let Some(label) = &objects.label {
            add("label", label);
        }
        add("count", &found.count.to_string());
    }
    if let Some(track) = &found.track {
        add("track", track);
    }
    tags
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
