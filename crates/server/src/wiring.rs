//! The table of contents of the running system: what is made, from what, in which order it starts
//! and in which order it stops.

use crate::config::{Config, WhenFull};
use crate::event_recording::EventRecording;
use crate::notify::Heralds;
use crate::reconcile::Reconciler;
use crate::rtmp::RtmpListener;
use crate::webrtc::Adapter;
use crate::{decoders, http, motion_events, notify, open_files, schedule, shutdown, signing_key};
use anyhow::Context;
use framewell_access::Access;
use framewell_access::places::{Occupation, Places};
use framewell_access::sessions::Sessions;
use framewell_api::{ApiConfig, AppState, Manifests, PublicEndpoint};
use framewell_archive::manifest::Signer;
use framewell_blob::{BlobStore, S3Config};
use framewell_catalog::{CLIP_JOB, CLIP_RENDER_JOB, Catalog, CatalogConfig, EVENT_SNAPSHOT_JOB};
use framewell_clips::render::Renderer;
use framewell_clips::{ClipHandler, Clips};
use framewell_decode::Pool;
use framewell_footage::{Footage, Spool};
use framewell_gallery::{EventSnapshotHandler, Gallery, TASK_KIND, TaskHandler};
use framewell_imaging::Imaging;
use framewell_imaging::batch::MAX_BATCHES;
use framewell_ingest::publish::Publishers;
use framewell_ingest::{Ingest, IngestConfig};
use framewell_insight::feed::Feeds;
use framewell_insight::rules::RuleFollower;
use framewell_insight::{CameraEvents, Insight};
use framewell_jobs::{Handler, Jobs, JobsConfig};
use framewell_live::{Registry, RingConfig, SystemClock};
use framewell_model::WallClock;
use framewell_playback::Playback;
use framewell_recorder::{ImportConfig, Importer, Recorder, RecorderConfig, Rolls, RoomConfig};
use framewell_streaming::raw::{self, RawConfig, RawListener, RawService};
use framewell_streaming::rtmp::RtmpService;
use framewell_streaming::rtsp::{self, RtspConfig, RtspSources};
use framewell_streaming::webrtc::{self, Sockets};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A picture of an event waits for the decoder, rarely for footage.
const EVENT_SNAPSHOTS_AT_ONCE: usize = 4;
/// A rendering takes half of the decoders; a second one would take the other half.
const RENDERINGS_AT_ONCE: usize = 1;
/// Viewers have this long to go.
const VIEWERS_DEADLINE: Duration = Duration::from_secs(8);
/// Jobs have this long to be given back; what is left goes on when its lease has run out.
const WORKERS_DEADLINE: Duration = Duration::from_secs(5);
/// Camera sessions have this long to end their runs.
const INGEST_DEADLINE: Duration = Duration::from_secs(5);
/// Open segments have this long to be published; what is left stays in the spool for the next start.
const RECORDER_DEADLINE: Duration = Duration::from_secs(20);

/// All services, as cloneable handles.
struct Services {
    catalog: Catalog,
    access: Access,
    manifests: Manifests,
    sessions: Sessions,
    registry: Registry,
    ingest: Ingest,
    publishers: Publishers,
    recorder: Recorder,
    imaging: Imaging,
    pool: Pool,
    gallery: Gallery,
    clips: Clips,
    jobs: Jobs,
    playback: Playback,
    insight: Insight,
    feeds: Feeds,
    clock: Arc<dyn WallClock>,
    /// Revision of the newest event when the server started.
    newest_event: i64,
}

impl Services {
    /// What sessions of WebRTC need.
    fn webrtc(&self) -> webrtc::Services {
        webrtc::Services {
            registry: self.registry.clone(),
            playback: self.playback.clone(),
            publishers: self.publishers.clone(),
            sessions: self.sessions.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// What tells others of what happened.
    fn heralds(&self) -> Heralds {
        Heralds {
            catalog: self.catalog.clone(),
            feeds: self.feeds.clone(),
            registry: self.registry.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// What RTMP clients use.
    fn rtmp(&self) -> RtmpService {
        RtmpService {
            access: self.access.clone(),
            sessions: self.sessions.clone(),
            registry: self.registry.clone(),
            publishers: self.publishers.clone(),
        }
    }
}

/// Runs the server until a signal.
pub(crate) async fn serve(config: Config, ready_file: Option<PathBuf>) -> anyhow::Result<()> {
    let metrics = PrometheusBuilder::new()
        .install_recorder()
        .context("starting the metrics failed")?;
    open_files::raise_limit();
    let services = build(&config).await?;
    services
        .recorder
        .recover(|channel| schedule::mode(channel, services.clock.now()))
        .await
        .context("recovering interrupted recordings failed")?;
    decoders::require_sandbox(&config, &services.pool).await?;

    let http = bind(&config.http.listen, "HTTP").await?;
    let rtsp = bind(&config.rtsp.listen, "RTSP").await?;
    let (http_addr, rtsp_addr) = (http.local_addr()?, rtsp.local_addr()?);
    let rtmp = RtmpListener::bind(&config.rtmp).await?;
    let rtmp_addr = rtmp.address();
    let raw = bind_raw(&config)?;
    let webrtc = config.webrtc.bind().await?;
    let webrtc_addr = webrtc.as_ref().map(Sockets::local_addr).transpose()?;

    let listeners = Listeners {
        http,
        rtsp,
        rtmp,
        raw,
        webrtc,
    };
    let tasks = Tasks::start(&config, &services, metrics, listeners)?;
    if let Some(file) = ready_file {
        write_ready_file(&file, http_addr, rtsp_addr, rtmp_addr)?;
    }
    let webrtc_addr = webrtc_addr.map_or_else(|| "off".to_owned(), |addr| addr.to_string());
    tracing::info!(http = %http_addr, rtsp = %rtsp_addr, rtmp = ?rtmp_addr, webrtc = webrtc_addr, "framewell is ready");

    shutdown::signalled().await?;
    tasks.stop().await;
    services.catalog.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Makes the data folder, for its owner only: the database holds the passwords of cameras. A folder
/// that is there keeps the rights that somebody gave it.
pub(crate) fn prepare_data_dir(dir: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("creating data folder {} failed", dir.display()))
}

/// Opens and migrates the database.
pub(crate) async fn open_catalog(config: &Config) -> anyhow::Result<Catalog> {
    let config = CatalogConfig {
        url: config.database_url.clone(),
        max_connections: config.database_connections,
    };
    Catalog::open(&config)
        .await
        .context("opening the database failed")
}

/// A bucket if one is named, else a folder.
pub(crate) fn open_store(config: &Config) -> anyhow::Result<BlobStore> {
    let s3 = &config.s3;
    if s3.bucket.is_empty() {
        return BlobStore::local(&config.data_dir.join("objects"))
            .context("opening the object folder failed");
    }
    BlobStore::s3(&S3Config {
        bucket: s3.bucket.clone(),
        prefix: s3.prefix.clone(),
        endpoint: s3.endpoint.clone(),
        region: s3.region.clone(),
        access_key: s3.access_key.clone(),
        secret_key: s3.secret_key.clone(),
    })
    .with_context(|| format!("opening the bucket {:?} failed", s3.bucket))
}

async fn build(config: &Config) -> anyhow::Result<Services> {
    prepare_data_dir(&config.data_dir)?;
    let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
    let key = signing_key::load_or_create(&config.data_dir)?;
    let catalog = open_catalog(config).await?;
    let blobs = open_store(config)?;
    let spool = Spool::new();
    let registry = Registry::new(ring_config(config), Arc::clone(&clock));
    let pool = Pool::start(decoders::pool_config(config)?)
        .context("starting the decoder processes failed")?;
    let footage = Footage::new(catalog.clone(), blobs.clone(), spool.clone());
    let imaging = Imaging::new(
        registry.clone(),
        footage.clone(),
        pool.clone(),
        Arc::clone(&clock),
    )
    .with_images(config.pictures.config())
    .with_hub(config.live.config());
    let gallery = Gallery::new(
        catalog.clone(),
        blobs.clone(),
        registry.clone(),
        imaging.clone(),
        config.images.gallery_config(),
        Arc::clone(&clock),
    );
    let playback = Playback::new(registry.clone(), footage);
    let clips = clips(config, &catalog, &blobs, &playback, &imaging, &pool, &clock)?;
    let access = Access::new(catalog.clone(), key.clone(), Arc::clone(&clock));
    let ingest = Ingest::new(ingest_config(config)?, registry.clone(), Arc::clone(&clock));
    Ok(Services {
        newest_event: catalog.newest_event_revision().await?,
        jobs: jobs(config, &catalog, &access, &clock, &gallery, &clips)?,
        clips,
        access,
        manifests: Manifests::new(Signer::new(&key.manifest_seed())),
        publishers: ingest.publishers(),
        ingest,
        sessions: Sessions::new(config.sessions.limits(&config.http), Arc::clone(&clock)),
        recorder: Recorder::new(
            recorder_config(config),
            registry.clone(),
            blobs,
            catalog.clone(),
            spool,
            Arc::clone(&clock),
        ),
        imaging,
        pool,
        playback,
        insight: Insight::new(catalog.clone())
            .with_vector_memory(config.metadata.vector_index_mib.saturating_mul(1 << 20)),
        feeds: Feeds::new(catalog.clone()),
        gallery,
        registry,
        catalog,
        clock,
    })
}

/// Stored clips.
fn clips(
    config: &Config,
    catalog: &Catalog,
    blobs: &BlobStore,
    playback: &Playback,
    imaging: &Imaging,
    pool: &Pool,
    clock: &Arc<dyn WallClock>,
) -> anyhow::Result<Clips> {
    let renderer = Renderer::new(pool.clone(), config.data_dir.join("render"));
    let renderer = renderer.context("making the folder of unfinished clips failed")?;
    Ok(Clips::new(
        catalog.clone(),
        blobs.clone(),
        playback.clone(),
        imaging.clone(),
        config
            .clips
            .config(&config.http, config.record.min_free_bytes),
        Some(renderer),
        Arc::clone(clock),
    ))
}

/// All durable jobs and what does them.
fn jobs(
    config: &Config,
    catalog: &Catalog,
    access: &Access,
    clock: &Arc<dyn WallClock>,
    gallery: &Gallery,
    clips: &Clips,
) -> anyhow::Result<Jobs> {
    let tasks = Arc::new(TaskHandler::new(gallery.clone()));
    let snapshots = Arc::new(EventSnapshotHandler::new(gallery.clone()));
    let copies = Arc::new(ClipHandler::new(clips.clone()));
    let jobs = Jobs::new(catalog.clone(), JobsConfig::default(), Arc::clone(clock))
        .register(TASK_KIND, config.images.tasks, tasks)
        .register(EVENT_SNAPSHOT_JOB, EVENT_SNAPSHOTS_AT_ONCE, snapshots)
        .register(
            CLIP_JOB,
            config.clips.jobs,
            Arc::clone(&copies) as Arc<dyn Handler>,
        )
        .register(CLIP_RENDER_JOB, RENDERINGS_AT_ONCE, copies);
    config.webhooks.register(
        jobs,
        Arc::new(config.outbound.policy()?),
        catalog,
        access.clone(),
        Arc::clone(clock),
    )
}

/// Where clients come in.
struct Listeners {
    http: TcpListener,
    rtsp: TcpListener,
    rtmp: RtmpListener,
    /// `None` if it is not configured.
    raw: Option<RawListener>,
    /// `None` if it is switched off.
    webrtc: Option<Sockets>,
}

/// The running tasks, in groups that stop one after another.
struct Tasks {
    viewers: (CancellationToken, JoinSet<()>),
    workers: (CancellationToken, JoinSet<()>),
    ingest: (CancellationToken, JoinSet<()>),
    recorder: (CancellationToken, JoinSet<()>),
}

impl Tasks {
    fn start(
        config: &Config,
        services: &Services,
        metrics: PrometheusHandle,
        listeners: Listeners,
    ) -> anyhow::Result<Self> {
        let mut tasks = Self {
            viewers: (CancellationToken::new(), JoinSet::new()),
            workers: (CancellationToken::new(), JoinSet::new()),
            ingest: (CancellationToken::new(), JoinSet::new()),
            recorder: (CancellationToken::new(), JoinSet::new()),
        };
        let (stop, set) = &mut tasks.recorder;
        set.spawn(services.recorder.clone().run(stop.clone()));
        let insight = services.insight.clone();
        let camera_events = CameraEvents::new(
            insight.clone(),
            services.registry.clone(),
            Arc::clone(&services.clock),
        );
        set.spawn(camera_events.run(stop.clone()));
        let rules = RuleFollower::new(insight.clone(), Arc::clone(&services.clock));
        set.spawn(rules.run(stop.clone()));
        let event_recording = EventRecording {
            catalog: services.catalog.clone(),
            recorder: services.recorder.clone(),
            since: services.newest_event,
        };
        set.spawn(event_recording.run(stop.clone()));
        set.spawn(insight.sweep_until(Arc::clone(&services.clock), stop.clone()));
        let (stop, set) = &mut tasks.ingest;
        set.spawn(ingest_thread(services.ingest.clone(), stop.clone())?);
        set.spawn(services.publishers.clone().run(stop.clone()));
        set.spawn(reconciler(config, services).run(stop.clone()));
        let (stop, set) = &mut tasks.workers;
        set.spawn(services.gallery.clone().run(stop.clone()));
        set.spawn(services.clips.clone().run(stop.clone()));
        set.spawn(services.jobs.clone().run(stop.clone()));
        notify::start(&config.mqtt, services.heralds(), set, stop)?;
        set.spawn(motion_events::run(
            services.catalog.clone(),
            services.imaging.clone(),
            services.insight.clone(),
            Arc::clone(&services.clock),
            config.live.motion_channels(),
            stop.clone(),
        ));
        tasks.start_viewers(config, services, metrics, listeners)?;
        Ok(tasks)
    }

    /// Everything that clients connect to.
    fn start_viewers(
        &mut self,
        config: &Config,
        services: &Services,
        metrics: PrometheusHandle,
        listeners: Listeners,
    ) -> anyhow::Result<()> {
        let Listeners {
            http,
            rtsp,
            rtmp,
            raw,
            webrtc,
        } = listeners;
        let (stop, set) = &mut self.viewers;
        let ports = (rtsp.local_addr()?.port(), rtmp.public_port(&config.rtmp));
        let mut state = app_state(config, services, metrics, ports)?;
        if let Some(sockets) = webrtc {
            let decoders = decoders::pool_config(config)?;
            let engine =
                config
                    .webrtc
                    .engine(&config.http, &sockets, services.webrtc(), &decoders)?;
            state.webrtc = Some(Arc::new(Adapter(engine.clone())));
            set.spawn(engine.serve(sockets, stop.clone()));
        }
        set.spawn(http::serve(
            http,
            framewell_api::router(state),
            http::Places {
                most: config.http.max_connections,
                stranger_share_percent: config.http.stranger_share_percent,
            },
            stop.clone(),
        ));
        let sessions = services.sessions.clone();
        set.spawn(sessions.run(services.access.clone(), stop.clone()));
        set.spawn(serve_rtsp(config, services, rtsp, stop.clone()));
        set.spawn(rtmp.serve(config.rtmp.clone(), services.rtmp(), stop.clone()));
        if let Some(listener) = raw {
            set.spawn(raw::serve(listener, raw_service(services), stop.clone()));
        }
        set.spawn(services.playback.clone().run(stop.clone()));
        let report = decoders::report(config.decoder.sandbox, services.pool.clone());
        let until = stop.clone();
        set.spawn(async move {
            until.run_until_cancelled(report).await;
        });
        Ok(())
    }

    /// Viewers and workers first, then cameras (so that runs close cleanly), then what they recorded.
    async fn stop(self) {
        let groups = [
            ("viewers", self.viewers, VIEWERS_DEADLINE),
            ("jobs and stored pictures", self.workers, WORKERS_DEADLINE),
            ("cameras", self.ingest, INGEST_DEADLINE),
            ("open recordings", self.recorder, RECORDER_DEADLINE),
        ];
        for (what, (stop, mut set), deadline) in groups {
            stop.cancel();
            shutdown::drain(what, &mut set, deadline).await;
        }
    }
}

/// Runs all camera sessions on one thread with an event loop of its own; resolves when they ended.
///
/// A frame that arrives then wakes one thread and no other: on the shared pool half of ingest's CPU
/// went into threads that woke each other. One thread carries several hundred cameras, and neither a
/// busy API nor a slow disk can delay a camera.
fn ingest_thread(
    ingest: Ingest,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start of the ingest runtime failed")?;
    let (ended, waiting) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("ingest".into())
        .spawn(move || {
            runtime.block_on(ingest.run(stop));
            // Nobody waits any more if the deadline of the shutdown has passed.
            let _unheard = ended.send(());
        })
        .context("start of the ingest thread failed")?;
    Ok(async move {
        if waiting.await.is_err() {
            tracing::error!("the ingest thread failed");
        }
    })
}

fn reconciler(config: &Config, services: &Services) -> Reconciler {
    let hours = config.record.retention_hours;
    Reconciler {
        catalog: services.catalog.clone(),
        registry: services.registry.clone(),
        ingest: services.ingest.clone(),
        publishers: services.publishers.clone(),
        recorder: services.recorder.clone(),
        gallery: services.gallery.clone(),
        clock: Arc::clone(&services.clock),
        default_rolls: rolls(config),
        default_retention: (hours > 0).then(|| Duration::from_secs(hours.saturating_mul(3_600))),
    }
}

fn serve_rtsp(
    config: &Config,
    services: &Services,
    listener: TcpListener,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let config = RtspConfig {
        max_connections: config.rtsp.max_connections,
        stranger_share_percent: config.rtsp.stranger_share_percent,
        udp_port: config.rtsp.udp_port,
        ..RtspConfig::default()
    };
    let sources = RtspSources {
        registry: services.registry.clone(),
        playback: services.playback.clone(),
        publishers: services.publishers.clone(),
        access: services.access.clone(),
        sessions: services.sessions.clone(),
    };
    let serving = rtsp::serve(listener, config, sources, stop);
    async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the RTSP server failed");
        }
    }
}

fn bind_raw(config: &Config) -> anyhow::Result<Option<RawListener>> {
    if config.raw.socket.as_os_str().is_empty() {
        return Ok(None);
    }
    let raw = RawConfig {
        socket: config.raw.socket.clone(),
        max_readers: config.raw.max_readers,
        max_bytes: config.raw.max_bytes,
    };
    let shown = raw.socket.display().to_string();
    let listener = RawListener::bind(raw);
    let listener =
        listener.with_context(|| format!("raw pictures cannot be offered on {shown}"))?;
    Ok(Some(listener))
}

fn raw_service(services: &Services) -> RawService {
    RawService {
        access: services.access.clone(),
        imaging: services.imaging.clone(),
        registry: services.registry.clone(),
    }
}

fn app_state(
    config: &Config,
    services: &Services,
    metrics: PrometheusHandle,
    ports: (u16, Option<u16>),
) -> anyhow::Result<AppState> {
    Ok(AppState {
        catalog: services.catalog.clone(),
        access: services.access.clone(),
        sessions: services.sessions.clone(),
        registry: services.registry.clone(),
        imaging: services.imaging.clone(),
        gallery: services.gallery.clone(),
        clips: services.clips.clone(),
        jobs: services.jobs.clone(),
        playback: services.playback.clone(),
        manifests: services.manifests.clone(),
        importer: Importer::new(services.recorder.clone(), import_config(config)),
        insight: services.insight.clone(),
        feeds: services.feeds.clone(),
        webrtc: None,
        clock: Arc::clone(&services.clock),
        metrics,
        config: Arc::new(api_config(config, ports)?),
    })
}

/// With the ports of RTSP and RTMP.
fn api_config(config: &Config, ports: (u16, Option<u16>)) -> anyhow::Result<ApiConfig> {
    let usual = ApiConfig::default();
    let http = &config.http;
    let port = |port: u16| Some(port).filter(|port| *port != 0);
    let public = (!http.public_host.is_empty()).then(|| PublicEndpoint {
        host: http.public_host.clone(),
        http_port: port(http.public_port),
        https_port: port(http.public_https_port),
    });
    let (token, account) = (http.token_share_percent, http.account_share_percent);
    let places = |what, most| Places::with_accounts(what, most, token, account);
    Ok(ApiConfig {
        public,
        rtsp_port: port(config.rtsp.public_port).unwrap_or(ports.0),
        rtmp_port: ports.1.unwrap_or(usual.rtmp_port),
        ticket_lifetime: Duration::from_secs(http.ticket_lifetime_s),
        pushes: places(Occupation::Push, config.live.max_pushes),
        batches: places(Occupation::Batch, MAX_BATCHES),
        streams: places(Occupation::Stream, http.max_streams),
        waiting_clips: places(Occupation::Wait, http.max_waiting_clips),
        outbound: Arc::new(config.outbound.policy()?),
        rolls: rolls(config),
        ..usual
    })
}

fn ring_config(config: &Config) -> RingConfig {
    RingConfig {
        max_bytes: config.ring.max_bytes,
        max_age_us: i64::try_from(Duration::from_secs_f64(config.ring.max_age_s).as_micros())
            .unwrap_or(i64::MAX),
        ..RingConfig::default()
    }
}

fn ingest_config(config: &Config) -> anyhow::Result<IngestConfig> {
    Ok(IngestConfig {
        silence: Duration::from_secs_f64(config.ingest.silence_s),
        connect: Duration::from_secs_f64(config.ingest.connect_s),
        backoff_min: Duration::from_secs_f64(config.ingest.backoff_min_s),
        backoff_max: Duration::from_secs_f64(config.ingest.backoff_max_s),
        metadata: config.ingest.metadata,
        outbound: config.outbound.policy()?,
        ..IngestConfig::default()
    })
}

/// Where segments are written.
pub(crate) fn spool_dir(config: &Config) -> PathBuf {
    config.data_dir.join("spool")
}

fn recorder_config(config: &Config) -> RecorderConfig {
    RecorderConfig {
        spool_dir: spool_dir(config),
        segment: Duration::from_secs_f64(config.record.segment_s),
        fragment: Duration::from_secs_f64(config.record.fragment_s),
        max_bytes: Some(config.record.max_bytes).filter(|bytes| *bytes > 0),
        room: RoomConfig {
            max_spool_bytes: config.record.max_spool_bytes,
            min_free_bytes: config.record.min_free_bytes,
            when_full: match config.record.when_full {
                WhenFull::DeleteOldest => framewell_recorder::WhenFull::DeleteOldest,
                WhenFull::RefuseNew => framewell_recorder::WhenFull::RefuseNew,
            },
        },
        rolls: rolls(config),
    }
}

fn import_config(config: &Config) -> ImportConfig {
    ImportConfig {
        max_bytes: config.record.max_upload_bytes,
        ..ImportConfig::default()
    }
}

fn rolls(config: &Config) -> Rolls {
    Rolls {
        pre: Duration::from_secs_f64(config.record.pre_roll_s),
        post: Duration::from_secs_f64(config.record.post_roll_s),
    }
}

async fn bind(address: &str, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("the {what} server cannot listen on {address}"))
}

/// Written to a temporary name and renamed: a reader never sees half of it.
fn write_ready_file(
    file: &Path,
    http: SocketAddr,
    rtsp: SocketAddr,
    rtmp: Option<SocketAddr>,
) -> anyhow::Result<()> {
    let rtmp = rtmp.map(|address| address.to_string());
    let text =
        serde_json::json!({"http": http.to_string(), "rtsp": rtsp.to_string(), "rtmp": rtmp})
            .to_string();
    let temporary = file.with_extension("tmp");
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, file))
        .with_context(|| format!("writing {} failed", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_data_folder_is_its_owners_alone() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let dir = parent.path().join("data");
        prepare_data_dir(&dir).expect("made");
        prepare_data_dir(&dir).expect("still there");
        let mode = std::fs::metadata(&dir)
            .expect("exists")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
