//! A file against its manifest.

use super::{Manifest, Part};
use framewell_model::SegmentDigest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// Where a file is not what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileFault {
    /// First byte of the part.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
    /// The segment that they come from, and its time; `None`: what the server wrote around the media.
    pub segment: Option<String>,
    /// The sentence.
    pub what: String,
}

/// What a file was found to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file as it is.
    pub sha256: String,
    /// Parts that are what they were.
    pub good_parts: u64,
    /// The others.
    pub faults: Vec<FileFault>,
}

impl FileReport {
    /// Whether the file is what the server sent.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Takes a file in, and gives the hash of the whole and of each part as it ends.
#[derive(Debug)]
pub struct PartHasher {
    whole: Sha256,
    part: Sha256,
    /// Lengths of the parts that are not complete, in order.
    rest: std::collections::VecDeque<u64>,
    done: Vec<String>,
    size: u64,
}

impl PartHasher {
    /// For parts of these lengths, one behind the other.
    #[must_use]
    pub fn new(lengths: impl IntoIterator<Item = u64>) -> Self {
        let mut hasher = Self {
            whole: Sha256::new(),
            part: Sha256::new(),
            rest: lengths.into_iter().collect(),
            done: Vec::new(),
            size: 0,
        };
        hasher.close_parts();
        hasher
    }

    /// The next bytes. What lies behind the last part counts for the whole only.
    pub fn update(&mut self, mut data: &[u8]) {
        self.whole.update(data);
        self.size += data.len() as u64;
        while let Some(left) = self.rest.front_mut() {
            let take = usize::try_from(*left).map_or(data.len(), |left| left.min(data.len()));
            let (now, later) = data.split_at(take);
            self.part.update(now);
            *left -= take as u64;
            data = later;
            self.close_parts();
            if data.is_empty() {
                return;
            }
        }
    }

    fn close_parts(&mut self) {
        while self.rest.front() == Some(&0) {
            self.rest.pop_front();
            self.done.push(hex(std::mem::take(&mut self.part)));
        }
    }

    /// Size and hash of the whole, and the hashes of the complete parts.
    #[must_use]
    pub fn finish(self) -> (u64, String, Vec<String>) {
        (self.size, hex(self.whole), self.done)
    }
}

fn hex(hash: Sha256) -> String {
    SegmentDigest::new(hash.finalize().into()).to_string()
}

/// Reads a file and compares it with its manifest.
///
/// # Errors
/// Reading fails. What is wrong with the file is in the report.
pub fn check_file(manifest: &Manifest, mut file: impl Read) -> io::Result<FileReport> {
    let mut hasher = PartHasher::new(manifest.parts.iter().map(|part| part.length));
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let (size, sha256, parts) = hasher.finish();
    let mut faults: Vec<FileFault> = misplaced(manifest).into_iter().collect();
    let mut good_parts = 0;
    for (number, part) in manifest.parts.iter().enumerate() {
        match parts.get(number) {
            Some(found) if *found == part.sha256 => good_parts += 1,
            Some(_) => faults.push(fault(manifest, part, "these bytes were changed")),
            None => faults.push(fault(manifest, part, "the file ends before")),
        }
    }
    let is_whole = size == manifest.file.size && sha256 == manifest.file.sha256;
    if !is_whole && faults.is_empty() {
        faults.push(FileFault {
            offset: manifest.file.size.min(size),
            length: size.saturating_sub(manifest.file.size),
            segment: None,
            what: format!(
                "the file has {size} bytes instead of {}, or is another one",
                manifest.file.size
            ),
        });
    }
    Ok(FileReport {
        size,
        sha256,
        good_parts,
        faults,
    })
}

/// The first part that does not begin where the one before it ends.
fn misplaced(manifest: &Manifest) -> Option<FileFault> {
    let mut expected = Some(0_u64);
    for part in &manifest.parts {
        if expected != Some(part.offset) {
            let what = "the manifest's parts do not lie one behind the other";
            return Some(fault(manifest, part, what));
        }
        expected = part.offset.checked_add(part.length);
    }
    let last = manifest.parts.last()?;
    let is_beyond = expected.is_none();
    is_beyond.then(|| fault(manifest, last, "the manifest's last part has no end"))
}

fn fault(manifest: &Manifest, part: &Part, what: &str) -> FileFault {
    let segment = part.segment.and_then(|number| {
        let segment = manifest.segments.get(usize::try_from(number).ok()?)?;
        let range = &segment.range;
        Some(format!("{} ({} to {})", segment.id, range.start, range.end))
    });
    FileFault {
        offset: part.offset,
        length: part.length,
        segment,
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FileHash, Part};
    use super::*;

    /// A file of parts of 3, 0, 5 and 4 bytes.
    fn case() -> (Vec<u8>, Manifest) {
        let file = b"abcdefghijkl".to_vec();
        let lengths = [3, 0, 5, 4];
        let mut hasher = PartHasher::new(lengths);
        hasher.update(&file);
        let (size, sha256, hashes) = hasher.finish();
        assert_eq!(hashes.len(), 4);
        let mut offset = 0;
        let mut parts = Vec::new();
        for (length, sha256) in lengths.into_iter().zip(hashes) {
            parts.push(Part {
                segment: None,
                offset,
                length,
                sha256,
                ranges: Vec::new(),
            });
            offset += length;
        }
        let manifest = Manifest {
            file: FileHash { size, sha256 },
            parts,
            ..super::super::tests::manifest()
        };
        (file, manifest)
    }

    #[test]
    fn the_hash_of_a_part_does_not_depend_on_how_the_bytes_arrive() {
        let (file, manifest) = case();
        for chunk in 1..=file.len() {
            let mut hasher = PartHasher::new(manifest.parts.iter().map(|part| part.length));
            file.chunks(chunk).for_each(|bytes| hasher.update(bytes));
            let (size, sha256, parts) = hasher.finish();
            assert_eq!((size, sha256), (12, manifest.file.sha256.clone()));
            let known: Vec<_> = manifest.parts.iter().map(|part| &part.sha256).collect();
            assert_eq!(parts.iter().collect::<Vec<_>>(), known);
        }
        assert!(check_file(&manifest, &file[..]).unwrap().is_good());
    }

    #[test]
    fn every_changed_byte_is_found_in_its_part() {
        let (file, manifest) = case();
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            let report = check_file(&manifest, &changed[..]).unwrap();
            let fault = &report.faults[0];
            assert_eq!(report.faults.len(), 1);
            let at = at as u64;
            assert!(fault.offset <= at && at < fault.offset + fault.length);
        }
    }

    #[test]
    fn parts_that_overlap_or_have_no_end_are_no_proof() {
        let (file, good) = case();
        for (part, offset, length) in [(2, 2, 5), (3, u64::MAX, 4), (3, 8, u64::MAX)] {
            let mut manifest = good.clone();
            manifest.parts[part].offset = offset;
            manifest.parts[part].length = length;
            let report = check_file(&manifest, &file[..]).unwrap();
            assert!(report.faults[0].what.starts_with("the manifest's"));
        }
    }

    #[test]
    fn a_shorter_and_a_longer_file_are_found() {
        let (file, manifest) = case();
        for len in 0..file.len() {
            assert!(!check_file(&manifest, &file[..len]).unwrap().is_good());
        }
        let longer = [&file[..], b"x"].concat();
        let report = check_file(&manifest, &longer[..]).unwrap();
        assert_eq!((report.faults[0].offset, report.faults[0].length), (12, 1));
    }
}
