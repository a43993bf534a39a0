//! What one rule does must not keep the others from going on.

use super::*;
use crate::rules::{Definition, Maker};
use framewell_catalog::{Catalog, CatalogConfig, EventFilter, Order, Slice};
use framewell_model::{Event, NewChannel, RecMode, Secret};
use framewell_testkit::clock::MovableClock;
use serde_json::json;

struct Rig {
    _dir: tempfile::TempDir,
    catalog: Catalog,
    follower: RuleFollower,
    account: AccountId,
    channel: ChannelId,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("db").display());
        let config = CatalogConfig {
            url: Secret::new(url),
            max_connections: 2,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let now = WallTime::from_secs(0);
        let account = catalog.create_account("tests", now).await.unwrap().id;
        let new = NewChannel {
            name: "gate".into(),
            rec_mode: RecMode::Off,
            timezone: "UTC".into(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        let channel = catalog.create_channel(account, &new, now).await.unwrap().id;
        let insight = Insight::new(catalog.clone());
        let clock = Arc::new(MovableClock::new(WallTime::from_secs(1_000)));
        Self {
            follower: RuleFollower::new(insight, clock),
            _dir: dir,
            catalog,
            account,
            channel,
        }
    }

    async fn rule(&self, event: &str) {
        let rule = json!({"event": event, "objects": {"per_track": true}, "tolerance_s": 0});
        let definition = Definition::read(&rule).unwrap();
        let insight = &self.follower.insight;
        let maker = Maker {
            account: self.account,
            owner: RuleOwner::Account,
            token: None,
        };
        let made = insight.create_rule(maker, definition, WallTime::from_secs(0));
        made.await.unwrap();
    }

    /// Looks at a document with an object of each of these tracks.
    async fn step(&mut self, revision: i64, tracks: std::ops::Range<usize>) {
        let tracks = tracks.map(|n| json!({"track": format!("t{n}")}));
        let document = Document {
            id: format!("d{revision}"),
            channel: self.channel,
            timestamp: WallTime::from_secs(revision),
            long: BTreeMap::new(),
            float: BTreeMap::new(),
            string: BTreeMap::new(),
            raw_data: None,
            native: framewell_catalog::meta::Native {
                objects: serde_json::from_value(tracks.collect()).unwrap(),
                ..Default::default()
            },
        };
        let documents = [(revision, document)];
        self.follower.step(&documents, revision).await.unwrap();
    }

    async fn events(&self) -> Vec<Event> {
        let all = Slice {
            limit: 10_000,
            offset: 0,
        };
        let (filter, order) = (EventFilter::default(), Order::Ascending);
        let channels = [self.channel];
        let found = self.catalog.list_events(&channels, &filter, order, all);
        found.await.unwrap().items
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_stored_holds_up_no_other_rule() {
    let mut rig = Rig::new().await;
    for event in ["name", "tags", "good"] {
        rig.rule(event).await;
    }
    rig.follower.load().await.unwrap();
    // As a rule that an older version took.
    let rules = &mut rig.follower.rules;
    rules[0].understood.definition.event = "a\0".to_owned();
    let tags = &mut rules[1].understood.definition.tags;
    tags.insert("tag".to_owned(), "\0".to_owned());
    rig.step(1, 0..1).await;
    assert_eq!(rig.catalog.rule_cursor().await.unwrap(), 1);
    let events = rig.events().await;
    assert_eq!((events.len(), events[0].name.as_str()), (1, "good"));
}

#[tokio::test]
async fn a_step_raises_no_more_than_it_may() {
    let mut rig = Rig::new().await;
    for event in ["a", "b", "c", "d", "e", "f"] {
        rig.rule(event).await;
    }
    rig.follower.load().await.unwrap();
    rig.step(1, 0..110).await;
    let events = rig.events().await;
    assert_eq!(events.len(), MOST_EVENTS, "of 660 in one step");
    rig.step(2, 200..310).await;
    let events = rig.events().await;
    let of = |name: &str| events.iter().filter(|event| event.name == name).count();
    assert_eq!(of("a"), 120, "of 220 in one minute");
}
