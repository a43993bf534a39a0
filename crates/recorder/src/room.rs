//! How much room there is for new footage: bytes in the spool, and free bytes of its disk.
//!
//! Two limits, each with a way back that is wider than the way in, so that recording does not flicker: the
//! spool never holds more than [`RoomConfig::max_spool_bytes`], and of the disk stays free what the
//! database needs to go on writing. Who makes room is `pressure`; here is only the account.

use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// What happens when there is no room for new footage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest footage that nothing protects goes.
    DeleteOldest,
    /// New footage is refused until there is room.
    RefuseNew,
}

/// Limits of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomConfig {
    /// Most bytes that wait in the spool (default 16 GiB); 0: no limit but the disk.
    pub max_spool_bytes: u64,
    /// Bytes of the disk that stay free (default 1 GiB). Below it old footage goes, and below half of it
    /// nothing new is written; with [`WhenFull::RefuseNew`] nothing new is written below it. 0: none.
    pub min_free_bytes: u64,
    /// What happens when there is none.
    pub when_full: WhenFull,
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self {
            max_spool_bytes: 16 << 30,
            min_free_bytes: 1 << 30,
            when_full: WhenFull::DeleteOldest,
        }
    }
}

/// The account of the room.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) config: RoomConfig,
    spool_dir: PathBuf,
    /// Bytes of segments that are being written or wait to be published.
    spooled: AtomicU64,
    /// Bytes that were written to the spool since this was made.
    written: AtomicU64,
    /// Free bytes of the spool's disk when last measured.
    free: AtomicU64,
    is_refusing: AtomicBool,
    /// Rings when room has to be made.
    pub(crate) bell: Notify,
    /// One at a time decides whether new footage is refused.
    deciding: Mutex<()>,
}

impl Room {
    pub(crate) fn new(config: RoomConfig, spool_dir: &Path) -> Self {
        Self {
            config,
            spool_dir: spool_dir.to_owned(),
            spooled: AtomicU64::new(0),
            written: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
            is_refusing: AtomicBool::new(false),
            bell: Notify::new(),
            deciding: Mutex::new(()),
        }
    }

    /// The spool holds this much now.
    pub(crate) fn set_spooled(&self, bytes: u64) {
        self.spooled.store(bytes, Ordering::Release);
    }

    pub(crate) fn spooled(&self) -> u64 {
        self.spooled.load(Ordering::Acquire)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.spooled.fetch_add(bytes, Ordering::AcqRel);
        self.written.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn sub(&self, bytes: u64) {
        let less = |spooled: u64| Some(spooled.saturating_sub(bytes));
        // The closure never refuses.
        let _before = self
            .spooled
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// Free bytes of the spool's disk when last measured.
    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::Acquire)
    }

    pub(crate) fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::Release);
    }

    /// Looks how much of the spool's disk is free. Blocks as long as the file system does.
    pub(crate) fn measure(&self) {
        match free_bytes(&self.spool_dir) {
            Ok(free) => self.set_free(free),
            Err(error) => tracing::debug!(%error, "free space of the spool cannot be measured"),
        }
    }

    /// Whether this much may be written now.
    pub(crate) fn admits(&self, bytes: u64) -> bool {
        let _one = self.deciding.lock();
        let was_refusing = self.is_refusing.load(Ordering::Acquire);
        let is_refused = self.lacks(bytes, was_refusing);
        self.is_refusing.store(is_refused, Ordering::Release);
        if is_refused || self.is_short() {
            self.bell.notify_one();
        }
        !is_refused
    }

    fn lacks(&self, bytes: u64, was_refusing: bool) -> bool {
        let RoomConfig {
            max_spool_bytes,
            min_free_bytes,
            when_full,
        } = self.config;
        let mut floor = match when_full {
            WhenFull::DeleteOldest => min_free_bytes / 2,
            WhenFull::RefuseNew => min_free_bytes,
        };
        let mut most = if max_spool_bytes == 0 {
            u64::MAX
        } else {
            max_spool_bytes
        };
        if was_refusing {
            floor = floor.saturating_add(min_free_bytes / 8);
            most -= most / 16;
        }
        self.free().saturating_sub(bytes) < floor || self.spooled().saturating_add(bytes) > most
    }

    /// Whether room has to be made, on the disk or in the spool.
    fn is_short(&self) -> bool {
        self.free() < self.config.min_free_bytes || self.spool_excess() > 0
    }

    /// Bytes that have to leave the spool so that it stays below its limit: it is emptied a little further
    /// than where that begins.
    pub(crate) fn spool_excess(&self) -> u64 {
        let most = self.config.max_spool_bytes;
        let spooled = self.spooled();
        if most == 0 || spooled <= most - most / 16 {
            return 0;
        }
        spooled - (most - most / 8)
    }

    /// Bytes that have to be freed on a disk with this much free space.
    pub(crate) const fn disk_shortage(&self, free: u64) -> u64 {
        let reserve = self.config.min_free_bytes;
        if free >= reserve {
            return 0;
        }
        reserve + reserve / 8 - free
    }
}

/// Free bytes of the disk with this folder, for us.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(when_full: WhenFull) -> Room {
        let config = RoomConfig {
            max_spool_bytes: 1_600,
            min_free_bytes: 800,
            when_full,
        };
        Room::new(config, Path::new("/"))
    }

    #[test]
    fn the_spool_never_exceeds_its_limit_and_is_emptied_before_it_is_full() {
        let room = room(WhenFull::DeleteOldest);
        room.add(1_500);
        assert_eq!(room.spool_excess(), 0);
        assert!(room.admits(100));
        room.add(1);
        assert_eq!(room.spool_excess(), 101, "down to 1400");
        assert!(!room.admits(100));
        // Once it refuses, it goes on only with some room.
        room.sub(60);
        assert!(!room.admits(100));
        room.sub(60);
        assert!(room.admits(100));
        room.sub(9_999);
        assert_eq!(room.spooled(), 0);
    }

    #[test]
    fn half_of_the_reserve_is_written_to_while_old_footage_goes() {
        let room = room(WhenFull::DeleteOldest);
        assert!(room.admits(100), "nothing measured yet");
        room.set_free(799);
        assert_eq!(room.disk_shortage(799), 101);
        assert!(room.admits(399));
        assert!(!room.admits(400));
        room.set_free(500);
        assert!(!room.admits(1), "not before there is a little more");
        room.set_free(501);
        assert!(room.admits(1));
        assert_eq!(room.disk_shortage(800), 0);
    }

    #[test]
    fn where_new_footage_is_refused_the_reserve_stays_whole() {
        let room = room(WhenFull::RefuseNew);
        room.set_free(900);
        assert!(room.admits(100));
        assert!(!room.admits(101));
        assert!(!room.admits(100));
        room.set_free(1_000);
        assert!(room.admits(100));
    }

    #[test]
    fn without_limits_everything_is_admitted() {
        let config = RoomConfig {
            max_spool_bytes: 0,
            min_free_bytes: 0,
            when_full: WhenFull::RefuseNew,
        };
        let room = Room::new(config, Path::new("/"));
        room.add(1 << 60);
        room.set_free(0);
        assert!(room.admits(1));
        assert_eq!((room.spool_excess(), room.disk_shortage(0)), (0, 0));
        room.measure();
        assert!(room.free() > 0);
    }
}
