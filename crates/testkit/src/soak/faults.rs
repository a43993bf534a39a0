//! What is broken, when, and which gaps that explains.

use super::server::Server;
use crate::camera::Camera;
use crate::clock::wall_now;
use crate::proxy::Fault;
use crate::small_disk::SmallDisk;
use anyhow::Result;
use framewell_model::WallTime;
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a fault does may show so much later: a camera is connected again, a retry comes, a server has
/// recovered.
const LATER_US: i64 = 45_000_000;
/// And a segment that goes for a newer one may be older than the fault.
const EARLIER_US: i64 = 5_000_000;

/// What can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    CameraUnplugged,
    CameraReset,
    ServerKilled,
    DiskFilled,
    DatabaseAway,
    DatabaseStalled,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::CameraUnplugged => "camera unplugged",
            Self::CameraReset => "camera reset",
            Self::ServerKilled => "server killed",
            Self::DiskFilled => "disk filled",
            Self::DatabaseAway => "database away",
            Self::DatabaseStalled => "database stalled",
        }
    }

    /// Reasons of gaps that it may have.
    const fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::CameraUnplugged | Self::CameraReset => &["camera_offline"],
            Self::ServerKilled => &["server_down", "camera_offline", "unknown"],
            Self::DiskFilled => &[
                "storage_full",
                "storage_failed",
                "recorder_lagged",
                // The server does not start on a full disk.
                "server_down",
            ],
            Self::DatabaseAway | Self::DatabaseStalled => &["server_down"],
        }
    }
}

/// Something that was broken.
#[derive(Debug, Clone)]
pub(super) struct Done {
    kind: Kind,
    camera: Option<String>,
    start: WallTime,
    end: WallTime,
}

impl Done {
    /// Whether a gap of a camera may be its doing.
    pub(super) fn explains(
        &self,
        reason: &str,
        camera: &str,
        start: WallTime,
        end: Option<WallTime>,
    ) -> bool {
        // A small disk is full now and then without any doing.
        if reason == "storage_full" {
            return true;
        }
        self.kind.reasons().contains(&reason)
            && self.camera.as_deref().is_none_or(|name| name == camera)
            && start.micros_since(self.end) <= LATER_US
            && end.is_none_or(|end| self.start.micros_since(end) <= EARLIER_US)
    }
}

/// The plan, made as it goes.
pub(super) struct Faults {
    random: StdRng,
    done: Vec<Done>,
}

impl Faults {
    pub(super) const fn new(random: StdRng) -> Self {
        Self {
            random,
            done: Vec::new(),
        }
    }

    pub(super) fn done(&self) -> &[Done] {
        &self.done
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for fault in &self.done {
            *counts.entry(fault.kind.name()).or_default() += 1;
        }
        counts
    }

    /// Waits a while, breaks something for a while, and mends it.
    pub(super) async fn next(
        &mut self,
        server: &mut Server,
        cameras: &[Camera],
        disk: Option<&SmallDisk>,
        say: &mut impl FnMut(&str),
    ) -> Result<()> {
        self.pause(2_000..9_000).await;
        let kind = self.pick(server, disk);
        let camera = &cameras[self.random.random_range(0..cameras.len())];
        let is_of_camera = matches!(kind, Kind::CameraUnplugged | Kind::CameraReset);
        let camera_name = is_of_camera.then(|| camera.name().to_owned());
        say(&match &camera_name {
            Some(name) => format!("{} ({name})", kind.name()),
            None => kind.name().to_owned(),
        });
        let start = wall_now();
        self.breaks(kind, server, camera, disk).await?;
        self.done.push(Done {
            kind,
            camera: camera_name,
            start,
            end: wall_now(),
        });
        Ok(())
    }

    fn pick(&mut self, server: &Server, disk: Option<&SmallDisk>) -> Kind {
        let mut kinds = vec![
            Kind::CameraUnplugged,
            Kind::CameraUnplugged,
            Kind::CameraReset,
            Kind::CameraReset,
            Kind::ServerKilled,
        ];
        if disk.is_some() {
            kinds.push(Kind::DiskFilled);
        }
        if server.proxy().is_some() {
            kinds.extend([Kind::DatabaseAway, Kind::DatabaseStalled]);
        }
        kinds[self.random.random_range(0..kinds.len())]
    }

    async fn breaks(
        &mut self,
        kind: Kind,
        server: &mut Server,
        camera: &Camera,
        disk: Option<&SmallDisk>,
    ) -> Result<()> {
        match kind {
            Kind::CameraUnplugged => {
                camera.control().set_unplugged(true);
                self.pause(1_000..8_000).await;
                camera.control().set_unplugged(false);
            }
            Kind::CameraReset => camera.control().reset(),
            Kind::ServerKilled => {
                server.kill().await?;
                self.pause(0..3_000).await;
                server.start_again().await?;
            }
            Kind::DiskFilled => {
                let Some(disk) = disk else { return Ok(()) };
                let spare = self.random.random_range(0..4u64) << 18;
                let file = disk.fill(spare)?;
                self.pause(3_000..10_000).await;
                // Or in the middle of it.
                let dies = self.random.random_bool(0.3);
                if dies {
                    server.kill().await?;
                }
                std::fs::remove_file(file)?;
                if dies {
                    server.start_again().await?;
                }
            }
            Kind::DatabaseAway | Kind::DatabaseStalled => {
                let Some(proxy) = server.proxy().cloned() else {
                    return Ok(());
                };
                proxy.set(match kind {
                    Kind::DatabaseStalled => Fault::Stall,
                    _ => Fault::Refuse,
                });
                self.pause(2_000..8_000).await;
                proxy.set(Fault::None);
            }
        }
        Ok(())
    }

    async fn pause(&mut self, millis: std::ops::Range<u64>) {
        let millis = self.random.random_range(millis);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}
