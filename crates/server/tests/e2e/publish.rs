//! Encoders that send by themselves: the `ffmpeg` command line, with stamped pictures.

use crate::server::Server;
use crate::site::ChannelKeys;
use framewell_media::VideoCodec;
use framewell_testkit::encode::ClipSpec;
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// One minute of small pictures with B-frames.
pub(crate) fn spec(codec: VideoCodec) -> ClipSpec {
    ClipSpec {
        codec,
        width: 480,
        height: 270,
        fps: 10,
        gop: 10,
        b_frames: 2,
        frames: 600,
        ..ClipSpec::default()
    }
}

/// Creates a channel that no camera is pulled for.
pub(crate) async fn create_open_channel(server: &Server, name: &str) -> ChannelKeys {
    let body = json!({"name": name, "rec_mode": "on"});
    let channel = server.admin().post("/api/v3/channels/", &body).await;
    let channel = channel.expect(201);
    let token = |level: &str| {
        let token = channel["access_tokens"][level].as_str();
        token.expect("a token").to_owned()
    };
    ChannelKeys {
        id: channel["id"].as_i64().expect("an id"),
        all: token("all"),
        watch: token("watch"),
    }
}

/// How long an encoder is away: shorter holes are none.
pub(crate) const OUTAGE: Duration = Duration::from_secs(2);

/// A file that encoders send.
pub(crate) struct Footage {
    folder: tempfile::TempDir,
}

impl Footage {
    pub(crate) async fn new(spec: ClipSpec) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("clip.ts");
        let write = move || std::fs::write(path, spec.transport_stream().expect("encoded"));
        let written = tokio::task::spawn_blocking(write).await;
        written.expect("joined").expect("written");
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clip.ts")
    }

    /// Sends it at its own pace, with a tone; `output` is the format's options and the URL.
    pub(crate) fn send(&self, output: &[&str]) -> Encoder {
        self.send_with(Path::new("ffmpeg"), output)
    }

    /// As [`Footage::send`], with another `ffmpeg`.
    pub(crate) fn send_with(&self, program: &Path, output: &[&str]) -> Encoder {
        let log = tempfile::NamedTempFile::new().expect("a log file");
        let stderr = log.reopen().expect("a log file");
        let child = command(program, &self.file(), output, stderr);
        Encoder { child, log }
    }
}

fn command(program: &Path, file: &Path, output: &[&str], stderr: File) -> Child {
    Command::new(program)
        .args(["-hide_banner", "-loglevel", "warning", "-nostdin"])
        .args(["-re", "-i"])
        .arg(file)
        .args(["-re", "-f", "lavfi", "-i", "sine=f=440:r=48000"])
        .args(["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac"])
        .arg("-shortest")
        .args(output)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("ffmpeg runs")
}

/// A running encoder; killed when dropped.
pub(crate) struct Encoder {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Encoder {
    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited");
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// Waits until it gives up by itself.
    pub(crate) async fn failed(&mut self) -> (ExitStatus, String) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waited") {
                return (status, self.log());
            }
            let is_patient = started.elapsed() < Duration::from_secs(20);
            assert!(is_patient, "the encoder goes on: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
