//! A catalog with a channel, running feeds and jobs, and webhooks.

use framewell_access::Access;
use framewell_catalog::meta::{Document, Native};
use framewell_catalog::{
    Catalog, CatalogConfig, NewWebhook, WEBHOOK_JOB, WEBHOOK_REPLAY_JOB, Webhook, WebhookOwner,
};
use framewell_insight::feed::Feeds;
use framewell_jobs::{Jobs, JobsConfig};
use framewell_live::SystemClock;
use framewell_model::{
    Channel, EventSource, NewChannel, NewEvent, OutboundPolicy, Principal, RecMode, Secret,
    WallClock, WallTime, WebhookId,
};
use framewell_notify::webhook::{
    Dispatcher, OutboundClient, ReplayHandler, WebhookConfig, WebhookHandler,
};
use framewell_testkit::postgres::TestDatabase;
use framewell_token::SigningKey;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "0123456789abcdef";

/// Short pauses, so that a delivery is given up within half a second.
pub(crate) const CONFIG: WebhookConfig = WebhookConfig {
    attempts: 3,
    first_pause: Duration::from_millis(20),
    longest_pause: Duration::from_secs(2),
    timeout: Duration::from_secs(5),
};

pub(crate) struct Rig {
    pub(crate) catalog: Catalog,
    pub(crate) access: Access,
    pub(crate) channel: Channel,
    /// Of the server that runs.
    pub(crate) feeds: Option<Feeds>,
    clock: Arc<dyn WallClock>,
    running: JoinSet<()>,
    _dir: TempDir,
    _database: Option<TestDatabase>,
}

impl Rig {
    pub(crate) async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("notify.db").display());
        Self::on(url, dir, None).await
    }

    pub(crate) async fn postgres() -> Self {
        let database = TestDatabase::create().unwrap_or_else(|error| panic!("{error:#}"));
        let url = database.url().to_owned();
        Self::on(url, tempfile::tempdir().unwrap(), Some(database)).await
    }

    async fn on(url: String, dir: TempDir, database: Option<TestDatabase>) -> Self {
        let config = CatalogConfig {
            url: Secret::new(url),
            max_connections: 6,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
        let account = catalog.create_account("owner", clock.now()).await.unwrap();
        let channel = channel(&catalog, account.id, clock.now()).await;
        let key = SigningKey::new((0..32).collect()).unwrap();
        Self {
            access: Access::new(catalog.clone(), key, Arc::clone(&clock)),
            catalog,
            channel,
            feeds: None,
            clock,
            running: JoinSet::new(),
            _dir: dir,
            _database: database,
        }
    }

    /// Starts everything that a server runs for webhooks.
    pub(crate) fn start(&mut self) {
        let policy = OutboundPolicy {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            deny: Vec::new(),
        };
        self.start_with(CONFIG, policy);
    }

    pub(crate) fn start_with(&mut self, config: WebhookConfig, policy: OutboundPolicy) {
        let client = OutboundClient::new(Arc::new(policy), config.timeout).unwrap();
        let handler = WebhookHandler::new(
            self.catalog.clone(),
            self.access.clone(),
            client,
            config,
            Arc::clone(&self.clock),
        );
        let jobs = JobsConfig {
            lease: Duration::from_millis(900),
            poll: Duration::from_millis(20),
            ..JobsConfig::default()
        };
        let jobs = Jobs::new(self.catalog.clone(), jobs, Arc::clone(&self.clock))
            .register(
                WEBHOOK_REPLAY_JOB,
                4,
                Arc::new(ReplayHandler::new(handler.clone())),
            )
            .register(WEBHOOK_JOB, 4, Arc::new(handler));
        let feeds = Feeds::new(self.catalog.clone());
        self.feeds = Some(feeds.clone());
        let dispatcher =
            Dispatcher::new(self.catalog.clone(), feeds.clone(), Arc::clone(&self.clock));
        let stop = CancellationToken::new();
        self.running.spawn(jobs.run(stop.clone()));
        self.running.spawn(feeds.run(stop.clone()));
        self.running.spawn(dispatcher.run(stop));
    }

    /// Ends it as `kill -9` would: nothing is given back, nothing is written.
    pub(crate) async fn crash(&mut self) {
        self.running.shutdown().await;
    }

    pub(crate) async fn another_channel(&self) -> Channel {
        channel(&self.catalog, self.channel.account, self.now()).await
    }

    /// A webhook of the account.
    pub(crate) async fn hook(&self, url: &str, subscription: Value) -> Webhook {
        let owner = WebhookOwner {
            account: self.channel.account,
            principal: Principal::Account(self.channel.account),
            token: None,
            expire: None,
        };
        self.hook_of(owner, url, subscription).await
    }

    pub(crate) async fn hook_of(
        &self,
        owner: WebhookOwner,
        url: &str,
        subscription: Value,
    ) -> Webhook {
        let new = NewWebhook {
            owner,
            url: url.to_owned(),
            secret: Secret::new(SECRET.into()),
            subscription,
            is_active: true,
        };
        self.catalog
            .create_webhook(&new, self.clock.now())
            .await
            .unwrap()
    }

    pub(crate) async fn event(&self, name: &str) {
        self.event_with(name, BTreeMap::new()).await;
    }

    pub(crate) async fn event_with(&self, name: &str, tags: BTreeMap<String, String>) {
        let new = NewEvent {
            channel: self.channel.id,
            name: name.to_owned(),
            time: self.clock.now(),
            source: EventSource::Api,
            tags,
        };
        let stored = self
            .catalog
            .insert_event(&new, |_| Vec::new(), self.clock.now());
        stored.await.unwrap();
    }

    pub(crate) async fn document(&self, id: &str, persons: i64) {
        let document = Document {
            id: id.to_owned(),
            channel: self.channel.id,
            timestamp: self.clock.now(),
            long: BTreeMap::from([("Person".to_owned(), persons)]),
            float: BTreeMap::new(),
            string: BTreeMap::new(),
            raw_data: None,
            native: Native::default(),
        };
        self.catalog.put_documents(&[document]).await.unwrap();
    }

    pub(crate) fn now(&self) -> WallTime {
        self.clock.now()
    }

    /// Looks at the webhook until a condition holds.
    pub(crate) async fn wait(
        &self,
        id: WebhookId,
        what: &str,
        is_met: impl Fn(&Webhook) -> bool,
    ) -> Webhook {
        let waiting = async {
            loop {
                let hook = self.catalog.load_webhook(id).await.unwrap();
                if is_met(&hook) {
                    return hook;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        waited.unwrap_or_else(|_| panic!("{what} did not happen"))
    }
}

async fn channel(catalog: &Catalog, account: framewell_model::AccountId, now: WallTime) -> Channel {
    let new = NewChannel {
        name: "gate".into(),
        rec_mode: RecMode::On,
        timezone: "UTC".into(),
        source: None,
        retention_s: None,
        meta: BTreeMap::new(),
    };
    catalog.create_channel(account, &new, now).await.unwrap()
}
