//! A server without sockets, and clients of it.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framewell_access::Access;
use framewell_access::places::{Occupation, Places};
use framewell_access::sessions::{Sessions, SessionsConfig};
use framewell_api::{ApiConfig, AppState, Manifests, Visitor, router};
use framewell_archive::manifest::Signer;
use framewell_blob::BlobStore;
use framewell_catalog::{Catalog, CatalogConfig, NewSegment};
use framewell_clips::{Clips, ClipsConfig};
use framewell_decode::{Pool, PoolConfig};
use framewell_footage::{Footage, Spool};
use framewell_gallery::{Gallery, GalleryConfig, NewPicture, Stored};
use framewell_imaging::Imaging;
use framewell_insight::Insight;
use framewell_insight::feed::Feeds;
use framewell_jobs::{Jobs, JobsConfig};
use framewell_live::{Registry, RingConfig, SourceState};
use framewell_model::{
    ChannelId, ChannelStatus, ClockSource, FrameId, ImageOrigin, RecordId, RunId, Secret,
    SegmentId, TimeRange, WallClock, WallTime,
};
use framewell_playback::Playback;
use framewell_recorder::{ImportConfig, Importer, Recorder, RecorderConfig, Rolls, RoomConfig};
use framewell_testkit::clock::MovableClock;
use framewell_token::SigningKey;
use http_body_util::BodyExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

/// Where all requests come from.
pub(crate) const VISITOR: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 7), 4_711));

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{} without JSON: {:?}", self.status, self.body))
    }

    /// The JSON of an answer with this status; null for an empty body.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        if self.body.is_empty() {
            return Value::Null;
        }
        self.json()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// The server under test.
pub(crate) struct Site {
    pub(crate) state: AppState,
    pub(crate) clock: Arc<MovableClock>,
    /// Where recorded segments are.
    pub(crate) blobs: BlobStore,
    router: Router,
    introduced: Arc<AtomicUsize>,
    key: String,
    tasks: JoinSet<()>,
    _folder: TempDir,
}

/// A channel made by the account of the site.
#[derive(Debug, Clone)]
pub(crate) struct TestChannel {
    pub(crate) id: ChannelId,
    /// `Acc …` at level all.
    pub(crate) all: String,
    /// `Acc …` at level watch.
    pub(crate) watch: String,
}

/// What lies in the object of each stored picture: nothing here looks into it.
pub(crate) const PICTURE: &[u8] = b"0123456789";

/// When the test begins.
pub(crate) fn start_of_test() -> WallTime {
    "2024-05-01T12:00:00Z".parse().unwrap()
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(ApiConfig::default()).await
    }

    pub(crate) async fn with(config: ApiConfig) -> Self {
        Self::with_store(config, BlobStore::memory()).await
    }

    pub(crate) async fn with_store(config: ApiConfig, blobs: BlobStore) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(MovableClock::new(start_of_test()));
        let of_state = Arc::clone(&clock) as Arc<dyn WallClock>;
        let state = state(&folder, of_state, config, blobs.clone()).await;
        let (_, key) = state.access.create_account("test").await.unwrap();
        let mut feeds = JoinSet::new();
        feeds.spawn(state.feeds.clone().run(CancellationToken::new()));
        Self {
            router: router(state.clone()),
            introduced: Arc::default(),
            state,
            clock,
            blobs,
            key: format!("LKey {}", key.expose()),
            tasks: feeds,
            _folder: folder,
        }
    }

    /// From now on, searches of metadata may take this long.
    pub(crate) fn limit_searches(&mut self, limit: Duration) {
        let catalog = self.state.catalog.clone().with_search_limit(limit);
        self.state.insight = Insight::new(catalog);
        self.router = router(self.state.clone());
    }

    /// From now on, a page of events holds so many bytes of tags.
    pub(crate) fn limit_tags(&mut self, bytes: i64) {
        let catalog = self.state.catalog.clone().with_most_tag_bytes(bytes);
        self.state.feeds = Feeds::new(catalog.clone());
        let feeds = self.state.feeds.clone();
        self.tasks.spawn(feeds.run(CancellationToken::new()));
        self.state.catalog = catalog;
        self.router = router(self.state.clone());
    }

    /// From now on, a page of documents has so many bytes.
    pub(crate) fn limit_documents(&mut self, bytes: i64) {
        let catalog = self.state.catalog.clone().with_most_document_bytes(bytes);
        self.state.insight = Insight::new(catalog);
        self.router = router(self.state.clone());
    }

    /// The license key of the account, as a header value.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// How many requests have shown a good credential.
    pub(crate) fn introduced(&self) -> usize {
        self.introduced.load(Ordering::Relaxed)
    }

    /// A request with any headers and body.
    pub(crate) async fn send(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let introduced = Arc::clone(&self.introduced);
        let visitor = Visitor::new(VISITOR, move || {
            introduced.fetch_add(1, Ordering::Relaxed);
        });
        let mut request = Request::builder().method(method).uri(uri);
        request = request.extension(visitor);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "vms.test:8080");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// A GET whose body has no end.
    pub(crate) async fn open(
        &self,
        authorization: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> axum::response::Response {
        let mut request = Request::builder().uri(uri);
        for (name, value) in auth(authorization).iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Serves on a socket of this machine, in the background of the test.
    pub(crate) async fn listen(
        &self,
        tasks: &mut tokio::task::JoinSet<()>,
    ) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router.clone();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    pub(crate) async fn get(&self, authorization: &str, uri: &str) -> Answer {
        self.send("GET", uri, &auth(authorization), Body::empty())
            .await
    }

    pub(crate) async fn post(&self, authorization: &str, uri: &str, body: &Value) -> Answer {
        self.send("POST", uri, &auth(authorization), body.to_string())
            .await
    }

    pub(crate) async fn put(&self, authorization: &str, uri: &str, body: &Value) -> Answer {
        self.send("PUT", uri, &auth(authorization), body.to_string())
            .await
    }

    pub(crate) async fn delete(&self, authorization: &str, uri: &str) -> Answer {
        self.send("DELETE", uri, &auth(authorization), Body::empty())
            .await
    }

    /// Creates a channel through the API.
    pub(crate) async fn channel(&self, name: &str) -> TestChannel {
        let answer = self
            .post(self.key(), "/api/v3/channels/", &json!({ "name": name }))
            .await;
        let object = answer.expect(201);
        let token = |level: &str| format!("Acc {}", text(&object["access_tokens"][level]));
        TestChannel {
            id: ChannelId::new(object["id"].as_i64().unwrap()).unwrap(),
            all: token("all"),
            watch: token("watch"),
        }
    }

    /// Creates a group with these members; its `SI …` header.
    pub(crate) async fn group(&self, channels: &[&TestChannel], access: &str) -> (i64, String) {
        let ids: Vec<ChannelId> = channels.iter().map(|channel| channel.id).collect();
        let body = json!({ "name": "group", "channels": ids, "channels_access": access });
        let object = self
            .post(self.key(), "/api/v3/channel_groups/", &body)
            .await
            .expect(201);
        let token = format!("SI {}", text(&object["token"]));
        (object["id"].as_i64().unwrap(), token)
    }

    /// License key of another account.
    pub(crate) async fn other_account(&self) -> String {
        let (_, key) = self.state.access.create_account("other").await.unwrap();
        format!("LKey {}", key.expose())
    }

    /// Stores a picture that a generation task made.
    pub(crate) async fn picture(&self, channel: ChannelId, time: &str) -> i64 {
        self.picture_of(channel, time, ImageOrigin::GeneratedFromRecords)
            .await
    }

    pub(crate) async fn picture_of(
        &self,
        channel: ChannelId,
        time: &str,
        origin: ImageOrigin,
    ) -> i64 {
        let captured: WallTime = time.parse().unwrap();
        let picture = NewPicture {
            channel,
            origin,
            origin_id: (origin == ImageOrigin::GeneratedFromRecords).then_some(55),
            captured,
            clock: ClockSource::CameraRtcp,
            frame: FrameId {
                run: RunId::from_uuid(Uuid::from_u128(7)),
                ticks: captured.micros(),
            },
            width: 1280,
            height: 720,
            data: Bytes::from_static(PICTURE),
        };
        match self.state.gallery.store(&picture).await.unwrap() {
            Stored::New(id) | Stored::Known(id) => id.get(),
        }
    }

    /// Asks for a generation task of an hour; its id.
    pub(crate) async fn task(&self, channel: &TestChannel) -> i64 {
        let body = json!({
            "period": "60",
            "start": "2024-05-01T10:00:00",
            "end": "2024-05-01T11:00:00",
        });
        let path = "/api/v4/images/generation/tasks/";
        let task = self.post(&channel.all, path, &body).await.expect(201);
        task["id"].as_i64().unwrap()
    }

    /// A stored clip of a channel that nobody makes.
    pub(crate) async fn clip(&self, channel: &TestChannel) -> i64 {
        let body = json!({"start": "2024-05-01T10:00:00", "end": "2024-05-01T10:01:00"});
        let clip = self.post(&channel.all, "/api/v4/clips/", &body).await;
        clip.expect(201)["id"].as_i64().unwrap()
    }

    /// Publishes a segment row of `length_s` seconds; no object lies behind it.
    pub(crate) async fn record(&self, channel: ChannelId, start: &str, length_s: i64) -> RecordId {
        let run = RunId::from_uuid(Uuid::now_v7());
        self.record_run(channel, run, start, length_s).await
    }

    /// The first segment of a run, as [`Self::record`]. Its index is damaged: frames cannot be looked up.
    pub(crate) async fn record_run(
        &self,
        channel: ChannelId,
        run: RunId,
        start: &str,
        length_s: i64,
    ) -> RecordId {
        let start: WallTime = start.parse().unwrap();
        let end = start.plus_micros(length_s * 1_000_000);
        let segment = NewSegment {
            id: SegmentId::from_uuid(Uuid::now_v7()),
            channel,
            run,
            sequence: 0,
            range: TimeRange::new(start, end).unwrap(),
            clock: ClockSource::CameraRtcp,
            size_bytes: 1_834_211,
            codecs: "avc1.64001f".into(),
            index: Vec::new(),
        };
        let catalog = &self.state.catalog;
        let now = self.clock.now();
        let record = catalog.stage_segment(&segment, now).await.unwrap();
        catalog.publish_segment(record, now).await.unwrap();
        record
    }

    /// Makes a channel look as ingest and recorder do while its camera delivers.
    pub(crate) fn set_active(&self, channel: ChannelId) {
        let track = self.state.registry.track(channel);
        track.set_source_state(SourceState {
            status: ChannelStatus::Active,
            since: self.clock.now(),
            detail: None,
            run: None,
        });
        track.set_recording(true);
    }
}

/// The header, or none for an empty text.
fn auth(authorization: &str) -> Vec<(&str, &str)> {
    match authorization {
        "" => Vec::new(),
        value => vec![("authorization", value)],
    }
}

fn sessions(clock: &Arc<dyn WallClock>) -> Sessions {
    let config = SessionsConfig {
        places: Places::new(Occupation::Session, 4, 50),
        max_bits_per_s: None,
        token_max_bits_per_s: None,
    };
    Sessions::new(config, Arc::clone(clock))
}

/// No test here decodes; a process that holds the socket and says nothing stands for a busy worker.
fn busy_pool() -> Pool {
    let config = PoolConfig {
        workers: 1,
        deadline: Duration::from_secs(1),
        queue: 1,
        ..PoolConfig::new("/bin/cat".into())
    };
    Pool::start(config).unwrap()
}

fn database(folder: &TempDir) -> CatalogConfig {
    let path = folder.path().join("catalog.db");
    CatalogConfig {
        url: Secret::new(format!("sqlite:{}", path.display())),
        max_connections: 4,
    }
}

fn recorder_config(folder: &TempDir) -> RecorderConfig {
    RecorderConfig {
        spool_dir: folder.path().join("spool"),
        segment: Duration::from_secs(10),
        fragment: Duration::from_secs(1),
        max_bytes: None,
        room: RoomConfig::default(),
        rolls: Rolls::default(),
    }
}

fn clips_config() -> ClipsConfig {
    ClipsConfig {
        max_open_of_channel: 4,
        ..ClipsConfig::default()
    }
}

/// None is encoded anew.
fn clips(
    catalog: &Catalog,
    blobs: BlobStore,
    playback: &Playback,
    imaging: &Imaging,
    clock: &Arc<dyn WallClock>,
) -> Clips {
    Clips::new(
        catalog.clone(),
        blobs,
        playback.clone(),
        imaging.clone(),
        clips_config(),
        None,
        Arc::clone(clock),
    )
}

async fn state(
    folder: &TempDir,
    clock: Arc<dyn WallClock>,
    config: ApiConfig,
    blobs: BlobStore,
) -> AppState {
    let catalog = Catalog::open(&database(folder)).await.unwrap();
    let key = SigningKey::new((0..32).collect()).unwrap();
    let manifests = Manifests::new(Signer::new(&key.manifest_seed()));
    let registry = Registry::new(RingConfig::default(), Arc::clone(&clock));
    let spool = Spool::new();
    let footage = Footage::new(catalog.clone(), blobs.clone(), spool.clone());
    let recorder = Recorder::new(
        recorder_config(folder),
        registry.clone(),
        blobs.clone(),
        catalog.clone(),
        spool,
        Arc::clone(&clock),
    );
    let importer = Importer::new(recorder, ImportConfig::default());
    let imaging = Imaging::new(
        registry.clone(),
        footage.clone(),
        busy_pool(),
        Arc::clone(&clock),
    );
    let playback = Playback::new(registry.clone(), footage);
    AppState {
        gallery: Gallery::new(
            catalog.clone(),
            blobs.clone(),
            registry.clone(),
            imaging.clone(),
            GalleryConfig::default(),
            Arc::clone(&clock),
        ),
        clips: clips(&catalog, blobs, &playback, &imaging, &clock),
        jobs: Jobs::new(catalog.clone(), JobsConfig::default(), Arc::clone(&clock)),
        imaging,
        importer,
        access: Access::new(catalog.clone(), key, Arc::clone(&clock)),
        sessions: sessions(&clock),
        playback,
        insight: Insight::new(catalog.clone()),
        feeds: Feeds::new(catalog.clone()),
        webrtc: None,
        manifests,
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        config: Arc::new(config),
        catalog,
        registry,
        clock,
    }
}

/// A JSON text.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// What `json.loads(base64.b64decode(token))` gives in Python, the scheme before it dropped.
pub(crate) fn decode(token: &str) -> Value {
    let outer = token.rsplit(' ').next().unwrap();
    serde_json::from_slice(&STANDARD.decode(outer).unwrap()).unwrap()
}

/// An outer token from any JSON.
pub(crate) fn encode(token: &Value) -> String {
    STANDARD.encode(token.to_string())
}

/// The inner token of an outer one.
pub(crate) fn inner(token: &str) -> String {
    text(&decode(token)["token"]).to_owned()
}

/// Checks the contract's error form.
pub(crate) fn assert_compat_error(answer: &Answer, status: u16, error_type: &str) {
    let error = answer.expect(status);
    assert_eq!(error["status"], status, "{error}");
    assert_eq!(error["errorType"], error_type, "{error}");
    assert!(
        error["errorDetail"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
}

/// Fails if any text in the value is a time with a zone.
pub(crate) fn assert_no_zone(value: &Value) {
    match value {
        Value::String(text) => {
            let is_time = text.parse::<WallTime>().is_ok();
            assert!(!is_time, "{text} has a zone");
        }
        Value::Array(items) => items.iter().for_each(assert_no_zone),
        Value::Object(members) => members.values().for_each(assert_no_zone),
        _ => {}
    }
}
