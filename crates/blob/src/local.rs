//! Moving a finished file into a local folder so that it survives a power cut.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A folder that the clean-up of an old object removes between "made" and "renamed into" is made
/// again this often. Old and new objects rarely share a folder, so one round is the rule.
const FOLDER_RACES: usize = 100;

/// Makes `from` durable, moves it to `to` (below `root`) and makes the move durable. Replaces `to`.
pub(crate) fn move_in(from: &Path, to: &Path, root: &Path, suspects: &Suspects) -> io::Result<()> {
    suspects.sync(from)?;
    let folder = to
        .parent()
        .ok_or_else(|| io::Error::other("an object key has a folder"))?;
    let mut races = 0;
    loop {
        let moved = create_folders(folder, root).and_then(|()| rename_or_copy(from, to));
        match moved {
            Ok(()) => break,
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && races < FOLDER_RACES
                    && from.try_exists()? =>
            {
                races += 1;
            }
            Err(error) => return Err(error),
        }
    }
    sync_folder(folder)
}

/// Files of which a sync has failed. The kernel tells that once; what it could not write counts as written
/// then, also after it was written again in the same place, and the next sync says that all is well. Such a
/// file is copied before it is trusted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Suspects(Arc<Mutex<HashSet<PathBuf>>>);

impl Suspects {
    fn has(&self, path: &Path) -> bool {
        self.0.lock().is_ok_and(|paths| paths.contains(path))
    }

    fn set(&self, path: &Path, is_suspect: bool) {
        if let Ok(mut paths) = self.0.lock() {
            if is_suspect {
                paths.insert(path.to_owned());
            } else {
                paths.remove(path);
            }
        }
    }

    /// Makes the file durable.
    fn sync(&self, path: &Path) -> io::Result<()> {
        if self.has(path) {
            let copy = copy_of(path);
            let copied = fs::copy(path, &copy)
                .and_then(|_| sync_file(&copy))
                .and_then(|()| fs::rename(&copy, path));
            if let Err(error) = copied {
                // It takes room from others and is of no use; one that cannot be removed is overwritten.
                let _removed = fs::remove_file(&copy);
                return Err(error);
            }
            self.set(path, false);
            return Ok(());
        }
        let synced = sync_file(path);
        if synced
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        {
            self.set(path, true);
        }
        synced
    }
}

fn copy_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".copy");
    PathBuf::from(name)
}

fn sync_file(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    count_sync();
    file.sync_data()
}

fn count_sync() {
    metrics::counter!("framewell_blob_syncs_total").increment(1);
}

/// Like `create_dir_all` below `root`, and each new folder's name is durable in its parent.
fn create_folders(folder: &Path, root: &Path) -> io::Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    let parent = folder
        .parent()
        .ok_or_else(|| io::Error::other("a folder of the store lies below its root"))?;
    create_folders(parent, root)?;
    match fs::create_dir(folder) {
        Ok(()) => sync_folder(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A rename cannot cross file systems; then the file is copied beside its place and renamed there.
fn rename_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_in(from, to),
        done => done,
    }
}

/// Writes `data` beside `to` (below `root`), makes it durable, renames it there and makes that durable.
/// Replaces `to`.
pub(crate) fn write_in(data: &[u8], to: &Path, root: &Path) -> io::Result<()> {
    let part = part_of(to);
    let folder = to
        .parent()
        .ok_or_else(|| io::Error::other("an object key has a folder"))?;
    let mut races = 0;
    loop {
        let written = create_folders(folder, root)
            .and_then(|()| fs::write(&part, data))
            .and_then(|()| sync_file(&part))
            .and_then(|()| fs::rename(&part, to));
        match written {
            Ok(()) => return sync_folder(folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound && races < FOLDER_RACES => {
                races += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What a crash in the middle of a put leaves. The name depends on the target alone, so that a repeated
/// put overwrites it and a delete of the object finds it.
pub(crate) fn part_of(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Opens what becomes `to` (below `root`), empty, in a folder that is there.
pub(crate) fn create_part(to: &Path, root: &Path) -> io::Result<File> {
    let part = part_of(to);
    let folder = to
        .parent()
        .ok_or_else(|| io::Error::other("an object key has a folder"))?;
    let mut races = 0;
    loop {
        match create_folders(folder, root).and_then(|()| File::create(&part)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && races < FOLDER_RACES => {
                races += 1;
            }
            opened => return opened,
        }
    }
}

/// Makes what was written there durable and gives it its name.
pub(crate) fn finish_part(part: &File, to: &Path) -> io::Result<()> {
    part.sync_data()?;
    fs::rename(part_of(to), to)?;
    match to.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

fn copy_in(from: &Path, to: &Path) -> io::Result<()> {
    let part = part_of(to);
    fs::copy(from, &part)?;
    sync_file(&part)?;
    fs::rename(&part, to)?;
    fs::remove_file(from)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(opened) => {
            count_sync();
            opened.sync_all()
        }
        // Emptied and removed by a delete meanwhile: nothing left to make durable.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_in_leaves_the_object_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("spooled"), dir.path().join("object"));
        fs::write(&from, b"footage").unwrap();
        copy_in(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"footage");
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["object"]);
    }
}
