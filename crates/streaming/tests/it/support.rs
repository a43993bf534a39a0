//! A running server, and tracks to feed.

use framewell_access::places::{Occupation, Places};
use framewell_access::sessions::{Sessions, SessionsConfig};
use framewell_access::{Access, Credential, MediaScope};
use framewell_blob::BlobStore;
use framewell_catalog::{Catalog, CatalogConfig};
use framewell_footage::{Footage, Spool};
use framewell_ingest::{Ingest, IngestConfig};
use framewell_live::{Registry, RingConfig, Track};
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{ChannelId, Holder, NewChannel, RecMode, RunId, Secret, WallTime};
use framewell_playback::Playback;
use framewell_streaming::rtsp::{RtspConfig, RtspSources, serve};
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use framewell_token::SigningKey;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What the server's clock says.
pub(crate) const NOW_S: i64 = 1_767_225_600;

/// Sessions at once.
pub(crate) const MAX_SESSIONS: usize = 4;

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) registry: Registry,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: JoinSet<()>,
    pub(crate) access: Access,
    pub(crate) catalog: Catalog,
    pub(crate) spool: Spool,
    pub(crate) sessions: Sessions,
    pub(crate) folder: tempfile::TempDir,
    /// Whose tickets these are.
    holder: Holder,
}

pub(crate) fn channel(id: i64) -> ChannelId {
    ChannelId::new(id).unwrap()
}

pub(crate) fn run_id(number: u8) -> RunId {
    format!("00000000-0000-7000-8000-0000000000{number:02x}")
        .parse()
        .unwrap()
}

/// An account that owns channels 1 to 9.
async fn owner_of_channels(access: &Access, catalog: &Catalog) -> Holder {
    let (account, license) = access.create_account("owner").await.unwrap();
    for id in 1..=9 {
        let new = NewChannel {
            name: format!("camera {id}"),
            rec_mode: RecMode::Off,
            timezone: "UTC".to_owned(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        let now = WallTime::from_secs(NOW_S);
        let created = catalog.create_channel(account, &new, now).await.unwrap();
        assert_eq!(created.id, channel(id));
    }
    let grant = access.authenticate(&Credential::License(license)).await;
    (&grant.unwrap()).into()
}

impl Server {
    pub(crate) async fn start(config: RtspConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let config_catalog = CatalogConfig {
            url: Secret::new(url),
            max_connections: 2,
        };
        let catalog = Catalog::open(&config_catalog).await.unwrap();
        let clock = Arc::new(MovableClock::new(WallTime::from_secs(NOW_S)));
        let key = SigningKey::new(vec![7; 32]).unwrap();
        let access = Access::new(catalog.clone(), key, Arc::clone(&clock) as _);
        let holder = owner_of_channels(&access, &catalog).await;
        let registry = Registry::new(RingConfig::default(), Arc::clone(&clock) as _);
        let blobs = BlobStore::local(&folder.path().join("objects")).unwrap();
        let spool = Spool::new();
        let limits = SessionsConfig {
            places: Places::new(Occupation::Session, MAX_SESSIONS, 100),
            max_bits_per_s: None,
            token_max_bits_per_s: None,
        };
        let sessions = Sessions::new(limits, Arc::clone(&clock) as _);
        let footage = Footage::new(catalog.clone(), blobs, spool.clone());
        let ingest = Ingest::new(
            IngestConfig::default(),
            registry.clone(),
            Arc::clone(&clock) as _,
        );
        let sources = RtspSources {
            publishers: ingest.publishers(),
            registry: registry.clone(),
            playback: Playback::new(registry.clone(), footage),
            access: access.clone(),
            sessions: sessions.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let serving = serve(listener, config, sources, stop.clone());
        tasks.spawn(async move { serving.await.unwrap() });
        Self {
            addr,
            registry,
            stop,
            tasks,
            access,
            catalog,
            spool,
            sessions,
            folder,
            holder,
        }
    }

    pub(crate) fn ticket(&self, id: i64) -> String {
        self.ticket_until(id, NOW_S + 60)
    }

    pub(crate) fn expired_ticket(&self, id: i64) -> String {
        self.ticket_until(id, NOW_S - 1)
    }

    fn ticket_until(&self, id: i64, end_s: i64) -> String {
        self.ticket_for(&MediaScope::Live(channel(id)), end_s)
    }

    fn ticket_for(&self, scope: &MediaScope, end_s: i64) -> String {
        self.access
            .ticket(self.holder, scope, WallTime::from_secs(end_s))
    }

    pub(crate) fn url(&self, id: i64) -> String {
        format!("rtsp://{}/live/{id}?ticket={}", self.addr, self.ticket(id))
    }

    /// For publishing to channel `id`.
    pub(crate) fn publish_url(&self, id: i64) -> String {
        let ticket = self.ticket_for(&MediaScope::Publish(channel(id)), NOW_S + 60);
        format!("rtsp://{}/publish/{id}?ticket={ticket}", self.addr)
    }

    /// A recording of channel `id`; `more` is the rest of the query.
    pub(crate) fn recorded_url(&self, id: i64, more: &str) -> String {
        let ticket = self.ticket_for(&MediaScope::Footage(channel(id)), NOW_S + 60);
        format!("rtsp://{}/rec/{id}?ticket={ticket}{more}", self.addr)
    }

    /// A track that has begun a run, without units.
    pub(crate) fn track(&self, id: i64, parameters: &StreamParameters) -> Track {
        let track = self.registry.track(channel(id));
        track.begin_run(run_id(1), Arc::new(parameters.clone()));
        track
    }

    /// Plays a clip into a channel at its own pace, from now to the end of the test.
    pub(crate) fn feed(&mut self, id: i64, clip: &EncodedClip) -> Track {
        let track = self.track(id, &clip.parameters);
        let (fed, units) = (track.clone(), clip.units.clone());
        push_first_gop(&track, &units);
        let first = units.iter().skip(1).position(is_key).unwrap() + 1;
        self.tasks
            .spawn(async move { pace(&fed, &units[first..]).await });
        track
    }
}

fn is_key(unit: &AccessUnit) -> bool {
    unit.track == TrackKind::Video && unit.is_key
}

/// So that the channel is live when the call returns.
fn push_first_gop(track: &Track, units: &[AccessUnit]) {
    let end = units.iter().skip(1).position(is_key).unwrap() + 1;
    for unit in &units[..end] {
        track.push(unit.clone());
    }
}

/// Pushes units when they are due.
pub(crate) async fn pace(track: &Track, units: &[AccessUnit]) {
    let begin = tokio::time::Instant::now();
    let first_us = units[0].dts.micros();
    for unit in units {
        let due_us = u64::try_from(unit.dts.micros() - first_us).unwrap_or(0);
        tokio::time::sleep_until(begin + Duration::from_micros(due_us)).await;
        track.push(unit.clone());
    }
}

/// Ten seconds of small pictures.
pub(crate) fn spec() -> ClipSpec {
    ClipSpec {
        width: 320,
        height: 240,
        frames: 250,
        ..ClipSpec::default()
    }
}

pub(crate) async fn encode(spec: ClipSpec) -> EncodedClip {
    tokio::task::spawn_blocking(move || spec.encode().unwrap())
        .await
        .unwrap()
}
