//! A server under everything that goes wrong at once, and the account of every picture at the end.
//!
//! Cameras with a mark in every picture ([`crate::mark`]) are recorded by a real server process on a small
//! disk, while networks are cut, cameras reset, disks filled, databases taken away and the server killed, by a
//! plan that a seed makes. At the end each picture that a camera took, whether anybody was connected or not, is
//! in an object or in a gap whose reason fits what was broken then.

mod faults;
mod report;
mod server;

pub use report::{CameraReport, Report};

use crate::account::{Account, Hole};
use crate::camera::{Camera, CameraConfig, Source, start_cameras};
use crate::clock::wall_now;
use crate::encode::ClipSpec;
use crate::mark;
use crate::small_disk::SmallDisk;
use anyhow::{Context, Result};
use faults::{Done, Faults};
use framewell_model::WallTime;
use rand::SeedableRng;
use rand::rngs::StdRng;
use server::{Channel, Server};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pictures a second; few, so that many cameras fit a small machine.
const FPS: u32 = 10;
/// A picture may lie outside a gap by as much as it lasts: wall times come from the camera's reports or from
/// arrival, its mark from its own clock.
const EDGE: Duration = Duration::from_millis(110);

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Folder with the executable `framewell`.
    pub binaries: PathBuf,
    /// Where the log of the server goes.
    pub log: PathBuf,
    /// How long things are broken.
    pub length: Duration,
    /// How many cameras.
    pub cameras: usize,
    /// Of the plan of faults.
    pub seed: u64,
    /// PostgreSQL behind a proxy that breaks too, instead of SQLite on the small disk.
    pub with_postgres: bool,
    /// MiB of the disk.
    pub disk_mib: u32,
}

/// Breaks things for a while; what became of the pictures. `say` is told each fault.
pub async fn run(plan: &Plan, mut say: impl FnMut(&str)) -> Result<Report> {
    let disk = SmallDisk::tmpfs(plan.disk_mib, 1_000_000);
    let folder = tempfile::tempdir()?;
    let data = match &disk {
        Some(disk) => disk.path().join("data"),
        None => folder.path().join("data"),
    };
    if disk.is_none() {
        say("no small disk can be mounted here: the disk is never full");
    }
    let cameras = cameras(plan.cameras).await?;
    let mut server = Server::start(plan, &data, plan.disk_mib).await?;
    let mut channels = Vec::new();
    for camera in &cameras {
        channels.push(server.create_channel(camera).await?);
    }
    server.wait_until_recording(&channels).await?;
    let mut faults = Faults::new(StdRng::seed_from_u64(plan.seed));
    let until = Instant::now() + plan.length;
    while Instant::now() < until {
        faults
            .next(&mut server, &cameras, disk.as_ref(), &mut say)
            .await?;
    }
    say("nothing is broken any more");
    server.wait_until_recording(&channels).await?;
    // What waits is published, and what is doomed is deleted: the janitor looks every 30 s.
    tokio::time::sleep(Duration::from_secs(35)).await;
    let holes = server.holes(&channels).await?;
    let end = wall_now();
    server.stop().await?;
    let mut rows = Vec::new();
    for (camera, channel) in cameras.iter().zip(&channels) {
        let holes = holes.get(&channel.id).cloned().unwrap_or_default();
        rows.push(settle(camera, channel, &data, holes, end, faults.done())?);
    }
    Ok(Report {
        rows,
        faults: faults.counts(),
    })
}

/// Small pictures with marks, each camera at its own moment.
async fn cameras(count: usize) -> Result<Vec<Camera>> {
    let spec = ClipSpec {
        width: 128,
        height: 96,
        fps: FPS,
        gop: FPS,
        frames: FPS * 4,
        ..ClipSpec::default()
    };
    let clip = tokio::task::spawn_blocking(move || spec.encode()).await??;
    let clip = Arc::new(clip.with_clock());
    let configs = (0..count).map(|index| CameraConfig {
        delay: Duration::from_millis(u64::try_from(index * 13 % 100).unwrap_or(0)),
        ..CameraConfig::new(Source::Clip(Arc::clone(&clip))).named(&format!("cam{index}"))
    });
    let cameras = start_cameras(0, configs.collect()).await?;
    for camera in &cameras {
        camera.control().mark_capture(true);
    }
    Ok(cameras)
}

/// The account of one camera.
fn settle(
    camera: &Camera,
    channel: &Channel,
    data: &Path,
    holes: Vec<Hole>,
    end: WallTime,
    done: &[Done],
) -> Result<CameraReport> {
    let folder = data.join("objects/seg").join(channel.id.to_string());
    let mut marks = Vec::new();
    read_marks(&folder, &mut marks)?;
    let earliest_gap = holes.iter().map(|hole| hole.start).min();
    let earliest = marks
        .iter()
        .copied()
        .min()
        .into_iter()
        .chain(earliest_gap)
        .min();
    let first = earliest.with_context(|| format!("nothing of {} is stored", camera.name()))?;
    // Before the first picture nothing ever was there.
    let sent = camera.truth().captures(first, end);
    marks.retain(|mark| *mark < end);
    let account = Account::of(&sent, &marks, &holes, Duration::from_micros(1), EDGE);
    let wrong = wrong_reasons(&sent, &marks, &holes, camera.name(), done);
    Ok(CameraReport {
        name: camera.name().to_owned(),
        account,
        wrong,
    })
}

/// Missing pictures whose gap has a reason that nothing that was broken explains.
fn wrong_reasons(
    sent: &[WallTime],
    marks: &[WallTime],
    holes: &[Hole],
    camera: &str,
    done: &[Done],
) -> BTreeMap<String, usize> {
    let kept: std::collections::HashSet<i64> = marks.iter().map(|mark| mark.micros()).collect();
    let mut wrong = BTreeMap::new();
    for taken in sent.iter().filter(|taken| !kept.contains(&taken.micros())) {
        let Some(hole) = holes.iter().find(|hole| hole.holds_within(*taken, EDGE)) else {
            continue;
        };
        let is_explained = done
            .iter()
            .any(|fault| fault.explains(&hole.reason, camera, hole.start, hole.end));
        if !is_explained {
            *wrong.entry(hole.reason.clone()).or_default() += 1;
        }
    }
    wrong
}

/// All marks in all files below a folder.
fn read_marks(folder: &Path, marks: &mut Vec<WallTime>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            read_marks(&path, marks)?;
            continue;
        }
        let bytes = std::fs::read(&path)?;
        let mut rest = bytes.as_slice();
        while let Some(at) = mark::find(rest) {
            let micros = mark::read(rest).context("a mark without a time")?;
            marks.push(WallTime::from_micros(micros));
            rest = &rest[at..];
        }
    }
    Ok(())
}
