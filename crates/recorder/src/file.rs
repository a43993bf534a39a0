//! Writing spool files.

use bytes::Bytes;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

/// Most bytes per system call. Buffered writes of 1 MB cost several times the CPU per byte of writes
/// of 256 KiB (docs: baselines, section 7).
const WRITE_BYTES: usize = 256 << 10;
/// Most slices per system call (`IOV_MAX` of Linux).
const WRITE_SLICES: usize = 1024;

/// Creates a file, and its folder if there is none; an older file of that name is emptied.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match File::create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            File::create(path)
        }
        created => created,
    }
}

/// Writes `parts` one behind the other at `offset`, without copying them together.
pub(crate) fn write_all_at(file: &File, mut offset: u64, parts: &[Bytes]) -> io::Result<()> {
    let mut cursor = Cursor { part: 0, byte: 0 };
    let mut slices = Vec::new();
    loop {
        cursor.gather(parts, &mut slices);
        if slices.is_empty() {
            return Ok(());
        }
        let written = match rustix::io::pwritev(file, &slices, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        cursor.advance(parts, written);
        offset += written as u64;
    }
}

/// A place in a list of parts.
struct Cursor {
    part: usize,
    byte: usize,
}

impl Cursor {
    /// The slices of the next write.
    fn gather<'a>(&self, parts: &'a [Bytes], slices: &mut Vec<IoSlice<'a>>) {
        slices.clear();
        let mut room = WRITE_BYTES;
        let mut skip = self.byte;
        for part in &parts[self.part..] {
            let rest = &part[skip..];
            skip = 0;
            if rest.is_empty() {
                continue;
            }
            let slice = &rest[..rest.len().min(room)];
            slices.push(IoSlice::new(slice));
            room -= slice.len();
            if room == 0 || slices.len() == WRITE_SLICES {
                return;
            }
        }
    }

    fn advance(&mut self, parts: &[Bytes], mut written: usize) {
        while let Some(part) = parts.get(self.part) {
            let rest = part.len() - self.byte;
            if written < rest {
                self.byte += written;
                return;
            }
            written -= rest;
            self.part += 1;
            self.byte = 0;
        }
    }
}

/// All segment files of a spool folder, with the channel's folder name.
pub(crate) fn list(spool_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in std::fs::read_dir(spool_dir)? {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|e| e == "mp4") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_any_size_end_up_one_behind_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("7").join("a.mp4");
        let sizes = [
            0,
            1,
            3,
            WRITE_BYTES - 4,
            WRITE_BYTES,
            0,
            3 * WRITE_BYTES + 5,
            9,
        ];
        let parts: Vec<Bytes> = sizes
            .iter()
            .enumerate()
            .map(|(i, size)| Bytes::from(vec![i as u8 + 1; *size]))
            .chain((0..3_000).map(|i| Bytes::from(vec![(i % 251) as u8; 7])))
            .collect();
        let file = create(&path).unwrap();
        write_all_at(&file, 0, &[Bytes::from_static(b"init")]).unwrap();
        write_all_at(&file, 4, &parts).unwrap();
        let mut expected = b"init".to_vec();
        expected.extend(parts.iter().flatten());
        assert!(std::fs::read(&path).unwrap() == expected);
    }
}
