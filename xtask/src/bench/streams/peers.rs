//! The servers that ours is measured against, as their documentation starts them.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::child::Managed;
use crate::run;

/// How long a peer may take until it serves.
const START: Duration = Duration::from_secs(30);

/// gst-rtsp-server with one shared pipeline that pulls from the camera when somebody looks.
pub(super) struct Gstreamer {
    pub(super) process: Managed,
    pub(super) url: String,
}

const SCRIPT: &str = r#"
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[2])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( rtspsrc location=%s protocols=tcp latency=0 ! rtph264depay ! h264parse ! rtph264pay name=pay0 pt=96 )"
    % sys.argv[1]
)
factory.set_shared(True)
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"#;

impl Gstreamer {
    pub(super) fn start(folder: &Path, camera: &str) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = run::program("python3");
        // The system's Python has GStreamer's bindings, whatever else is first in the path.
        if Path::new("/usr/bin/python3").exists() {
            command = run::program("/usr/bin/python3");
        }
        command
            .args(["-c", SCRIPT, camera, &port.to_string()])
            .stdout(Stdio::piped());
        let log = folder.join("gst-rtsp-server.log");
        let mut process = Managed::start("gst-rtsp-server", &mut command, Some(&log))?;
        let _ready = process.first_line()?;
        let url = format!("rtsp://127.0.0.1:{port}/cam");
        Ok(Self { process, url })
    }
}

/// nginx with static files that one ffmpeg writes.
pub(super) struct Nginx {
    pub(super) nginx: Managed,
    pub(super) ffmpeg: Managed,
    pub(super) url: String,
}

impl Nginx {
    pub(super) fn start(folder: &Path, camera: &str) -> anyhow::Result<Self> {
        let (port, own) = (free_port()?, folder.join("nginx"));
        std::fs::create_dir_all(&own)?;
        let playlist = own.join("live.m3u8");
        let mut command = run::program("ffmpeg");
        command
            .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
            .args([
                "-rtsp_transport",
                "tcp",
                "-i",
                camera,
                "-c",
                "copy",
                "-f",
                "hls",
            ])
            .args([
                "-hls_time",
                "2",
                "-hls_list_size",
                "6",
                "-hls_flags",
                "delete_segments",
            ])
            .arg(&playlist)
            .stdout(Stdio::null());
        let mut ffmpeg = Managed::start("ffmpeg", &mut command, Some(&own.join("ffmpeg.log")))?;
        ffmpeg.wait_until("the first playlist", START, || playlist.exists())?;
        let text = configuration(&own, port);
        let file = own.join("nginx.conf");
        std::fs::write(&file, text)?;
        let mut command = run::program("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(&own);
        let mut nginx = Managed::start("nginx", &mut command, Some(&own.join("nginx.log")))?;
        let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        nginx.wait_until("nginx", START, answers)?;
        Ok(Self {
            nginx,
            ffmpeg,
            url: format!("http://127.0.0.1:{port}/live.m3u8"),
        })
    }
}

/// nginx with the RTMP module, to which one ffmpeg publishes the camera.
pub(super) struct NginxRtmp {
    pub(super) nginx: Managed,
    _ffmpeg: Managed,
    pub(super) url: String,
}

impl NginxRtmp {
    pub(super) fn start(folder: &Path, camera: &str) -> anyhow::Result<Self> {
        let (port, own) = (free_port()?, folder.join("nginx-rtmp"));
        std::fs::create_dir_all(&own)?;
        let file = own.join("nginx.conf");
        std::fs::write(&file, rtmp_configuration(&own, port))?;
        let mut command = run::program("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(&own);
        let mut nginx = Managed::start("nginx", &mut command, Some(&own.join("nginx.log")))?;
        let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        nginx.wait_until("nginx", START, answers)?;
        let url = format!("rtmp://127.0.0.1:{port}/live/cam");
        let mut command = run::program("ffmpeg");
        command
            .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
            .args([
                "-fflags",
                "nobuffer",
                "-rtsp_transport",
                "tcp",
                "-i",
                camera,
            ])
            .args(["-c", "copy", "-f", "flv", &url])
            .stdout(Stdio::null());
        let ffmpeg = Managed::start("ffmpeg", &mut command, Some(&own.join("ffmpeg.log")))?;
        Ok(Self {
            nginx,
            _ffmpeg: ffmpeg,
            url,
        })
    }
}

/// As its README has it: one worker, and readers wait for a key frame.
fn rtmp_configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n\
         daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nuser root;\n\
         events {{ worker_connections 4096; }}\n\
         rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096; access_log off; \
         application live {{ live on; wait_key on; }} }} }}\n"
    )
}

/// One worker, as for one core, and files sent by the kernel.
fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nuser root;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  client_body_temp_path {folder};\n  \
         proxy_temp_path {folder};\n  fastcgi_temp_path {folder};\n  uwsgi_temp_path {folder};\n  scgi_temp_path {folder};\n  \
         server {{ listen 127.0.0.1:{port}; root {folder}; }}\n}}\n"
    )
}

/// A port that nobody listens on now.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
