//! A real broker, mosquitto, and a real listener, `mosquitto_sub`.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(30);

/// A broker with a folder and a port of its own; killed when dropped.
pub(crate) struct Broker {
    pub(crate) port: u16,
    dir: TempDir,
    child: Option<Child>,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more configuration; `DIR` in it is the broker's folder.
    pub(crate) async fn start_with(more: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), more).await
    }

    pub(crate) async fn start_in(dir: TempDir, more: &str) -> Self {
        // It cannot take a free port by itself.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = dir.path().display().to_string();
        let user = if is_root() { "user root\n" } else { "" };
        let anonymous = if more.contains("password_file") {
            "false"
        } else {
            "true"
        };
        let more = more.replace("DIR", &folder);
        let config = format!(
            "{user}listener {port} 127.0.0.1\nallow_anonymous {anonymous}\npersistence true\n\
             persistence_location {folder}/\n{more}\n"
        );
        std::fs::write(dir.path().join("mosquitto.conf"), config).unwrap();
        let mut broker = Self {
            port,
            dir,
            child: None,
        };
        broker.launch().await;
        broker
    }

    /// Starts it, also again, and waits until it listens.
    pub(crate) async fn launch(&mut self) {
        let program = ["/usr/sbin/mosquitto", "mosquitto"];
        let program = program.into_iter().find(|path| Path::new(path).exists());
        let child = Command::new(program.unwrap_or("mosquitto"))
            .arg("-c")
            .arg(self.dir.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto starts: is the package mosquitto installed?");
        self.child = Some(child);
        let listening = async {
            while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, listening)
            .await
            .expect("mosquitto listens");
    }

    /// SIGTERM, so that it keeps the sessions of its clients.
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        child.wait().unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// A listener on everything below a topic.
    pub(crate) fn listen(&self, topic: &str, arguments: &[&str]) -> Listener {
        Listener::start(self.port, topic, arguments)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.starts_with(b"0\n")
}

/// A message as `mosquitto_sub` printed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) topic: String,
    pub(crate) is_retained: bool,
    pub(crate) payload: String,
}

/// `mosquitto_sub`; killed when dropped.
pub(crate) struct Listener {
    child: Child,
    lines: mpsc::Receiver<String>,
    heard: Vec<Heard>,
}

impl Listener {
    fn start(port: u16, topic: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new("mosquitto_sub")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-q",
                "1",
                "-t",
                topic,
            ])
            .args(["-F", "%r %t %p"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub starts: is the package mosquitto-clients installed?");
        let output = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel(10_000);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            heard: Vec::new(),
        }
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Heard {
        let line = tokio::time::timeout(LIMIT, self.lines.recv()).await;
        let line = line.unwrap_or_else(|_| panic!("nothing more after {:?}", self.heard));
        let line = line.expect("mosquitto_sub runs");
        let mut parts = line.splitn(3, ' ');
        let heard = Heard {
            is_retained: parts.next() == Some("1"),
            topic: parts.next().unwrap().to_owned(),
            payload: parts.next().unwrap_or_default().to_owned(),
        };
        self.heard.push(heard.clone());
        heard
    }

    /// Waits for a message with this topic and payload.
    pub(crate) async fn expect(&mut self, topic: &str, payload: &str) -> Heard {
        loop {
            let heard = self.hear().await;
            if heard.topic == topic && heard.payload == payload {
                return heard;
            }
        }
    }

    /// Waits for a message on a topic.
    pub(crate) async fn expect_on(&mut self, topic: &str) -> Heard {
        loop {
            let heard = self.hear().await;
            if heard.topic == topic {
                return heard;
            }
        }
    }

    /// Everything heard so far.
    pub(crate) fn so_far(&self) -> &[Heard] {
        &self.heard
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
