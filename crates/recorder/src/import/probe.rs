//! Finding the index in a file.

use super::ImportError;
use framewell_fmp4::{Error, Movie, MovieSample, top_box};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Most bytes of a `moov`: that of a day of pictures and sound has a hundred MB.
const MAX_MOOV_BYTES: u64 = 256 << 20;
/// Most bytes of all `moof` boxes together.
const MAX_MOOF_BYTES: u64 = 256 << 20;
/// Most boxes of the top level: a day of fragments of a fifth of a second.
const MAX_BOXES: usize = 1_000_000;

/// Reads the index of a file of `len` bytes. Blocks.
pub(super) fn probe(path: &Path, len: u64) -> Result<Movie, ImportError> {
    let file = File::open(path).map_err(ImportError::Disk)?;
    let (mut moov, mut moofs, mut moof_bytes) = (None, Vec::new(), 0);
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
        match &head.name {
            b"moov" if moov.is_none() => {
                if end - at > MAX_MOOV_BYTES {
                    return Err(unusable(format!(
                        "an index of more than {MAX_MOOV_BYTES} bytes"
                    )));
                }
                moov = Some(read(&file, at, end - at)?);
            }
            b"moof" => {
                moof_bytes += end - at;
                if moof_bytes > MAX_MOOF_BYTES {
                    let text = format!("fragment headers of more than {MAX_MOOF_BYTES} bytes");
                    return Err(unusable(text));
                }
                moofs.push((at, read(&file, at, end - at)?));
            }
            _ => {}
        }
        at = end;
    }
    let moov = moov.ok_or_else(|| unusable("no moov box: it is no MP4 file, or cut off".into()))?;
    let moofs = moofs.iter().map(|(at, moof)| (*at, moof.as_slice()));
    let movie = Movie::read(&moov, moofs).map_err(ImportError::BadFile)?;
    check(&movie, len)?;
    Ok(movie)
}

/// Samples lie inside the file and do not share its bytes.
fn check(movie: &Movie, len: u64) -> Result<(), ImportError> {
    let mut total: u64 = 0;
    for sample in movie.video.iter().chain(&movie.audio) {
        let end = sample.offset.checked_add(u64::from(sample.size));
        if end.is_none_or(|end| end > len) {
            return Err(unusable("it is cut off: samples lie behind its end".into()));
        }
        total = total.saturating_add(u64::from(sample.size));
    }
    if total > len {
        return Err(unusable("its samples overlap".into()));
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
