//! The gate, over a real catalog on SQLite and a clock that the test moves.
#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod credentials;
mod reach;
mod standing;
mod streams;
mod tickets;

use framewell_access::Access;
use framewell_catalog::{Catalog, CatalogConfig};
use framewell_model::{
    Access as Level, AccountId, ChannelId, Group, NewChannel, NewGroup, RecMode, Secret, WallClock,
    WallTime,
};
use framewell_token::SigningKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tempfile::TempDir;

#[derive(Debug)]
struct Clock(AtomicI64);

impl WallClock for Clock {
    fn now(&self) -> WallTime {
        WallTime::from_micros(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    catalog: Catalog,
    access: Access,
    clock: Arc<Clock>,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let config = CatalogConfig {
            url: Secret::new(url),
            max_connections: 1,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let clock = Arc::new(Clock(AtomicI64::new(1_714_550_400_250_000)));
        let key = SigningKey::new(vec![5; 32]).unwrap();
        let as_clock: Arc<dyn WallClock> = Arc::<Clock>::clone(&clock);
        Self {
            access: Access::new(catalog.clone(), key, as_clock),
            catalog,
            clock,
            _folder: folder,
        }
    }

    fn pass(&self, seconds: i64) {
        self.clock
            .0
            .fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    async fn account(&self, name: &str) -> (AccountId, Secret<String>) {
        self.access.create_account(name).await.unwrap()
    }

    async fn channel(&self, account: AccountId) -> ChannelId {
        let new = NewChannel {
            name: "gate".into(),
            rec_mode: RecMode::On,
            timezone: "UTC".into(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        let now = self.clock.now();
        self.catalog
            .create_channel(account, &new, now)
            .await
            .unwrap()
            .id
    }

    async fn group(&self, account: AccountId, level: Level, channels: &[ChannelId]) -> Group {
        let new = NewGroup {
            name: "engine".into(),
            channels: channels.to_vec(),
            channels_access: level,
            include_all_channels: false,
            expire: None,
            max_channels_amount: None,
            ai_targeted: true,
            meta: BTreeMap::new(),
        };
        let now = self.clock.now();
        self.catalog.create_group(account, &new, now).await.unwrap()
    }

    async fn channel_token(
        &self,
        account: AccountId,
        channel: ChannelId,
        level: Level,
    ) -> Secret<String> {
        let tokens = self
            .access
            .channel_tokens(account, &[channel])
            .await
            .unwrap();
        tokens[&(channel, level)].clone()
    }
}
