//! Finding the index in a file.

use super::ImportError;
use framewell_fmp4::{Error, Movie, MovieSample, top_box};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Most bytes of `moov` and all `moof` boxes together, which are in memory at once: the index of a day of
/// pictures has some 40 MB, of half a day with sound as much.
const MAX_INDEX_BYTES: u64 = 64 << 20;
/// Least bytes of a picture, on the average: the length and the head of a NAL unit. Fewer would be an index
/// that claims pictures, each of which costs more than it takes to send it.
const MIN_PICTURE_BYTES: u64 = 5;
/// Most boxes of the top level: a day of fragments of a fifth of a second.
const MAX_BOXES: usize = 1_000_000;

/// Reads the index of a file of `len` bytes. Blocks.
pub(super) fn probe(path: &Path, len: u64) -> Result<Movie, ImportError> {
    let file = File::open(path).map_err(ImportError::Disk)?;
    let (mut moov, mut moofs, mut index_bytes) = (None, Vec::new(), 0);
    let mut at = 0;
    for count in 0.. {
        if at >= len {
            break;
        }
        if count >= MAX_BOXES {
            return Err(unusable(format!("more than {MAX_BOXES} boxes")));
        }
        let head_len = (len - at).min(16);
        let head = read(&file, at, head_len)?;
        let head = top_box(&head).map_err(|error| not_mp4(at, error))?;
        let end = head
            .len
            .map_or(Some(len), |box_len| at.checked_add(box_len));
        let end = end
            .filter(|end| *end <= len)
            .ok_or_else(|| unusable(cut_off(head.name, at)))?;
        if matches!(&head.name, b"moov" | b"moof") {
            index_bytes += end - at;
            if index_bytes > MAX_INDEX_BYTES {
                let text = format!("an index of more than {MAX_INDEX_BYTES} bytes");
                return Err(unusable(text));
            }
        }
        match &head.name {
            b"moov" if moov.is_none() => moov = Some(read(&file, at, end - at)?),
            b"moof" => moofs.push((at, read(&file, at, end - at)?)),
            _ => {}
        }
        at = end;
    }
    let moov = moov.ok_or_else(|| unusable("no moov box: it is no MP4 file, or cut off".into()))?;
    let moofs = moofs.iter().map(|(at, moof)| (*at, moof.as_slice()));
    let movie = Movie::read(&moov, moofs).map_err(ImportError::BadFile)?;
    check(&movie.video, &movie.audio, len)?;
    Ok(movie)
}

/// Samples lie inside the file and do not share its bytes; pictures have some.
fn check(video: &[MovieSample], audio: &[MovieSample], len: u64) -> Result<(), ImportError> {
    let mut total: u64 = 0;
    for sample in video.iter().chain(audio) {
        let end = sample.offset.checked_add(u64::from(sample.size));
        if end.is_none_or(|end| end > len) {
            return Err(unusable("it is cut off: samples lie behind its end".into()));
        }
        total = total.saturating_add(u64::from(sample.size));
    }
    if total > len {
        return Err(unusable("its samples overlap".into()));
    }
    let pictures: u64 = video.iter().map(|s| u64::from(s.size)).sum();
    if pictures < MIN_PICTURE_BYTES.saturating_mul(video.len() as u64) {
        return Err(unusable("its pictures are empty".into()));
    }
    Ok(())
}

fn not_mp4(at: u64, error: Error) -> ImportError {
    if at == 0 {
        return unusable("it is no MP4 file".into());
    }
    ImportError::BadFile(error)
}

fn cut_off(name: [u8; 4], at: u64) -> String {
    let name = name.escape_ascii();
    if at == 0 && name.to_string() != "ftyp" {
        return "it is no MP4 file".into();
    }
    format!("the {name} box at byte {at} is cut off")
}

fn unusable(why: String) -> ImportError {
    ImportError::Unusable(why)
}

fn read(file: &File, at: u64, len: u64) -> Result<Vec<u8>, ImportError> {
    let len = usize::try_from(len).map_err(|_| unusable("a box larger than memory".into()))?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, at)
        .map_err(ImportError::Disk)?;
    Ok(bytes)
}

/// Reads the data of samples one behind the other into one buffer; those that lie side by side with one
/// call.
pub(super) fn read_samples(file: &File, samples: &[MovieSample]) -> io::Result<Vec<u8>> {
    let total: usize = samples.iter().map(|sample| sample.size as usize).sum();
    let mut bytes = vec![0; total];
    let (mut first, mut written) = (0, 0);
    while first < samples.len() {
        let start = samples[first].offset;
        let (mut next, mut end) = (first, start);
        while next < samples.len() && samples[next].offset == end {
            end += u64::from(samples[next].size);
            next += 1;
        }
        let len = usize::try_from(end - start).map_err(io::Error::other)?;
        file.read_exact_at(&mut bytes[written..written + len], start)?;
        written += len;
        first = next;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn box_head(name: &[u8; 4], len: u64) -> Vec<u8> {
        let len = u32::try_from(len).unwrap();
        [len.to_be_bytes(), *name].concat()
    }

    /// Why a file of boxes without content cannot be used; nothing is written but their heads.
    fn refusal(boxes: &[(&[u8; 4], u64)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        let file = File::create(&path).unwrap();
        let mut at = 0;
        for (name, len) in boxes {
            file.write_all_at(&box_head(name, *len), at).unwrap();
            at += len;
        }
        file.set_len(at).unwrap();
        probe(&path, at).unwrap_err().to_string()
    }

    #[test]
    fn a_large_index_is_not_read() {
        for boxes in [
            &[(b"moov", (64 << 20) + 1)][..],
            &[(b"moov", 1 << 20), (b"moof", (63 << 20) + 8)],
            &[(b"moof", 32 << 20), (b"moof", (32 << 20) + 1)],
        ] {
            let error = refusal(boxes);
            assert!(error.contains("an index of more than"), "{error}");
        }
    }

    #[test]
    fn pictures_have_bytes() {
        let sample = MovieSample {
            offset: 0,
            size: 1,
            dts: 0,
            pts: 0,
            duration: 1,
            is_key: true,
        };
        let error = check(&[sample; 100], &[], 1_000).unwrap_err().to_string();
        assert!(error.contains("empty"), "{error}");
        // Sound may have a byte a sample, and a picture that was dropped none.
        let whole = MovieSample { size: 10, ..sample };
        let none = MovieSample { size: 0, ..sample };
        check(&[whole, none], &[sample; 100], 1_000).unwrap();
    }
}
