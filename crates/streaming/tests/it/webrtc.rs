//! Another WebRTC implementation's state machine is not at hand, so the client here is str0m, on sockets of
//! its own; Chromium is asked in the tests of the server.

use crate::support::{channel, encode, pace, run_id, spec};
use bytes::{Bytes, BytesMut};
use framewell_access::places::{Occupation, Places};
use framewell_access::sessions::{Sessions, SessionsConfig};
use framewell_blob::BlobStore;
use framewell_catalog::{Catalog, CatalogConfig};
use framewell_decode::WorkerOptions;
use framewell_footage::{Footage, Spool};
use framewell_ingest::{Ingest, IngestConfig};
use framewell_live::{Registry, RingConfig, SystemClock, Track};
use framewell_media::nal;
use framewell_model::{AccountId, ChannelId, ErrorKind, HasKind, Holder, Secret, WallClock};
use framewell_playback::Playback;
use framewell_streaming::webrtc::{
    Engine, Error, Services, Sockets, SoundConfig, Wanted, WebRtcConfig,
};
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, KeyframeRequestKind, MediaData, MediaKind, Mid};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

struct Site {
    engine: Engine,
    addr: SocketAddr,
    registry: Registry,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

fn wanted(id: i64) -> Wanted {
    Wanted {
        channel: channel(id),
        has_recorded: false,
        wants_opus: false,
        holder: Holder {
            account: AccountId::new(1).unwrap(),
            serial: None,
        },
        peer: None,
    }
}

impl Site {
    async fn start(max_sessions: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let config = CatalogConfig {
            url: Secret::new(url),
            max_connections: 2,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let blobs = BlobStore::local(&folder.path().join("objects")).unwrap();
        let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
        let registry = Registry::new(RingConfig::default(), Arc::clone(&clock));
        let footage = Footage::new(catalog, blobs, Spool::new());
        let playback = Playback::new(registry.clone(), footage);
        let sockets = Sockets::bind("127.0.0.1:0").await.unwrap();
        let addr = sockets.local_addr().unwrap();
        let config = WebRtcConfig {
            places: Places::new(Occupation::Session, max_sessions, 50),
            addresses: Vec::new(),
            sound: SoundConfig {
                program: "/nonexistent/framewell-decoder".into(),
                worker: WorkerOptions::default(),
                places: Places::new(Occupation::Transcoder, 1, 100),
            },
        };
        let ingest = Ingest::new(
            IngestConfig::default(),
            registry.clone(),
            Arc::clone(&clock),
        );
        let limits = SessionsConfig {
            places: Places::new(Occupation::Session, 100, 100),
            max_bits_per_s: None,
            token_max_bits_per_s: None,
        };
        let services = Services {
            registry: registry.clone(),
            playback,
            publishers: ingest.publishers(),
            sessions: Sessions::new(limits, Arc::clone(&clock)),
            clock,
        };
        let engine = Engine::new(&config, &sockets, services).unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(engine.clone().serve(sockets, stop.clone()));
        Self {
            engine,
            addr,
            registry,
            stop,
            tasks,
            _folder: folder,
        }
    }

    /// Plays a clip into a channel at its own pace, a GOP of it at once.
    fn feed(&mut self, id: i64, clip: &EncodedClip) -> Track {
        let track = self.registry.track(channel(id));
        track.begin_run(run_id(1), Arc::new(clip.parameters.clone()));
        let gop = clip
            .units
            .iter()
            .skip(1)
            .position(|unit| unit.is_key)
            .unwrap()
            + 1;
        for unit in &clip.units[..gop] {
            track.push(unit.clone());
        }
        let (fed, rest) = (track.clone(), clip.units[gop..].to_vec());
        self.tasks.spawn(async move { pace(&fed, &rest).await });
        track
    }
}

/// How a client reaches the server.
enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream, BytesMut),
}

struct Client {
    rtc: Rtc,
    wire: Wire,
    local: SocketAddr,
    server: SocketAddr,
    video: Option<Mid>,
    pictures: Vec<MediaData>,
}

impl Client {
    /// Offers to receive video, and plays the answer.
    async fn watch(site: &Site, channel: ChannelId, protocol: Protocol) -> Result<Self, Error> {
        let (wire, local) = match protocol {
            Protocol::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let local = socket.local_addr().unwrap();
                (Wire::Udp(socket), local)
            }
            _ => {
                let stream = TcpStream::connect(site.addr).await.unwrap();
                let local = stream.local_addr().unwrap();
                (Wire::Tcp(stream, BytesMut::new()), local)
            }
        };
        let mut config = RtcConfig::new()
            .clear_codecs()
            .set_reordering_size_video(200);
        config
            .codec_config()
            .add_h264(96.into(), Some(97.into()), true, 0x42_e0_1f);
        let mut rtc = config.build(Instant::now());
        let candidate = match protocol {
            Protocol::Udp => Candidate::host(local, Protocol::Udp),
            _ => Candidate::builder()
                .tcp()
                .host(local)
                .tcptype(TcpType::Active)
                .build(),
        };
        rtc.add_local_candidate(candidate.unwrap());
        let mut change = rtc.sdp_api();
        let video = change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = change.apply().unwrap();
        let opened = site
            .engine
            .play(wanted(channel.get()), &offer.to_sdp_string())
            .await?;
        // Only the wire that is to be tested.
        let kept = |line: &&str| {
            !line.starts_with("a=candidate")
                || line.contains(match protocol {
                    Protocol::Udp => " udp ",
                    _ => " tcp ",
                })
        };
        let answer: Vec<&str> = opened.description.lines().filter(kept).collect();
        let answer = SdpAnswer::from_sdp_string(&(answer.join("\r\n") + "\r\n")).unwrap();
        rtc.sdp_api().accept_answer(pending, answer).unwrap();
        Ok(Self {
            rtc,
            wire,
            local,
            server: site.addr,
            video: Some(video),
            pictures: Vec::new(),
        })
    }

    /// Runs until `done` says so of the pictures received.
    async fn run_until(&mut self, what: &str, done: impl Fn(&[MediaData]) -> bool) {
        let begun = Instant::now();
        while !done(&self.pictures) {
            assert!(begun.elapsed() < PATIENCE, "timed out waiting for {what}");
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        let wake = loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => break at,
                Output::Transmit(transmit) => self.send(&transmit.contents).await,
                Output::Event(Event::MediaData(data)) => self.pictures.push(data),
                Output::Event(_) => {}
            }
        };
        let wait = wake
            .saturating_duration_since(Instant::now())
            .min(Duration::from_millis(100));
        let received = tokio::time::timeout(wait, self.receive()).await;
        let now = Instant::now();
        if let Ok(datagram) = received {
            let proto = match self.wire {
                Wire::Udp(_) => Protocol::Udp,
                Wire::Tcp(..) => Protocol::Tcp,
            };
            let receive = Receive {
                proto,
                source: self.server,
                destination: self.local,
                contents: datagram[..].try_into().unwrap(),
            };
            self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
        } else {
            self.rtc.handle_input(Input::Timeout(now)).unwrap();
        }
    }

    async fn send(&mut self, datagram: &[u8]) {
        match &mut self.wire {
            Wire::Udp(socket) => {
                socket.send_to(datagram, self.server).await.unwrap();
            }
            Wire::Tcp(stream, _) => {
                let length = u16::try_from(datagram.len()).unwrap().to_be_bytes();
                stream
                    .write_all(&[&length[..], datagram].concat())
                    .await
                    .unwrap();
            }
        }
    }

    async fn receive(&mut self) -> Bytes {
        match &mut self.wire {
            Wire::Udp(socket) => {
                let mut buffer = vec![0; 2_000];
                let length = socket.recv(&mut buffer).await.unwrap();
                buffer.truncate(length);
                buffer.into()
            }
            Wire::Tcp(stream, buffer) => loop {
                if let Some(&[high, low]) = buffer.first_chunk() {
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    if buffer.len() >= 2 + length {
                        return buffer.split_to(2 + length).freeze().slice(2..);
                    }
                }
                assert_ne!(stream.read_buf(buffer).await.unwrap(), 0, "closed");
            },
        }
    }
}

/// The NAL units of a picture without parameter sets, as the camera sent them.
fn coded(data: &[u8]) -> Vec<Bytes> {
    let nals = nal::split_annex_b(&Bytes::copy_from_slice(data));
    let is_coded = |nal: &Bytes| {
        nal::kind(framewell_media::VideoCodec::H264, nal) != nal::NalKind::ParameterSet
    };
    nals.into_iter().filter(is_coded).collect()
}

fn index_of(clip: &EncodedClip, picture: &MediaData) -> usize {
    let nals = coded(&picture.data);
    let is_this = |unit: &&framewell_media::AccessUnit| {
        nal::split_length_prefixed(&unit.data).collect::<Vec<_>>() == nals
    };
    let found = clip.video().collect::<Vec<_>>();
    found
        .iter()
        .position(is_this)
        .expect("a picture of the clip")
}

async fn every_picture_arrives(protocol: Protocol) {
    let clip = encode(spec()).await;
    let mut site = Site::start(4).await;
    site.feed(1, &clip);
    let mut client = Client::watch(&site, channel(1), protocol).await.unwrap();
    client
        .run_until("two seconds of pictures", |pictures| pictures.len() >= 50)
        .await;
    let first = index_of(&clip, &client.pictures[0]);
    assert!(clip.video().nth(first).unwrap().is_key);
    for (at, picture) in client.pictures.iter().enumerate() {
        assert_eq!(index_of(&clip, picture), first + at);
    }
    let times: Vec<u64> = client
        .pictures
        .iter()
        .map(|picture| picture.time.numer())
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    site.stop.cancel();
}

#[tokio::test]
async fn every_picture_arrives_over_udp() {
    every_picture_arrives(Protocol::Udp).await;
}

#[tokio::test]
async fn every_picture_arrives_over_tcp() {
    every_picture_arrives(Protocol::Tcp).await;
}

#[tokio::test]
async fn a_client_that_lost_pictures_gets_the_present_gop_again() {
    // One GOP for the whole test: without the ring no key frame would come.
    let clip = encode(ClipSpec { gop: 125, ..spec() }).await;
    let mut site = Site::start(4).await;
    let track = site.registry.track(channel(1));
    track.begin_run(run_id(1), Arc::new(clip.parameters.clone()));
    let units = clip.units[..120].to_vec();
    for unit in &units[..10] {
        track.push(unit.clone());
    }
    site.tasks
        .spawn(async move { pace(&track, &units[10..]).await });
    let mut client = Client::watch(&site, channel(1), Protocol::Udp)
        .await
        .unwrap();
    client
        .run_until("pictures", |pictures| pictures.len() >= 15)
        .await;
    let mid = client.video.unwrap();
    let mut writer = client.rtc.writer(mid).unwrap();
    writer
        .request_keyframe(None, KeyframeRequestKind::Pli)
        .unwrap();
    let is_first = |picture: &MediaData| index_of(&clip, picture) == 0;
    client
        .run_until("the key frame again", |pictures| {
            pictures.iter().filter(|picture| is_first(picture)).count() == 2
        })
        .await;
    site.stop.cancel();
}

#[tokio::test]
async fn what_cannot_be_played_is_refused() {
    let b_frames = encode(ClipSpec {
        b_frames: 2,
        ..spec()
    })
    .await;
    let plain = encode(spec()).await;
    let mut site = Site::start(2).await;
    site.feed(1, &plain);
    site.feed(2, &b_frames);
    let refused = Client::watch(&site, channel(2), Protocol::Udp)
        .await
        .err()
        .unwrap();
    assert!(matches!(refused, Error::Unplayable { .. }), "{refused}");
    let missing = Client::watch(&site, channel(3), Protocol::Udp)
        .await
        .err()
        .unwrap();
    assert_eq!(missing, Error::NoChannel(channel(3)));
    let nonsense = site.engine.play(wanted(1), "hello").await.unwrap_err();
    assert!(
        matches!(
            nonsense,
            Error::Unplayable { .. } | Error::BadDescription(_)
        ),
        "{nonsense}"
    );
    let _first = Client::watch(&site, channel(1), Protocol::Udp)
        .await
        .unwrap();
    let full = Client::watch(&site, channel(1), Protocol::Udp)
        .await
        .err()
        .unwrap();
    assert_eq!(full.kind(), ErrorKind::ResourceExhausted, "{full}");
    // One token's share leaves room for others.
    let mut other = wanted(1);
    other.holder.account = AccountId::new(2).unwrap();
    site.engine.offer(other).await.unwrap();
    site.stop.cancel();
}

#[tokio::test]
async fn a_stopped_engine_ends_its_sessions() {
    let clip = encode(spec()).await;
    let mut site = Site::start(4).await;
    site.feed(1, &clip);
    let opened = site.engine.offer(wanted(1)).await.unwrap();
    assert!(
        opened.description.contains("a=ice-lite"),
        "{}",
        opened.description
    );
    assert!(site.engine.is_open(opened.id.as_str()));
    site.stop.cancel();
    tokio::time::timeout(PATIENCE, site.engine.closed(opened.id.as_str()))
        .await
        .unwrap();
    while site.engine.is_open(opened.id.as_str()) {
        tokio::task::yield_now().await;
    }
}
