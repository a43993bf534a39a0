//! One database for each test and backend, and values to fill it with.

use framewell_catalog::{Catalog, CatalogConfig, NewSegment, Slice};
use framewell_model::{
    AccountId, CameraSource, Channel, ChannelId, ClockSource, NewChannel, RecMode, RtspTransport,
    RunId, Secret, SegmentId, TimeRange, WallTime,
};
use framewell_testkit::postgres::TestDatabase;
use std::collections::BTreeMap;
use tempfile::TempDir;
use uuid::Uuid;

/// Declares tests that run on both databases: each body gets a fresh, migrated catalog.
macro_rules! conformance {
    ($($(#[$doc:meta])* async fn $name:ident($catalog:ident: &Catalog) $body:block)*) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "a body may need none of them")]
            use super::*;

            async fn check($catalog: &framewell_catalog::Catalog) $body

            #[tokio::test]
            async fn on_sqlite() {
                let backend = $crate::backend::Backend::sqlite().await;
                check(&backend.catalog).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                let backend = $crate::backend::Backend::postgres().await;
                check(&backend.catalog).await;
            }
        }
    )*};
}
pub(crate) use conformance;

/// A catalog and what keeps its database alive.
pub(crate) struct Backend {
    pub(crate) catalog: Catalog,
    pub(crate) url: String,
    _folder: Option<TempDir>,
    _database: Option<TestDatabase>,
}

impl Backend {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        Self {
            catalog: open(&url).await,
            url,
            _folder: Some(folder),
            _database: None,
        }
    }

    pub(crate) async fn postgres() -> Self {
        let database = TestDatabase::create().unwrap_or_else(|error| panic!("{error:#}"));
        let url = database.url().to_owned();
        Self {
            catalog: open(&url).await,
            url,
            _folder: None,
            _database: Some(database),
        }
    }
}

pub(crate) async fn open(url: &str) -> Catalog {
    let config = CatalogConfig {
        url: Secret::new(url.to_owned()),
        max_connections: 4,
    };
    Catalog::open(&config).await.unwrap()
}

/// Everything on one page.
pub(crate) const ALL: Slice = Slice {
    limit: 1000,
    offset: 0,
};

/// `n` seconds after an arbitrary moment in 2024.
pub(crate) fn at(seconds: i64) -> WallTime {
    WallTime::from_secs(1_714_550_400 + seconds)
}

pub(crate) fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(at(start), at(end)).unwrap()
}

pub(crate) async fn account(catalog: &Catalog, name: &str) -> AccountId {
    catalog.create_account(name, at(0)).await.unwrap().id
}

pub(crate) fn new_channel(name: &str) -> NewChannel {
    NewChannel {
        name: name.into(),
        rec_mode: RecMode::On,
        timezone: "Europe/Berlin".into(),
        source: None,
        retention_s: None,
        meta: BTreeMap::new(),
    }
}

pub(crate) fn camera() -> CameraSource {
    CameraSource {
        url: "rtsp://10.0.0.5:554/main".into(),
        login: "viewer".into(),
        password: Secret::new("hunter2".into()),
        transport: RtspTransport::Udp,
    }
}

/// An account with one channel.
pub(crate) async fn channel(catalog: &Catalog) -> Channel {
    let account = account(catalog, "owner").await;
    channel_of(catalog, account, "gate").await
}

pub(crate) async fn channel_of(catalog: &Catalog, account: AccountId, name: &str) -> Channel {
    catalog
        .create_channel(account, &new_channel(name), at(0))
        .await
        .unwrap()
}

pub(crate) fn segment(channel: ChannelId, range: TimeRange) -> NewSegment {
    NewSegment {
        id: SegmentId::from_uuid(Uuid::now_v7()),
        channel,
        run: RunId::from_uuid(Uuid::now_v7()),
        sequence: 3,
        range,
        clock: ClockSource::CameraRtcp,
        size_bytes: 5_000_000_000,
        codecs: "avc1.64001f,mp4a.40.2".into(),
        index: vec![0, 1, 2, 255],
    }
}

/// A channel id that no test has.
pub(crate) fn missing_channel() -> ChannelId {
    ChannelId::new(9_999).unwrap()
}
