//! Players that nobody here wrote over every protocol, live and recorded: mpv, and OpenCV with an FFmpeg of its
//! own. What counts is the picture that a player shows, told by its stamp. (GStreamer, Chromium and the ffmpeg of
//! Debian have tests of their own.)

use crate::browser::{Browser, Page};
use crate::cameras::{self, ROUNDING_US};
use crate::main_job::naive_time;
use crate::server::Server;
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records};
use crate::tools::{assert_consecutive, stamps_of};
use framewell_model::WallTime;
use framewell_testkit::stamp::{Stamp, VideoInput};
use std::path::Path;
use std::process::{Command, Output};
use std::time::UNIX_EPOCH;

/// Pictures that each player shows; a recorded range has more.
const PICTURES: usize = 12;
/// What a picture may be behind its capture when a player shows it, in microseconds, with so many players on a busy
/// machine. A player of plain HLS begins three target durations behind.
const BEHIND_US: i64 = 6_000_000;
const BEHIND_HLS_US: i64 = 15_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Player {
    Mpv,
    OpenCv,
}

/// A stream, and what has to be seen of it.
#[derive(Debug, Clone)]
struct Showing {
    name: &'static str,
    url: String,
    /// Of RTSP.
    transport: &'static str,
    begins: Begins,
}

#[derive(Debug, Clone, Copy)]
enum Begins {
    /// Each picture is at most this old when it is shown.
    Live(i64),
    /// With the picture of this instant.
    At(WallTime),
}

impl Player {
    fn command(self, showing: &Showing, folder: &Path) -> Option<Command> {
        match self {
            Self::Mpv => Some(mpv(showing, folder)),
            Self::OpenCv => opencv(showing, folder),
        }
    }

    /// Lets it play, and looks at what it showed.
    fn show(self, showing: &Showing) {
        let what = format!("{self:?} of {}", showing.name);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let Some(mut command) = self.command(showing, folder.path()) else {
            return;
        };
        let output = command.output().unwrap_or_else(|error| {
            panic!("{what}: {error} (cargo xtask test installs the players)")
        });
        let said = |output: &Output| {
            let (out, err) = (&output.stdout, &output.stderr);
            String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
        };
        assert!(output.status.success(), "{what}: {}", said(&output));
        let stamps = VideoInput::new(folder.path().join("%08d.jpg")).read_stamps();
        let stamps = stamps.unwrap_or_else(|error| panic!("{what}: {error}: {}", said(&output)));
        let when = (1..=stamps.len()).map(|index| {
            let file = folder.path().join(format!("{index:08}.jpg"));
            let modified = file.metadata().and_then(|file| file.modified());
            let since = modified.expect("a file").duration_since(UNIX_EPOCH);
            i64::try_from(since.expect("after 1970").as_micros()).expect("this age")
        });
        let shown: Vec<(Stamp, i64)> = stamps.iter().copied().zip(when).collect();
        assert_consecutive(&stamps);
        showing.begins.check(&what, &shown);
    }
}

impl Begins {
    /// `shown`: stamps, and when each was shown, in microseconds since 1970.
    fn check(self, what: &str, shown: &[(Stamp, i64)]) {
        assert!(shown.len() >= PICTURES, "{what}: {} pictures", shown.len());
        let first = shown[0].0;
        match self {
            Self::At(wanted) => {
                let off_us = first.capture.micros_since(wanted);
                assert!(off_us.abs() <= ROUNDING_US, "{what}: {off_us} us off");
            }
            Self::Live(most_us) => {
                // How old the newest one was when it was shown; the first ones wait for the player to be ready.
                let (last, at_us) = shown[shown.len() - 1];
                let age_us = at_us - last.capture.micros();
                assert!((0..most_us).contains(&age_us), "{what}: {age_us} us old");
            }
        }
    }
}

fn mpv(showing: &Showing, folder: &Path) -> Command {
    let mut command = Command::new("mpv");
    command
        .args(["--no-config", "--load-scripts=no", "--ytdl=no"])
        .args(["--no-audio", "--untimed", "--framedrop=no"])
        .args([
            "--msg-level=all=error",
            "--vo=image",
            "--vo-image-format=jpg",
        ])
        .arg(format!("--vo-image-outdir={}", folder.display()))
        .arg(format!("--frames={PICTURES}"));
    if !showing.transport.is_empty() {
        command.arg(format!("--rtsp-transport={}", showing.transport));
    }
    command.arg(&showing.url);
    command
}

#[expect(
    clippy::print_stderr,
    reason = "a test that leaves something out says so"
)]
fn opencv(showing: &Showing, folder: &Path) -> Option<Command> {
    let Some(python) = std::env::var_os("FRAMEWELL_TEST_PLAYERS_PYTHON") else {
        eprintln!(
            "FRAMEWELL_TEST_PLAYERS_PYTHON names no Python with OpenCV: cargo xtask test installs one"
        );
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/players_opencv.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .args([&showing.url, showing.transport, &PICTURES.to_string()])
        .arg(folder);
    Some(command)
}

async fn text_at(server: &Server, channel: &ChannelKeys, path: &str, key: &str) -> String {
    let answer = acc(server, channel).get(path).await.expect(200);
    let text = answer[key].as_str();
    text.unwrap_or_else(|| panic!("no {key} in {answer}"))
        .to_owned()
}

/// Every protocol, live, and from `start` to `end`. RTMP has no recorded play.
async fn showings(
    server: &Server,
    channel: &ChannelKeys,
    (start, end): (WallTime, WallTime),
) -> Vec<Showing> {
    let id = channel.id;
    let live = format!("/v1/channels/{id}/live");
    let of_live = async |key: &str| text_at(server, channel, &live, key).await;
    let rtmp = text_at(server, channel, "/api/v4/live/watch/", "rtmp").await;
    let vod = format!("/v1/channels/{id}/hls?start={start}&end={end}");
    let vod = text_at(server, channel, &vod, "url").await;
    let token: String = url::form_urlencoded::byte_serialize(channel.watch.as_bytes()).collect();
    let mp4 = format!(
        "{}/v1/channels/{id}/stream.mp4?token={token}",
        server.base()
    );
    let rec = format!("{}&start={start}&end={end}", of_live("rtsp_recorded").await);
    let rtsp = of_live("rtsp").await;
    let soon = Begins::Live(BEHIND_US);
    let showing = |name, url: &str, transport, begins| Showing {
        name,
        url: url.to_owned(),
        transport,
        begins,
    };
    vec![
        showing("live RTSP over TCP", &rtsp, "tcp", soon),
        showing("live RTSP over UDP", &rtsp, "udp", soon),
        showing("live RTMP", &rtmp, "", soon),
        showing(
            "live HLS",
            &of_live("hls").await,
            "",
            Begins::Live(BEHIND_HLS_US),
        ),
        showing("live fMP4", &of_live("mp4").await, "", soon),
        showing("recorded RTSP over TCP", &rec, "tcp", Begins::At(start)),
        showing("recorded RTSP over UDP", &rec, "udp", Begins::At(start)),
        showing("recorded HLS", &vod, "", Begins::At(start)),
        showing(
            "recorded fMP4",
            &format!("{mp4}&from={start}&to={end}"),
            "",
            Begins::At(start),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn mpv_and_opencv_show_live_and_recorded_video_of_every_protocol() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 3).await;
    // A record begins with a key frame: players that know nothing of a wanted start begin with it, too.
    let range = (
        naive_time(&records[0]["start"]),
        naive_time(&records[1]["end"]),
    );
    let showings = showings(&server, &channel, range).await;
    let mut players = tokio::task::JoinSet::new();
    for player in [Player::Mpv, Player::OpenCv] {
        // A few at a time: all at once would be late on a small machine.
        for some in showings.chunks(3) {
            let some = some.to_vec();
            players.spawn_blocking(move || some.iter().for_each(|showing| player.show(showing)));
        }
    }
    players.join_all().await;
    recorded_over_rtsp(&server, &channel, range).await;
}

/// What FFmpeg is sent of a range that begins between two key frames, and of one without footage.
async fn recorded_over_rtsp(
    server: &Server,
    channel: &ChannelKeys,
    (start, end): (WallTime, WallTime),
) {
    let live = format!("/v1/channels/{}/live", channel.id);
    let url = text_at(server, channel, &live, "rtsp_recorded").await;
    let wanted = start.plus_micros(1_500_000);
    let part = format!("{url}&start={wanted}&end={end}");
    let stamps = stamps_of(&part, &[("-rtsp_transport", "tcp")], 1_000).await;
    assert_consecutive(&stamps);
    // From the key frame before the start, a second apart, to the last picture before the end.
    let (first, last) = (stamps[0].capture, stamps[stamps.len() - 1].capture);
    let early_us = wanted.micros_since(first);
    assert!((0..1_100_000).contains(&early_us), "{first} for {wanted}");
    let left_us = end.micros_since(last);
    assert!(
        (-ROUNDING_US..500_000).contains(&left_us),
        "{last} before {end}"
    );

    let nothing = format!("{url}&start=2001-01-01T00:00:00Z&end=2001-01-02T00:00:00Z");
    let mut ffprobe = tokio::process::Command::new("ffprobe");
    let output = ffprobe.args(["-v", "error", &nothing]).output().await;
    let complaint = String::from_utf8_lossy(&output.expect("ffprobe runs").stderr).into_owned();
    assert!(complaint.contains("no footage from 2001"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_a_recorded_range_of_the_socket_at_its_own_times() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    let records = wait_for_records(&server, &channel, 2).await;
    let (start, end) = (
        naive_time(&records[0]["start"]),
        naive_time(&records[1]["end"]),
    );
    let token: String = url::form_urlencoded::byte_serialize(channel.watch.as_bytes()).collect();
    let (base, id) = (server.base().replacen("http", "ws", 1), channel.id);
    let socket = format!("{base}/v1/channels/{id}/stream?token={token}&from={start}&to={end}");
    let html = include_str!("stream_mp4.html")
        .replace("__URL__", &socket)
        .replace("const recorded = false", "const recorded = true");
    let page = Page::serve(html).await;
    let _browser = Browser::open(&format!("http://{}/", page.address));
    let last_us = end.micros_since(start) - 300_000;
    // To the end, and on the way every picture at its own time: media time is Unix time.
    let (mut reached_us, mut exact, mut all) = (0, 0, 0);
    while reached_us < last_us {
        let (stamp, report) = page
            .wait_for_report(|stamp| stamp.capture.micros_since(start) >= reached_us)
            .await;
        let into_us = stamp.capture.micros_since(start);
        let told_s = report["time"].as_f64().expect("seconds");
        let off_s = told_s - stamp.capture.micros() as f64 / 1e6;
        // A busy browser may draw a picture or two later than the one that it tells the time of.
        assert!(off_s.abs() < 0.35, "{off_s} s at {into_us} us");
        all += 1;
        exact += usize::from(off_s.abs() < 0.002);
        reached_us = into_us + 100_000;
    }
    assert!(exact * 2 > all, "{exact} of {all} pictures at their time");
}
