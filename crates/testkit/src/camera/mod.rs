//! RTSP cameras that behave, or misbehave, as told.
//!
//! A [`Camera`] runs on a thread of its own: a test that blocks its runtime, or moves its clock,
//! does not disturb it. It ends when its last handle is dropped.

mod auth;
mod control;
mod live;
mod onvif;
mod packet;
mod player;
mod requests;
mod sdp;
mod session;
mod state;
mod transport;
mod truth;

pub use auth::AuthScheme;
pub use control::Control;
pub use onvif::Notification;
pub use truth::Truth;

use crate::encode::{ClipSpec, EncodedClip};
use anyhow::{Context, Result, bail};
use framewell_media::StreamParameters;
use player::{PacketizedClip, Phase};
use state::CameraState;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Longest time until a source has its first key frame.
const SOURCE_LIMIT: Duration = Duration::from_secs(30);

/// Pause before an encoder that failed is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What a camera shows.
#[derive(Debug, Clone)]
pub enum Source {
    /// Painted and encoded now: each stamp holds the time at which its picture is sent. Number of
    /// frames, start time and audio of the specification are not used.
    Live(ClipSpec),
    /// A clip again and again, in real time. The stamps in its pictures keep the clip's own capture
    /// times; [`Camera::truth`] knows the real ones, and sender reports tell them.
    Clip(Arc<EncodedClip>),
}

/// A camera to be started.
#[derive(Debug, Clone)]
pub struct CameraConfig {
    /// Path of its URL, without slashes.
    pub name: String,
    /// What it shows.
    pub source: Source,
    /// How it asks for credentials.
    pub auth: AuthScheme,
    /// User name it accepts.
    pub login: String,
    /// Password it accepts.
    pub password: String,
    /// Key frame of the clip with which it begins, so that cameras with one clip differ.
    pub first_key: usize,
    /// How much later it begins than the others.
    pub delay: Duration,
}

impl CameraConfig {
    /// A camera named `cam` that lets everybody in.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self {
            name: String::from("cam"),
            source,
            auth: AuthScheme::None,
            login: String::new(),
            password: String::new(),
            first_key: 0,
            delay: Duration::ZERO,
        }
    }

    /// The same with another name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }

    /// The same behind a login.
    #[must_use]
    pub fn with_login(self, auth: AuthScheme, login: &str, password: &str) -> Self {
        Self {
            auth,
            login: login.to_owned(),
            password: password.to_owned(),
            ..self
        }
    }
}

/// A running camera; cheap to clone.
#[derive(Debug, Clone)]
pub struct Camera {
    name: String,
    address: SocketAddr,
    state: Arc<CameraState>,
    _server: Arc<Running>,
}

/// Ends the server's thread when dropped.
#[derive(Debug)]
struct Running {
    _stop: oneshot::Sender<()>,
}

impl Camera {
    /// Starts one camera on a free port of the loopback interface.
    pub async fn start(config: CameraConfig) -> Result<Self> {
        let cameras = start_cameras(0, vec![config]).await?;
        cameras.into_iter().next().context("no camera was started")
    }

    /// Encodes a clip (or takes it from the cache) and starts a camera that plays it.
    pub async fn play(spec: ClipSpec) -> Result<Self> {
        let clip = tokio::task::spawn_blocking(move || spec.encode()).await??;
        Self::start(CameraConfig::new(Source::Clip(Arc::new(clip)))).await
    }

    /// `rtsp://127.0.0.1:port/name`, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        format!("rtsp://{}/{}", self.address, self.name)
    }

    /// The name in its URL.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// User name it accepts; empty without authentication.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.state.login
    }

    /// Password it accepts.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.state.password
    }

    /// Scripts its faults.
    #[must_use]
    pub fn control(&self) -> Control {
        Control {
            state: Arc::clone(&self.state),
        }
    }

    /// What it really did.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.state.truth.clone()
    }

    /// Parameters of what it shows now.
    #[must_use]
    pub fn parameters(&self) -> Option<Arc<StreamParameters>> {
        self.state.parameters.borrow().clone()
    }

    async fn wait_for_source(&self) -> Result<()> {
        let mut parameters = self.state.parameters.subscribe();
        let mut failure = self.state.failure.subscribe();
        let wait = async {
            tokio::select! {
                ready = parameters.wait_for(Option::is_some) => ready.map(|_| None),
                failed = failure.wait_for(Option::is_some) => failed.map(|why| why.clone()),
            }
        };
        let failed = tokio::time::timeout(SOURCE_LIMIT, wait)
            .await
            .with_context(|| format!("camera {} gives no picture", self.name))??;
        match failed {
            Some(why) => bail!("camera {} failed: {why}", self.name),
            None => Ok(()),
        }
    }
}

/// Starts cameras on one port (0 for any) of the loopback interface, in the order given. Returns
/// when all of them have a picture.
pub async fn start_cameras(port: u16, configs: Vec<CameraConfig>) -> Result<Vec<Camera>> {
    let (stop, stopped) = oneshot::channel();
    let (started, starting) = oneshot::channel();
    let states: Vec<(String, Arc<CameraState>)> = configs
        .iter()
        .map(|c| {
            let state = CameraState::new(&c.login, &c.password, c.auth);
            (c.name.clone(), Arc::new(state))
        })
        .collect();
    let cameras = states.clone().into_iter().collect();
    let sources = states.iter().map(|(_, state)| Arc::clone(state));
    let sources = sources.zip(configs).collect();
    std::thread::Builder::new()
        .name(String::from("camera"))
        .spawn(move || serve_thread(port, cameras, sources, started, stopped))?;
    let address = starting.await.context("the camera thread ended")??;
    let server = Arc::new(Running { _stop: stop });
    let mut running = Vec::new();
    for (name, state) in states {
        let camera = Camera {
            name,
            address,
            state,
            _server: Arc::clone(&server),
        };
        camera.wait_for_source().await?;
        running.push(camera);
    }
    Ok(running)
}

type Sources = Vec<(Arc<CameraState>, CameraConfig)>;

fn serve_thread(
    port: u16,
    cameras: BTreeMap<String, Arc<CameraState>>,
    sources: Sources,
    started: oneshot::Sender<Result<SocketAddr>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let work = async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        anyhow::Ok((listener, address))
    };
    match runtime.context("building a runtime") {
        Ok(runtime) => runtime.block_on(async {
            match work.await {
                Ok((listener, address)) => {
                    if started.send(Ok(address)).is_err() {
                        return;
                    }
                    tokio::select! {
                        // An error means that the last handle was dropped.
                        _dropped = stopped => {}
                        () = serve(listener, Arc::new(cameras), sources) => {}
                    }
                }
                // Nobody waits for the answer if this fails.
                Err(error) => drop(started.send(Err(error))),
            }
        }),
        Err(error) => drop(started.send(Err(error))),
    }
}

/// Runs sources and sessions; never ends.
async fn serve(listener: TcpListener, cameras: session::Cameras, sources: Sources) {
    let mut tasks = JoinSet::new();
    let mut packetized = Packetized::default();
    for (state, config) in sources {
        match config.source {
            Source::Live(spec) => {
                tasks.spawn(run_live(state, spec, config.name));
            }
            Source::Clip(clip) => {
                let phase = Phase {
                    key: config.first_key,
                    delay: config.delay,
                };
                tasks.spawn(player::play(state, packetized.get(&clip), phase));
            }
        }
    }
    drop(packetized);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    continue;
                };
                let cameras = Arc::clone(&cameras);
                tasks.spawn(async move {
                    if let Err(error) = session::serve(stream, cameras).await {
                        tracing::debug!("session ended: {error}");
                    }
                });
            }
            Some(_ended) = tasks.join_next() => {}
        }
    }
}

/// Never ends; an encoder that fails is started again.
async fn run_live(state: Arc<CameraState>, spec: ClipSpec, name: String) {
    loop {
        if let Err(error) = live::run(Arc::clone(&state), spec.clone(), name.clone()).await {
            tracing::error!(camera = name, "live camera failed: {error:#}");
            state.failure.send_replace(Some(format!("{error:#}")));
        }
        tokio::time::sleep(RESTART_PAUSE).await;
    }
}

/// Each clip is cut into packets once, however many cameras play it.
#[derive(Default)]
struct Packetized {
    done: Vec<(Arc<EncodedClip>, Arc<PacketizedClip>)>,
}

impl Packetized {
    fn get(&mut self, clip: &Arc<EncodedClip>) -> Arc<PacketizedClip> {
        if let Some((_, packets)) = self.done.iter().find(|(done, _)| Arc::ptr_eq(done, clip)) {
            return Arc::clone(packets);
        }
        let packets = Arc::new(PacketizedClip::new(clip));
        self.done.push((Arc::clone(clip), Arc::clone(&packets)));
        packets
    }
}

#[cfg(test)]
mod tests;
