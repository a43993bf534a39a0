//! A running server, and tracks to feed.

use framewell_access::{Access, MediaScope};
use framewell_catalog::{Catalog, CatalogConfig};
use framewell_live::{Registry, RingConfig, Track};
use framewell_media::{AccessUnit, StreamParameters, TrackKind};
use framewell_model::{AccountId, ChannelId, Holder, RunId, Secret, WallTime};
use framewell_streaming::rtsp::{RtspConfig, serve};
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use framewell_token::SigningKey;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What the server's clock says.
pub(crate) const NOW_S: i64 = 1_767_225_600;

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) registry: Registry,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: JoinSet<()>,
    access: Access,
    _folder: tempfile::TempDir,
}

pub(crate) fn channel(id: i64) -> ChannelId {
    ChannelId::new(id).unwrap()
}

pub(crate) fn run_id(number: u8) -> RunId {
    format!("00000000-0000-7000-8000-0000000000{number:02x}")
        .parse()
        .unwrap()
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
        let access = Access::new(catalog, key, Arc::clone(&clock) as _);
        let registry = Registry::new(RingConfig::default(), clock);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let serving = serve(
            listener,
            config,
            registry.clone(),
            access.clone(),
            stop.clone(),
        );
        tasks.spawn(async move { serving.await.unwrap() });
        Self {
            addr,
            registry,
            stop,
            tasks,
            access,
            _folder: folder,
        }
    }

    pub(crate) fn ticket(&self, id: i64) -> String {
        self.ticket_until(id, NOW_S + 60)
    }

    pub(crate) fn expired_ticket(&self, id: i64) -> String {
        self.ticket_until(id, NOW_S - 1)
    }

    fn ticket_until(&self, id: i64, end_s: i64) -> String {
        let holder = Holder {
            account: AccountId::new(1).expect("positive"),
            serial: None,
        };
        let scope = MediaScope::Live(channel(id));
        let expire = WallTime::from_secs(end_s);
        self.access.ticket(holder, &scope, expire)
    }

    pub(crate) fn url(&self, id: i64) -> String {
        format!("rtsp://{}/live/{id}?ticket={}", self.addr, self.ticket(id))
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
