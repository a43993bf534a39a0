//! Real file systems that are small: full means full.
//!
//! They need the right to mount, which root has and containers may not. [`SmallDisk::tmpfs`] and
//! [`SmallDisk::thin`] are `None` then, with a line that says so: a test has to leave the rest out.

#![expect(
    clippy::print_stderr,
    reason = "a test that leaves something out says so where its other output is"
)]

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// How often filling is begun again because others have written since the room was measured.
const FILL_ATTEMPTS: u32 = 100;

/// A mounted file system; it goes with this value.
#[derive(Debug)]
pub struct SmallDisk {
    /// The disk itself last; below a thin one lies another.
    mounts: Vec<PathBuf>,
    folder: TempDir,
}

impl SmallDisk {
    /// In memory, with this many MiB and files; `None` where this process may not mount.
    #[must_use]
    pub fn tmpfs(mib: u32, most_files: u32) -> Option<Self> {
        said(Self::mounted(mib, most_files))
    }

    fn mounted(mib: u32, most_files: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mount = folder.path().join("disk");
        std::fs::create_dir(&mount)?;
        let options = format!("size={mib}m,nr_inodes={most_files},mode=755");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&mount))?;
        Ok(Self {
            mounts: vec![mount],
            folder,
        })
    }

    /// An ext4 that takes itself for one of 64 MiB and has `mib` of them, as volumes do that are sold more
    /// than once: writes succeed, and the sync that follows does not.
    #[must_use]
    pub fn thin(mib: u32) -> Option<Self> {
        said(Self::thin_mounted(mib))
    }

    fn thin_mounted(mib: u32) -> Result<Self> {
        let mut disk = Self::mounted(mib, 16)?;
        let image = disk.path().join("image");
        File::create(&image)?.set_len(64 << 20)?;
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-O", "^has_journal"])
            .arg(&image))?;
        let mount = disk.folder.path().join("thin");
        std::fs::create_dir(&mount)?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&mount))?;
        disk.mounts.push(mount);
        Ok(disk)
    }

    /// Its root folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.mounts.last().map_or(Path::new("/"), PathBuf::as_path)
    }

    /// Gives it so many MiB, and files without number: a tmpfs itself, a thin disk what is below it.
    pub fn grow(&self, mib: u32) -> Result<()> {
        run(Command::new("mount")
            .args(["-o", &format!("remount,size={mib}m,nr_inodes=1000000")])
            .args(self.mounts.first()))
    }

    /// Fills it to the last byte, as somebody else would, but for `spare` bytes; the file that does.
    pub fn fill(&self, spare: u64) -> Result<PathBuf> {
        let path = self.path().join("somebody-elses");
        let mut filled = Ok(());
        for _ in 0..FILL_ATTEMPTS {
            let bytes = self.free()?.saturating_sub(spare).max(1);
            filled = run(Command::new("fallocate")
                .args(["-l", &bytes.to_string()])
                .arg(&path));
            if filled.is_ok() {
                break;
            }
        }
        filled.map(|()| path)
    }

    /// Bytes that are free.
    fn free(&self) -> Result<u64> {
        let output = Command::new("df")
            .args(["--output=avail", "-B1"])
            .arg(self.path())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace()
            .last()
            .and_then(|word| word.parse().ok())
            .with_context(|| format!("no number in {text:?}"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        while let Some(mount) = self.mounts.pop() {
            // Lazily: whoever has a file open there keeps it until the end.
            if let Err(error) = run(Command::new("umount").arg("-l").arg(&mount)) {
                tracing::warn!("{error:#}");
            }
        }
    }
}

fn said(disk: Result<SmallDisk>) -> Option<SmallDisk> {
    disk.inspect_err(|error| eprintln!("LEFT OUT, no file system could be mounted: {error:#}"))
        .ok()
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} did not run"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Write as _};

    #[test]
    fn a_small_disk_is_full_at_its_size_and_has_room_when_it_grows() {
        let Some(disk) = SmallDisk::tmpfs(2, 100) else {
            return;
        };
        disk.fill(64 << 10).unwrap();
        let mut file = File::create(disk.path().join("ours")).unwrap();
        let full = file.write_all(&vec![1; 1 << 20]).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        disk.grow(4).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        let mount = disk.path().to_owned();
        drop(file);
        drop(disk);
        assert!(!mount.exists());
    }

    #[test]
    fn a_thin_disk_takes_more_than_it_has_and_fails_to_sync() {
        let Some(disk) = SmallDisk::thin(6) else {
            return;
        };
        let mut file = File::create(disk.path().join("ours")).unwrap();
        file.write_all(&vec![1; 12 << 20]).unwrap();
        assert!(file.sync_data().is_err());
    }
}
