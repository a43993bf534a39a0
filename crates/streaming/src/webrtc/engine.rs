//! All sessions: opening them, naming them, ending them.

use super::error::Error;
use super::negotiate::{self, Ground, Negotiated};
use super::peer::{Parts, Peer};
use super::publisher::{Publishing, Stage};
use super::router::Router;
use super::shelf::Shelf;
use super::sockets::{self, Sockets};
use super::sound::{Hearing, Listener, SoundConfig, Sounds, is_transcodable};
use super::viewer::{Order, Seat, Viewer};
use framewell_access::places::{NoPlace, Places};
use framewell_access::sessions::{Activity, NewSession, Protocol, SessionRefused, Sessions};
use framewell_ingest::publish::{Protocol as PublishProtocol, Publishers};
use framewell_live::{Registry, Start, Track, Wake};
use framewell_media::{AudioCodec, AudioParameters, StreamParameters};
use framewell_model::{ChannelId, ChannelStatus, Holder, WallClock};
use framewell_playback::Playback;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use str0m::{IceCreds, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest wait for a camera that has just connected.
const MAX_START_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for the end of a session that was ordered.
const END_WAIT: Duration = Duration::from_secs(1);
/// Orders that wait for a session.
const ORDERS: usize = 4;
/// Channels whose shelf is kept; beyond it those that nobody watches are forgotten.
const SHELVES: usize = 64;

/// Settings.
#[derive(Debug, Clone)]
pub struct WebRtcConfig {
    /// How many sessions there may be, and how many of one token and account: fewer than of all protocols
    /// together, so the share of those leaves nobody a place here.
    pub places: Places,
    /// Addresses that clients are told to use, with a port only where a gateway forwards another one.
    /// Empty: where the socket listens, or the address that this machine uses towards others.
    pub addresses: Vec<(IpAddr, Option<u16>)>,
    /// How sound becomes Opus for who asks for it.
    pub sound: SoundConfig,
}

/// Names a session, and is the right to end it: 32 random hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client wants to watch.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The channel.
    pub channel: ChannelId,
    /// Whether it may see recorded footage, too.
    pub has_recorded: bool,
    /// Whether sound that browsers do not take is to be transcoded.
    pub wants_opus: bool,
    /// Who pays for it.
    pub holder: Holder,
    /// From where it was asked for; media may come from elsewhere.
    pub peer: Option<SocketAddr>,
}

/// A session that has been opened.
#[derive(Debug)]
pub struct Opened {
    /// Its name.
    pub id: SessionId,
    /// Our description: the answer, or the offer.
    pub description: String,
    /// Why the channel's sound is not sent, if it has some, and what carries it.
    pub left_out: Option<String>,
}

/// The services that sessions need; cheap to clone.
#[derive(Debug, Clone)]
pub struct Services {
    /// Live tracks.
    pub registry: Registry,
    /// Recorded footage.
    pub playback: Playback,
    /// The right to write into a track.
    pub publishers: Publishers,
    /// Where sessions are listed, limited and ended.
    pub sessions: Sessions,
    /// Wall time.
    pub clock: Arc<dyn WallClock>,
}

#[derive(Debug)]
struct Shared {
    services: Services,
    ground: Ground,
    udp: Arc<UdpSocket>,
    router: Router,
    places: Places,
    sounds: Sounds,
    // Lock order: neither is held while the other is taken.
    sessions: Mutex<HashMap<String, mpsc::Sender<Order>>>,
    shelves: Mutex<HashMap<ChannelId, Weak<Shelf>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Opens sessions; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// Joins the parts. [`Self::serve`] runs it.
    ///
    /// # Errors
    /// The sockets are broken, or no certificate can be made.
    pub fn new(config: &WebRtcConfig, sockets: &Sockets, services: Services) -> io::Result<Self> {
        let provider = str0m::crypto::from_feature_flags();
        let certificate = provider.dtls_provider.generate_certificate();
        let certificate = certificate.ok_or_else(|| io::Error::other("no certificate for DTLS"))?;
        provider.install_process_default();
        let ground = Ground {
            certificate,
            addresses: candidates(config, sockets.local_addr()?),
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let sounds = Sounds::new(config.sound.clone(), tasks.clone(), stop.clone());
        Ok(Self {
            shared: Arc::new(Shared {
                services,
                ground,
                udp: Arc::clone(&sockets.udp),
                router: Router::default(),
                places: config.places.clone(),
                sounds,
                sessions: Mutex::default(),
                shelves: Mutex::default(),
                tasks,
                stop,
            }),
        })
    }

    /// Takes datagrams and connections until `stop`; returns when all sessions have ended.
    pub async fn serve(self, sockets: Sockets, stop: CancellationToken) {
        let shared = &self.shared;
        let Sockets { udp, tcp } = sockets;
        let reading = sockets::read_udp(udp, shared.router.clone(), shared.stop.clone());
        shared.tasks.spawn(reading);
        let most = usize::try_from(shared.places.occupancy().most).unwrap_or(usize::MAX);
        let accepting = sockets::accept_tcp(
            tcp,
            shared.router.clone(),
            Arc::new(Semaphore::new(
                most.saturating_mul(2).min(Semaphore::MAX_PERMITS),
            )),
            shared.tasks.clone(),
            shared.stop.clone(),
        );
        shared.tasks.spawn(accepting);
        stop.cancelled().await;
        shared.stop.cancel();
        shared.tasks.close();
        shared.tasks.wait().await;
    }

    /// Answers a client that wants to watch a channel.
    ///
    /// # Errors
    /// The channel does not stream, the client cannot play it, its offer makes no sense, or all places
    /// are taken.
    pub async fn play(&self, wanted: Wanted, offer: &str) -> Result<Opened, Error> {
        let (track, parameters) = self.live(wanted.channel).await?;
        let ground = &self.shared.ground;
        let sound = self.sound(wanted, &track, &parameters);
        let opus = sound.opus.as_ref();
        let negotiated =
            negotiate::answer_viewer(ground, offer, &parameters, opus, Instant::now())?;
        self.open(wanted, track, &parameters, negotiated, sound)
    }

    /// Opens a session for a client that waits for an offer; [`Self::accept`] is to follow.
    ///
    /// # Errors
    /// As [`Self::play`].
    pub async fn offer(&self, wanted: Wanted) -> Result<Opened, Error> {
        let (track, parameters) = self.live(wanted.channel).await?;
        let (ground, sound) = (&self.shared.ground, self.sound(wanted, &track, &parameters));
        let opus = sound.opus.as_ref();
        let negotiated = negotiate::offer_viewer(ground, &parameters, opus, Instant::now())?;
        self.open(wanted, track, &parameters, negotiated, sound)
    }

    /// The client's answer to [`Self::offer`].
    ///
    /// # Errors
    /// The session has ended, or the answer makes no sense.
    pub async fn accept(&self, id: &str, answer: String) -> Result<(), Error> {
        let (done, accepted) = oneshot::channel();
        let orders = self.orders(id).ok_or(Error::NoSession)?;
        let order = Order::Accept(answer, done);
        orders.send(order).await.map_err(|_| Error::NoSession)?;
        let accepted = accepted.await.map_err(|_| Error::NoSession)?;
        accepted.map_err(Error::BadDescription)
    }

    /// Whether a session goes on.
    #[must_use]
    pub fn is_open(&self, id: &str) -> bool {
        self.orders(id).is_some()
    }

    /// Waits until a session has ended.
    pub async fn closed(&self, id: &str) {
        if let Some(orders) = self.orders(id) {
            orders.closed().await;
        }
    }

    /// Ends a session; false if there is none.
    pub async fn end(&self, id: &str) -> bool {
        let Some(orders) = self.orders(id) else {
            return false;
        };
        if orders.send(Order::End).await.is_err() {
            return false;
        }
        // One that waits for its network ends a little later.
        let _late = tokio::time::timeout(END_WAIT, orders.closed()).await;
        true
    }

    fn orders(&self, id: &str) -> Option<mpsc::Sender<Order>> {
        self.shared.sessions.lock().get(id).cloned()
    }

    /// The track and what it sends now; waits a little for a camera that has just connected.
    async fn live(&self, channel: ChannelId) -> Result<(Track, Arc<StreamParameters>), Error> {
        let track = self.shared.services.registry.get(channel);
        let track = track.ok_or(Error::NoChannel(channel))?;
        let mut news = track.subscribe(Start::NextKey);
        let newest = track.newest_gop().filter(|gop| !gop.is_closed);
        if let Some(gop) = newest {
            return Ok((track, gop.parameters));
        }
        let status = track.source_state().borrow().status;
        if status == ChannelStatus::Active {
            let wait = tokio::time::timeout(MAX_START_WAIT, news.next(Wake::EveryUnit));
            if let Ok(batch) = wait.await {
                return Ok((track, batch.parameters));
            }
        }
        Err(Error::NotLive(channel))
    }

    /// Has the sound transcoded if that is wanted and needed.
    fn sound(&self, wanted: Wanted, track: &Track, parameters: &StreamParameters) -> WantedSound {
        let mut sound = WantedSound::default();
        let audio = parameters
            .audio
            .as_ref()
            .filter(|audio| is_transcodable(audio));
        if let Some(audio) = audio.filter(|_| wanted.wants_opus) {
            match self
                .shared
                .sounds
                .listen(wanted.channel, track, wanted.holder)
            {
                Ok(listener) => {
                    sound.listener = Some(listener);
                    sound.opus = Some(AudioParameters::opus(audio.channels));
                }
                Err(full) => sound.full = Some(full),
            }
        }
        sound
    }

    fn open(
        &self,
        wanted: Wanted,
        track: Track,
        parameters: &StreamParameters,
        negotiated: Negotiated,
        sound: WantedSound,
    ) -> Result<Opened, Error> {
        let services = &self.shared.services;
        let session = services
            .sessions
            .open(new_session(wanted, Activity::Live))?;
        let left_out = parameters
            .audio
            .as_ref()
            .filter(|_| negotiated.audio.is_none());
        let left_out = left_out.map(|audio| left_out_text(audio.codec, &sound));
        let hearing = sound
            .listener
            .filter(|_| negotiated.audio == Some(AudioCodec::Opus))
            .map(|listener| Hearing {
                sounds: self.shared.sounds.clone(),
                holder: wanted.holder,
                listener: Some(listener),
            });
        let now = Instant::now();
        let (orders, received) = mpsc::channel(ORDERS);
        let Negotiated {
            video,
            audio,
            pending,
            offered,
            description,
            rtc,
            creds,
        } = negotiated;
        let seat = Seat {
            channel: wanted.channel,
            track,
            shelf: self.shelf(wanted.channel),
            playback: wanted.has_recorded.then(|| services.playback.clone()),
            clock: Arc::clone(&services.clock),
            session,
            video,
            audio,
            hearing,
            pending,
            offered,
            orders: received,
        };
        let viewer = Viewer::new(self.peer(rtc, &creds, now), seat, now);
        let stop = self.shared.stop.clone();
        Ok(Opened {
            id: self.start(wanted.holder, viewer.run(stop), orders)?,
            description,
            left_out,
        })
    }

    /// Answers a client that wants to publish into a channel.
    ///
    /// # Errors
    /// The channel takes no publisher now, the offer has nothing that can be recorded, or all places are
    /// taken.
    pub fn publish(&self, wanted: Wanted, offer: &str) -> Result<Opened, Error> {
        let (shared, now) = (&self.shared, Instant::now());
        let negotiated = negotiate::answer_publisher(&shared.ground, offer, now)?;
        let services = &shared.services;
        let session = services
            .sessions
            .open(new_session(wanted, Activity::Publish))?;
        let unknown = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let from = wanted.peer.map_or(unknown, |peer| peer.ip());
        let publishers = &services.publishers;
        let publisher = publishers.open(wanted.channel, PublishProtocol::Whip, from)?;
        let (orders, received) = mpsc::channel(ORDERS);
        let stage = Stage {
            channel: wanted.channel,
            publisher,
            session,
            orders: received,
            expects_sound: negotiated.audio.is_some(),
        };
        let peer = self.peer(negotiated.rtc, &negotiated.creds, now);
        let publishing = Publishing::new(peer, stage, now);
        Ok(Opened {
            id: self.start(wanted.holder, publishing.run(shared.stop.clone()), orders)?,
            description: negotiated.description,
            left_out: None,
        })
    }

    fn peer(&self, rtc: Rtc, creds: &IceCreds, now: Instant) -> Peer {
        let shared = &self.shared;
        let (registration, inbox) = shared.router.enter(creds);
        let parts = Parts {
            rtc,
            inbox,
            registration,
            udp: Arc::clone(&shared.udp),
            addresses: Arc::clone(&shared.ground.addresses),
        };
        Peer::new(parts, now)
    }

    /// Runs a session under a name of its own, if there is a place for it.
    fn start(
        &self,
        holder: Holder,
        session: impl Future<Output = ()> + Send + 'static,
        orders: mpsc::Sender<Order>,
    ) -> Result<SessionId, Error> {
        let shared = &self.shared;
        if shared.stop.is_cancelled() {
            return Err(Error::Failed("the server stops".into()));
        }
        let place = shared.places.take(holder).map_err(SessionRefused::from)?;
        let id = SessionId::random();
        shared.sessions.lock().insert(id.0.clone(), orders);
        let (this, name) = (self.clone(), id.0.clone());
        shared.tasks.spawn(async move {
            let gauge = metrics::gauge!("framewell_webrtc_sessions");
            gauge.increment(1.0);
            session.await;
            this.shared.sessions.lock().remove(&name);
            gauge.decrement(1.0);
            drop(place);
        });
        Ok(id)
    }

    fn shelf(&self, channel: ChannelId) -> Arc<Shelf> {
        let mut shelves = self.shared.shelves.lock();
        if let Some(shelf) = shelves.get(&channel).and_then(Weak::upgrade) {
            return shelf;
        }
        if shelves.len() >= SHELVES {
            shelves.retain(|_, shelf| shelf.strong_count() > 0);
        }
        let shelf = Arc::new(Shelf::default());
        shelves.insert(channel, Arc::downgrade(&shelf));
        shelf
    }
}

/// What came of the wish for transcoded sound.
#[derive(Debug, Default)]
struct WantedSound {
    listener: Option<Listener>,
    /// What is heard then.
    opus: Option<AudioParameters>,
    full: Option<NoPlace>,
}

/// Why there is no sound, and what to do about it.
fn left_out_text(codec: AudioCodec, sound: &WantedSound) -> String {
    let (name, instead) = match codec {
        AudioCodec::Aac => ("AAC", "HLS and RTSP carry it"),
        AudioCodec::Pcmu | AudioCodec::Pcma => ("G.711", "RTSP carries it"),
        AudioCodec::Opus => ("Opus", "RTSP carries it"),
    };
    match (&sound.full, &sound.opus) {
        (Some(full), _) => format!("it is {name}, and {full}; {instead}"),
        (None, Some(_)) => format!("it is {name}, and the offer does not take Opus; {instead}"),
        (None, None) if codec == AudioCodec::Opus => {
            format!("it is {name}, which the offer does not take; {instead}")
        }
        (None, None) => format!(
            "it is {name}, which is not part of this session; with audio=opus it is transcoded, and {instead}"
        ),
    }
}

/// A session that has begun outlives its ticket, as the vendor's player expects; not its token.
fn new_session(wanted: Wanted, activity: Activity) -> NewSession {
    NewSession {
        protocol: Protocol::WebRtc,
        activity,
        channel: wanted.channel,
        holder: wanted.holder,
        peer: wanted.peer,
        expire: None,
        expected_bits_per_s: 0,
    }
}

/// The addresses that clients are told.
fn candidates(config: &WebRtcConfig, local: SocketAddr) -> Arc<[SocketAddr]> {
    let configured = config.addresses.iter();
    let configured: Vec<SocketAddr> = configured
        .map(|(ip, port)| SocketAddr::new(*ip, port.unwrap_or(local.port())))
        .collect();
    if !configured.is_empty() {
        return configured.into();
    }
    let ip = if local.ip().is_unspecified() {
        sockets::own_address()
    } else {
        local.ip()
    };
    [SocketAddr::new(ip, local.port())].into()
}
