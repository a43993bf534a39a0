//! The footage: recorded by our server, and in one file for the others.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use framewell_model::WallTime;

use crate::http::Client;
use crate::server::{Entry, Options, Server};
use crate::{run, term};

/// A recording that can be asked for pictures.
pub(super) struct Recording {
    pub(super) server: Server,
    /// Folder of everything that the server keeps.
    pub(super) data: PathBuf,
    pub(super) channel: Entry,
    /// Capture time of the first picture.
    pub(super) start: WallTime,
}

impl Recording {
    /// A client with the channel's token for the native API.
    pub(super) fn client(&self) -> Client {
        Client::new(self.server.http, format!("Bearer {}", self.channel.token))
    }
}

/// The footage over and over in one MP4 file, packets untouched.
pub(super) fn long_file(source: &Path, folder: &Path, seconds: u64) -> anyhow::Result<PathBuf> {
    term::step("Writing the file for the other tools");
    let file = folder.join("long.mp4");
    let mut command = run::program("ffmpeg");
    command
        .args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-stream_loop",
            "-1",
            "-i",
        ])
        .arg(source);
    command
        .args([
            "-t",
            &seconds.to_string(),
            "-c",
            "copy",
            "-an",
            "-movflags",
            "+faststart",
        ])
        .arg(&file);
    run::expect_success(&mut command)?;
    Ok(file)
}

pub(super) fn record(
    url: &str,
    binaries: &Path,
    folder: &Path,
    seconds: u64,
) -> anyhow::Result<Recording> {
    term::step(&format!(
        "Recording {seconds} seconds of footage in real time"
    ));
    let mut server = Server::start(&Options {
        binaries: binaries.to_path_buf(),
        data: folder.join("ours"),
        http_listen: "127.0.0.1:0".to_owned(),
        rtsp_listen: "127.0.0.1:0".to_owned(),
        rtmp_listen: "127.0.0.1:0".to_owned(),
        settings: Vec::new(),
    })?;
    let channel = server.create_channel("camera", url)?;
    let acc = Client::new(server.http, format!("Acc {}", channel.token));
    // A segment longer than the range, so that its last second is published too.
    let wanted_us = i64::try_from((seconds + 15) * 1_000_000)?;
    let mut told = Instant::now();
    let mut found = None;
    server
        .process
        .wait_until("recording", Duration::from_secs(seconds + 120), || {
            found = span(&acc).ok().flatten();
            let have_us = found.map_or(0, |(start, end)| end.micros_since(start));
            if told.elapsed() > Duration::from_secs(30) {
                term::note(&format!("{} seconds are published", have_us / 1_000_000));
                told = Instant::now();
            }
            // The API is asked less often than the process is looked at.
            std::thread::sleep(Duration::from_secs(1));
            have_us >= wanted_us
        })?;
    let (start, _) = found.context("nothing was recorded")?;
    Ok(Recording {
        data: folder.join("ours"),
        server,
        channel,
        start,
    })
}

/// Start of the first and end of the last published record.
fn span(acc: &Client) -> anyhow::Result<Option<(WallTime, WallTime)>> {
    let edge = |order: &str, key: &str| -> anyhow::Result<Option<WallTime>> {
        let list = acc.json(
            "GET",
            &format!("/api/v4/storage/records/?limit=1&order_by={order}"),
            None,
        )?;
        let text = list["objects"][0][key]
            .as_str()
            .map(|text| format!("{text}Z"));
        Ok(text.map(|text| text.parse()).transpose()?)
    };
    Ok(edge("time", "start")?.zip(edge("-time", "end")?))
}
