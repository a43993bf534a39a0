//! The RTMP server and clients that see every byte.

use crate::support::{NOW_S, channel, encode, pace, run_id, spec};
use framewell_access::places::{Occupation, Places};
use framewell_access::sessions::{EndReason, Sessions, SessionsConfig};
use framewell_access::{Access, Credential, MediaScope};
use framewell_catalog::{Catalog, CatalogConfig};
use framewell_ingest::{Ingest, IngestConfig};
use framewell_live::{Registry, RingConfig, Track};
use framewell_media::TrackKind;
use framewell_model::{Holder, NewChannel, RecMode, Secret, WallTime};
use framewell_streaming::rtmp::{RtmpConfig, RtmpService, serve};
use framewell_testkit::clock::MovableClock;
use framewell_testkit::encode::EncodedClip;
use framewell_token::SigningKey;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Any single answer comes within this time, or the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    addr: SocketAddr,
    registry: Registry,
    access: Access,
    holder: Holder,
    sessions: Sessions,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl Server {
    /// With channel 1, which nobody pulls.
    async fn start(config: RtmpConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let config_catalog = CatalogConfig {
            url: Secret::new(url),
            max_connections: 2,
        };
        let catalog = Catalog::open(&config_catalog).await.unwrap();
        let clock: Arc<MovableClock> = Arc::new(MovableClock::new(WallTime::from_secs(NOW_S)));
        let key = SigningKey::new(vec![7; 32]).unwrap();
        let access = Access::new(catalog.clone(), key, Arc::clone(&clock) as _);
        let (account, license) = access.create_account("tests").await.unwrap();
        let grant = access.authenticate(&Credential::License(license)).await;
        let new = NewChannel {
            name: "one".into(),
            rec_mode: RecMode::Off,
            timezone: "UTC".into(),
            source: None,
            retention_s: None,
            meta: BTreeMap::new(),
        };
        let now = WallTime::from_secs(NOW_S);
        let created = catalog.create_channel(account, &new, now).await.unwrap();
        assert_eq!(created.id, channel(1));
        let registry = Registry::new(RingConfig::default(), Arc::clone(&clock) as _);
        let limits = SessionsConfig {
            places: Places::new(Occupation::Session, 100, 100),
            max_bits_per_s: None,
            token_max_bits_per_s: None,
        };
        let sessions = Sessions::new(limits, Arc::clone(&clock) as _);
        let ingest = Ingest::new(IngestConfig::default(), registry.clone(), clock);
        let service = RtmpService {
            access: access.clone(),
            sessions: sessions.clone(),
            registry: registry.clone(),
            publishers: ingest.publishers(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let serving = serve(listener, config, service, stop.clone());
        tasks.spawn(async move { serving.await.unwrap() });
        Self {
            addr,
            registry,
            access,
            holder: (&grant.unwrap()).into(),
            sessions,
            stop,
            tasks,
            _folder: folder,
        }
    }

    fn name(&self, scope: &MediaScope) -> String {
        let expire = WallTime::from_secs(NOW_S + 60);
        format!(
            "1?ticket={}",
            self.access.ticket(self.holder, scope, expire)
        )
    }

    fn live(&self) -> String {
        self.name(&MediaScope::Live(channel(1)))
    }

    /// A channel that delivers.
    fn feed(&mut self, clip: &EncodedClip) -> Track {
        let track = self.registry.track(channel(1));
        track.begin_run(run_id(1), Arc::new(clip.parameters.clone()));
        let key =
            |unit: &framewell_media::AccessUnit| unit.track == TrackKind::Video && unit.is_key;
        let first = clip.units.iter().skip(1).position(key).unwrap() + 1;
        for unit in &clip.units[..first] {
            track.push(unit.clone());
        }
        let (fed, units) = (track.clone(), clip.units[first..].to_vec());
        self.tasks.spawn(async move { pace(&fed, &units).await });
        track
    }
}

/// Just enough RTMP: AMF0 written by hand, answers searched for words.
struct Client {
    stream: TcpStream,
    heard: Vec<u8>,
}

fn text(value: &str) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[2][..], &length, value.as_bytes()].concat()
}

fn number(value: f64) -> Vec<u8> {
    [&[0][..], &value.to_be_bytes()].concat()
}

const NULL: [u8; 1] = [5];

impl Client {
    async fn shake_hands(stream: TcpStream) -> Self {
        let mut client = Self {
            stream,
            heard: Vec::new(),
        };
        client.stream.write_all(&[3; 1 + 1_536]).await.unwrap();
        let mut answer = vec![0; 1 + 2 * 1_536];
        client.stream.read_exact(&mut answer).await.unwrap();
        client.stream.write_all(&[0; 1_536]).await.unwrap();
        client
    }

    async fn connect(addr: SocketAddr) -> Self {
        let mut client = Self::shake_hands(TcpStream::connect(addr).await.unwrap()).await;
        client.greet().await;
        client
    }

    async fn greet(&mut self) {
        let app = [&[3, 0, 3][..], b"app", &text("live"), &[0, 0, 9]].concat();
        self.command(0, &[text("connect"), number(1.0), app].concat())
            .await;
        self.command(
            0,
            &[text("createStream"), number(2.0), NULL.to_vec()].concat(),
        )
        .await;
    }

    async fn command(&mut self, stream: u8, body: &[u8]) {
        self.message(20, stream, body).await;
    }

    /// In chunks of 128 bytes.
    async fn message(&mut self, kind: u8, stream: u8, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let mut bytes = vec![
            3, 0, 0, 0, length[1], length[2], length[3], kind, stream, 0, 0, 0,
        ];
        for (index, piece) in body.chunks(128).enumerate() {
            if index > 0 {
                bytes.push(0xc3);
            }
            bytes.extend(piece);
        }
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn play(&mut self, name: &str) {
        let play = [text("play"), number(3.0), NULL.to_vec(), text(name)].concat();
        self.command(1, &play).await;
    }

    async fn publish(&mut self, name: &str) {
        let publish = [text("publish"), number(3.0), NULL.to_vec(), text(name)].concat();
        self.command(1, &publish).await;
    }

    /// Reads some more; false at the end.
    async fn hear(&mut self) -> bool {
        let mut chunk = vec![0; 64 << 10];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk)).await;
        let count = read
            .expect("the server says something, or ends")
            .unwrap_or(0);
        self.heard.extend_from_slice(&chunk[..count]);
        count > 0
    }

    fn has_heard(&self, word: &str) -> bool {
        self.heard
            .windows(word.len())
            .any(|heard| heard == word.as_bytes())
    }

    async fn hear_until(&mut self, word: &str) {
        while !self.has_heard(word) {
            let heard = String::from_utf8_lossy(&self.heard).into_owned();
            assert!(self.hear().await, "the end before {word}: {heard}");
        }
    }

    async fn is_closed(&mut self) {
        while self.hear().await {}
    }
}

/// Everybody who shows nothing good; all of them are cut off.
async fn strangers(addr: SocketAddr) {
    // What is no RTMP, at once.
    let mut stranger = TcpStream::connect(addr).await.unwrap();
    stranger
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    Client {
        stream: stranger,
        heard: Vec::new(),
    }
    .is_closed()
    .await;
    // Nothing, half a handshake, and a conversation without an end.
    let mut silent = Client {
        stream: TcpStream::connect(addr).await.unwrap(),
        heard: Vec::new(),
    };
    let mut half = Client {
        stream: TcpStream::connect(addr).await.unwrap(),
        heard: Vec::new(),
    };
    half.stream.write_all(&[3; 700]).await.unwrap();
    let mut idler = Client::connect(addr).await;
    for client in [&mut silent, &mut half, &mut idler] {
        client.is_closed().await;
    }
    // Long messages of somebody who has shown nothing.
    let mut long = Client::connect(addr).await;
    long.stream
        .write_all(&[4, 0, 0, 0, 0x10, 0, 0, 9, 1, 0, 0, 0, 1, 2, 3])
        .await
        .unwrap();
    long.is_closed().await;
    // A credential that opens something else.
    for (name, why) in [
        ("1?ticket=media.x", "token is not valid"),
        ("1", "no credential"),
        ("nonsense", "NetStream.Play.Failed"),
    ] {
        let mut wrong = Client::connect(addr).await;
        wrong.play(name).await;
        wrong.hear_until("NetStream.Play.Failed").await;
        assert!(wrong.has_heard(why), "{name}");
        wrong.is_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_cut_off_and_cost_nobody_else() {
    let config = RtmpConfig {
        idle: Duration::from_millis(500),
        ..RtmpConfig::default()
    };
    let mut server = Server::start(config).await;
    server.feed(&encode(spec()).await);
    let mut player = Client::connect(server.addr).await;
    player.play(&server.live()).await;
    player.hear_until("NetStream.Play.Start").await;
    strangers(server.addr).await;
    let mut watcher = Client::connect(server.addr).await;
    watcher.publish(&server.live()).await;
    watcher.hear_until("NetStream.Publish.Denied").await;

    player.heard.clear();
    player.hear_until("onFI").await;
    // Everybody else is gone, and this one can be ended.
    let sessions = server.sessions.list(|_| true);
    assert_eq!(sessions.len(), 1);
    assert!(sessions[0].bytes > 0);
    server.sessions.end(sessions[0].id, EndReason::Ended);
    player.hear_until("ended by an operator").await;
    player.is_closed().await;

    let mut last = Client::connect(server.addr).await;
    last.play(&server.live()).await;
    last.hear_until("NetStream.Play.Start").await;
    server.stop.cancel();
    last.is_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_of_one_address_leave_room_for_others() {
    let config = RtmpConfig {
        max_connections: 8,
        stranger_share_percent: 25,
        ..RtmpConfig::default()
    };
    let server = Server::start(config).await;
    let mut publisher = Client::connect(server.addr).await;
    let mut stranger = Client::connect(server.addr).await;
    let refused = || async {
        Client {
            stream: TcpStream::connect(server.addr).await.unwrap(),
            heard: Vec::new(),
        }
    };
    refused().await.is_closed().await;
    // Who has shown a ticket is no stranger.
    let name = server.name(&MediaScope::Publish(channel(1)));
    publisher.publish(&name).await;
    publisher.hear_until("NetStream.Publish.Start").await;
    let mut other = Client::connect(server.addr).await;
    other.hear_until("NetConnection.Connect.Success").await;
    refused().await.is_closed().await;
    stranger.hear_until("NetConnection.Connect.Success").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_sends_nonsense_is_told_and_ended() {
    let server = Server::start(RtmpConfig::default()).await;
    let name = server.name(&MediaScope::Publish(channel(1)));
    for (kind, body, why) in [
        (9, &b"\x12what is this"[..], "neither H.264 nor H.265"),
        (9, b"\x17\0\0\0\0\x01rubbish", "avcC"),
        (8, b"\xaf\0\0", "AudioSpecificConfig"),
    ] {
        let mut publisher = Client::connect(server.addr).await;
        publisher.publish(&name).await;
        publisher.hear_until("NetStream.Publish.Start").await;
        publisher.message(kind, 1, body).await;
        publisher.hear_until("NetStream.Publish.Failed").await;
        assert!(
            publisher.has_heard(why),
            "{why}: {}",
            String::from_utf8_lossy(&publisher.heard)
        );
        publisher.is_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_stops_reading_holds_up_no_end() {
    let clip = encode(spec()).await;
    let mut server = Server::start(RtmpConfig {
        write_timeout: Duration::from_secs(600),
        ..RtmpConfig::default()
    })
    .await;
    let track = server.registry.track(channel(1));
    track.begin_run(run_id(1), Arc::new(clip.parameters.clone()));
    track.push(clip.units[0].clone());
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 << 10).unwrap();
        let stream = socket.connect(server.addr).await.unwrap();
        let mut client = Client::shake_hands(stream).await;
        client.greet().await;
        client.play(&server.live()).await;
        client.hear_until("onFI").await;
        client.heard.clear();
        stalled.push(client);
    }
    // More than any socket takes: who has got a part of it is waited for.
    let filler = vec![b'x'; 12 << 20];
    assert!(track.push(framewell_media::AccessUnit {
        data: filler.into(),
        ..clip.units[1].clone()
    }));
    for client in &mut stalled {
        client.hear_until("xxxx").await;
    }
    let ended = async {
        let first = server.sessions.list(|_| true)[0].id;
        server.sessions.end(first, EndReason::Ended);
        while server.sessions.list(|_| true).len() > 1 {
            tokio::task::yield_now().await;
        }
        server.stop.cancel();
        server.tasks.join_next().await.unwrap().unwrap();
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
    assert!(ended.is_ok(), "still waited for");
}
