//! Rules look at what is written, raise each event once, and survive being killed.

use framewell_catalog::meta::Document;
use framewell_catalog::{
    Catalog, CatalogConfig, EventFilter, Order, RuleOwner, Slice, TokenTarget,
};
use framewell_insight::Insight;
use framewell_insight::rules::{Definition, Maker, RuleFollower};
use framewell_model::{
    Access, AccountId, ChannelId, Event, EventProcessing, EventSource, GroupPatch, NewChannel,
    NewGroup, RecMode, RuleId, Secret, TokenSerial, WallClock, WallTime,
};
use framewell_testkit::clock::MovableClock;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A catalog with one channel, and rules that look at it.
pub(crate) struct Rig {
    _dir: tempfile::TempDir,
    pub(crate) catalog: Catalog,
    pub(crate) insight: Insight,
    pub(crate) account: AccountId,
    pub(crate) channel: ChannelId,
    clock: Arc<MovableClock>,
    tasks: JoinSet<()>,
    next: usize,
}

/// So many tenths of a second after a moment.
pub(crate) fn at(tenths: i64) -> WallTime {
    WallTime::from_micros(1_700_000_000_000_000 + tenths * 100_000)
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("db").display());
        let config = CatalogConfig {
            url: Secret::new(url),
            max_connections: 4,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let account = catalog.create_account("tests", at(0)).await.unwrap().id;
        let channel = channel(&catalog, account).await;
        Self {
            _dir: dir,
            insight: Insight::new(catalog.clone()),
            catalog,
            account,
            channel,
            clock: Arc::new(MovableClock::new(at(0))),
            tasks: JoinSet::new(),
            next: 0,
        }
    }

    fn start(&mut self) {
        let clock: Arc<dyn WallClock> = Arc::<MovableClock>::clone(&self.clock);
        let follower = RuleFollower::new(self.insight.clone(), clock);
        self.tasks.spawn(follower.run(CancellationToken::new()));
    }

    /// Ends the follower where it is; what it had in memory is gone.
    async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }

    async fn rule(&self, owner: RuleOwner, rule: Value) {
        self.rule_with(owner, None, rule).await;
    }

    /// A rule that ends with this token.
    async fn rule_with(&self, owner: RuleOwner, token: Option<TokenSerial>, rule: Value) -> RuleId {
        let definition = Definition::read(&rule).unwrap();
        let maker = self.maker(owner, token);
        let made = self.insight.create_rule(maker, definition, at(0)).await;
        made.unwrap().id
    }

    fn maker(&self, owner: RuleOwner, token: Option<TokenSerial>) -> Maker {
        Maker {
            account: self.account,
            owner,
            token,
        }
    }

    async fn disabled(&self, rule: RuleId) -> Option<String> {
        let rule = self.insight.load_rule(rule).await.unwrap();
        rule.disabled(self.clock.now()).map(str::to_owned)
    }

    /// A document with so many persons.
    async fn write(&mut self, channel: ChannelId, tenths: i64, persons: i64) {
        self.next += 1;
        let document = Document {
            id: format!("d{}", self.next),
            channel,
            timestamp: at(tenths),
            long: BTreeMap::from([("Person".to_owned(), persons)]),
            float: BTreeMap::new(),
            string: BTreeMap::new(),
            raw_data: None,
            native: framewell_catalog::meta::Native::default(),
        };
        self.catalog.put_documents(&[document]).await.unwrap();
    }

    async fn events(&self, channels: &[ChannelId]) -> Vec<Event> {
        let all = Slice {
            limit: 1_000,
            offset: 0,
        };
        let filter = EventFilter::default();
        let found = self
            .catalog
            .list_events(channels, &filter, Order::Ascending, all);
        found.await.unwrap().items
    }

    async fn until_events(&self, count: usize) -> Vec<Event> {
        let started = Instant::now();
        loop {
            let events = self.events(&[self.channel]).await;
            if events.len() >= count {
                return events;
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{} of {count}",
                events.len()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Until the follower has looked at all that is written.
    async fn until_looked(&self) {
        let started = Instant::now();
        let newest = self.catalog.newest_document_revision().await.unwrap();
        while self.catalog.rule_cursor().await.unwrap() < newest {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "it stands still"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn channel(catalog: &Catalog, account: AccountId) -> ChannelId {
    let new = NewChannel {
        name: "gate".into(),
        rec_mode: RecMode::Off,
        timezone: "UTC".into(),
        source: None,
        retention_s: None,
        meta: BTreeMap::new(),
    };
    catalog
        .create_channel(account, &new, at(0))
        .await
        .unwrap()
        .id
}

fn two_persons(for_seconds: f64) -> Value {
    json!({"event": "crowd", "filter": {"field": "long.Person", "gte": 2}, "for_seconds": for_seconds,
        "tolerance_s": 0.5, "tags": {"level": "high"}})
}

#[tokio::test]
async fn what_lasts_raises_one_event_at_the_time_of_its_document() {
    let mut rig = Rig::new().await;
    rig.write(rig.channel, -50, 5).await;
    rig.rule(RuleOwner::Account, two_persons(2.0)).await;
    rig.start();
    for n in 0..60 {
        rig.clock.set(at(n));
        rig.write(rig.channel, n, if n == 10 { 1 } else { 2 }).await;
    }
    let events = rig.until_events(1).await;
    rig.until_looked().await;
    assert_eq!(rig.events(&[rig.channel]).await, events);
    let [event] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((event.name.as_str(), event.time), ("crowd", at(31)));
    assert_eq!(event.source, EventSource::Server);
    let tag = |tag: &str| event.tags[tag].as_str();
    assert_eq!(
        (tag("since"), tag("rule")),
        (at(11).to_rfc3339().as_str(), "1")
    );
    // The document before the rule was the first one.
    assert_eq!((tag("document"), tag("level")), ("d33", "high"));
    rig.kill().await;
}

#[tokio::test]
async fn the_last_document_counts_when_the_clock_says_that_no_other_comes() {
    let mut rig = Rig::new().await;
    let other = channel(&rig.catalog, rig.account).await;
    rig.rule(RuleOwner::Account, two_persons(0.0)).await;
    rig.start();
    rig.write(rig.channel, 0, 2).await;
    rig.until_looked().await;
    assert!(rig.events(&[rig.channel]).await.is_empty());
    rig.clock.set(at(4));
    // A step looks at the clock for all channels.
    rig.write(other, 0, 0).await;
    rig.until_looked().await;
    assert!(rig.events(&[rig.channel]).await.is_empty());
    rig.clock.set(at(5));
    rig.until_events(1).await;
    rig.kill().await;
}

#[tokio::test]
async fn killed_at_many_moments_no_event_is_lost_or_doubled() {
    let mut rig = Rig::new().await;
    rig.rule(RuleOwner::Account, two_persons(0.5)).await;
    let waits = [0, 1, 3, 7, 20];
    // Ten documents with, ten without: forty events.
    for n in 0..800_i64 {
        rig.clock.set(at(n));
        rig.write(rig.channel, n, if n % 20 < 10 { 2 } else { 0 })
            .await;
        if n % 16 == 0 {
            rig.kill().await;
            rig.start();
        }
        let wait = waits[usize::try_from(n).unwrap() % waits.len()];
        for _ in 0..wait {
            tokio::task::yield_now().await;
        }
    }
    rig.kill().await;
    rig.start();
    rig.clock.set(at(1_000));
    rig.until_looked().await;
    let events = rig.until_events(40).await;
    let times: Vec<WallTime> = events.iter().map(|event| event.time).collect();
    let expected: Vec<WallTime> = (0..40).map(|n| at(n * 20 + 5)).collect();
    assert_eq!(times, expected);
    // Two at once share the work.
    rig.start();
    rig.start();
    for n in 1_000..1_400_i64 {
        rig.clock.set(at(n));
        rig.write(rig.channel, n, if n % 20 < 10 { 2 } else { 0 })
            .await;
    }
    rig.clock.set(at(2_000));
    let events = rig.until_events(60).await;
    rig.until_looked().await;
    assert_eq!(rig.events(&[rig.channel]).await.len(), 60, "{events:?}");
    rig.kill().await;
}

#[tokio::test]
async fn a_rule_looks_at_its_channels_and_at_what_the_channel_wants_to_hear() {
    let mut rig = Rig::new().await;
    let deaf = channel(&rig.catalog, rig.account).await;
    let other = channel(&rig.catalog, rig.account).await;
    let processing = EventProcessing {
        receive: false,
        ..EventProcessing::new("crowd", true)
    };
    rig.catalog
        .put_event_processing(deaf, &processing)
        .await
        .unwrap();
    rig.rule(RuleOwner::Channel(rig.channel), two_persons(0.0))
        .await;
    rig.rule(RuleOwner::Channel(deaf), two_persons(0.0)).await;
    rig.start();
    for channel in [other, deaf, rig.channel] {
        rig.write(channel, 0, 3).await;
    }
    rig.until_looked().await;
    rig.clock.set(at(100));
    let events = rig.until_events(1).await;
    assert_eq!(events[0].tags["rule"], "1");
    rig.until_looked().await;
    assert!(rig.events(&[deaf, other]).await.is_empty());
    rig.kill().await;
}

#[tokio::test]
async fn a_rule_that_is_too_long_is_refused() {
    let rig = Rig::new().await;
    let rule = |tags: usize| {
        let tags: BTreeMap<String, String> = (0..tags)
            .map(|n| (format!("t{n}"), "x".repeat(1_000)))
            .collect();
        let rule = json!({"event": "crowd", "objects": {}, "tags": tags});
        Definition::read(&rule).unwrap()
    };
    let owner = RuleOwner::Account;
    let make = |tags| {
        rig.insight
            .create_rule(rig.maker(owner, None), rule(tags), at(0))
    };
    let refused = make(17).await.unwrap_err().to_string();
    assert!(refused.contains("16384 bytes"), "{refused}");
    let made = make(15).await.unwrap();
    let changed = rig.insight.update_rule(made.id, None, rule(17)).await;
    assert!(changed.is_err());
}

#[tokio::test]
async fn a_changed_rule_forgets_and_a_deleted_one_is_silent() {
    let mut rig = Rig::new().await;
    rig.rule(RuleOwner::Account, two_persons(2.0)).await;
    rig.start();
    for n in 0..15 {
        rig.clock.set(at(n));
        rig.write(rig.channel, n, 2).await;
    }
    rig.until_looked().await;
    let rules = rig.catalog.all_rules().await.unwrap();
    let changed = Definition::read(&two_persons(1.5)).unwrap();
    rig.insight
        .update_rule(rules[0].id, None, changed)
        .await
        .unwrap();
    for n in 15..30 {
        rig.clock.set(at(n));
        rig.write(rig.channel, n, 2).await;
    }
    rig.until_looked().await;
    assert!(
        rig.events(&[rig.channel]).await.is_empty(),
        "1.4 s since the change"
    );
    rig.insight.delete_rule(rules[0].id).await.unwrap();
    // A rule of another channel keeps the follower going.
    let other = channel(&rig.catalog, rig.account).await;
    rig.rule(RuleOwner::Channel(other), two_persons(2.0)).await;
    for n in 30..60 {
        rig.clock.set(at(n));
        rig.write(rig.channel, n, 2).await;
    }
    rig.write(other, 60, 2).await;
    rig.until_looked().await;
    assert!(rig.events(&[rig.channel]).await.is_empty());
    rig.kill().await;
}

#[tokio::test]
async fn a_deletion_between_two_pages_of_rules_skips_none() {
    let rig = Rig::new().await;
    for _ in 0..3 {
        rig.rule(RuleOwner::Account, two_persons(0.0)).await;
    }
    let page = async |after| {
        rig.insight
            .list_rules(rig.account, None, after, 2)
            .await
            .unwrap()
    };
    let first = page(0).await;
    assert_eq!((first.items.len(), first.total), (2, 3));
    rig.insight.delete_rule(first.items[0].id).await.unwrap();
    let second = page(first.items[1].id.get()).await;
    assert_eq!((second.items[0].id.get(), second.total), (3, 1));
}

/// Names of the rules that raised the events of the channel.
fn raised_by(events: &[Event]) -> Vec<&str> {
    events.iter().map(|e| e.tags["rule"].as_str()).collect()
}

#[tokio::test]
async fn a_rule_ends_with_the_token_that_made_it() {
    let mut rig = Rig::new().await;
    let owner = RuleOwner::Channel(rig.channel);
    let target = TokenTarget::Channel(rig.channel, Access::All);
    let token = rig.catalog.ensure_token(rig.account, target, at(0));
    let token = token.await.unwrap().serial;
    let of_token = rig.rule_with(owner, Some(token), two_persons(0.0)).await;
    let of_account = rig
        .rule_with(RuleOwner::Account, None, two_persons(0.0))
        .await;
    rig.start();
    rig.write(rig.channel, 0, 3).await;
    rig.until_looked().await;
    rig.clock.set(at(100));
    rig.until_events(2).await;
    assert_eq!(rig.disabled(of_token).await, None);

    rig.catalog.revoke_token(token, at(100)).await.unwrap();
    assert_eq!(rig.disabled(of_token).await.unwrap(), "token revoked");
    assert_eq!(rig.disabled(of_account).await, None);
    // Written down, so that it stays so.
    let started = Instant::now();
    while rig
        .catalog
        .load_rule(of_token)
        .await
        .unwrap()
        .disabled
        .is_none()
    {
        assert!(started.elapsed() < Duration::from_secs(20), "not written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rig.write(rig.channel, 100, 0).await;
    rig.write(rig.channel, 200, 3).await;
    rig.until_looked().await;
    rig.clock.set(at(300));
    let events = rig.until_events(3).await;
    rig.until_looked().await;
    assert_eq!(
        rig.events(&[rig.channel]).await.len(),
        3,
        "of 4 if it went on"
    );
    assert_eq!(raised_by(&events[2..]), [of_account.to_string()]);

    // Whoever puts it anew with a token that stands makes it look again, at what comes from now on.
    let again = rig.catalog.ensure_token(rig.account, target, at(300));
    let again = again.await.unwrap().serial;
    assert_ne!(again, token);
    let definition = Definition::read(&two_persons(0.0)).unwrap();
    let put = rig.insight.update_rule(of_token, Some(again), definition);
    put.await.unwrap();
    assert_eq!(rig.disabled(of_token).await, None);
    rig.write(rig.channel, 300, 0).await;
    rig.write(rig.channel, 400, 3).await;
    rig.until_looked().await;
    rig.clock.set(at(500));
    let events = rig.until_events(5).await;
    let mut last = raised_by(&events[3..]);
    last.sort_unstable();
    assert_eq!(last, [of_token.to_string(), of_account.to_string()]);
    rig.kill().await;
}

#[tokio::test]
async fn a_rule_of_a_group_ends_with_the_group_or_its_rights() {
    let rig = Rig::new().await;
    let group = |name: &str| NewGroup {
        name: name.into(),
        channels: vec![rig.channel],
        channels_access: Access::All,
        include_all_channels: false,
        expire: Some(at(1_000)),
        max_channels_amount: None,
        ai_targeted: false,
        meta: BTreeMap::new(),
    };
    let mut rules = Vec::new();
    let mut groups = Vec::new();
    for name in ["ends", "watches"] {
        let new = group(name);
        let group = rig.catalog.create_group(rig.account, &new, at(0));
        let group = group.await.unwrap().id;
        let target = TokenTarget::Group(group);
        let token = rig.catalog.ensure_token(rig.account, target, at(0));
        let token = token.await.unwrap().serial;
        let rule = two_persons(0.0);
        rules.push(
            rig.rule_with(RuleOwner::Group(group), Some(token), rule)
                .await,
        );
        groups.push(group);
    }
    assert_eq!(rig.disabled(rules[0]).await, None);
    assert_eq!(rig.disabled(rules[1]).await, None);
    let patch = GroupPatch {
        channels_access: Some(Access::Watch),
        ..GroupPatch::default()
    };
    let patched = rig.catalog.update_group(rig.account, groups[1], &patch);
    patched.await.unwrap();
    assert_eq!(
        rig.disabled(rules[1]).await.unwrap(),
        "token may no longer make events"
    );
    rig.clock.set(at(1_000));
    assert_eq!(rig.disabled(rules[0]).await.unwrap(), "token expired");
}
