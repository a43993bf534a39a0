//! MP4 files that others upload.

use crate::within;
use framewell_fmp4::{Movie, MovieSample, top_box};

/// Two lists of samples of a day, one being made from the other, and tables on the way there.
const MOST_HELD: usize = 1_200 << 20;

/// Times of a movie rise, and nothing is shown before it is decoded.
pub fn run(data: &[u8]) {
    let (mut moov, mut moofs) = (None, Vec::new());
    let mut at = 0;
    while at < data.len() {
        let Ok(head) = top_box(&data[at..data.len().min(at + 16)]) else {
            return;
        };
        let len = head
            .len
            .map_or(Some(data.len() - at), |len| usize::try_from(len).ok());
        let Some(end) = len
            .and_then(|len| at.checked_add(len))
            .filter(|end| *end <= data.len())
        else {
            return;
        };
        match &head.name {
            b"moov" if moov.is_none() => moov = Some(&data[at..end]),
            b"moof" => moofs.push((at as u64, &data[at..end])),
            _ => {}
        }
        at = end;
    }
    let Some(moov) = moov else { return };
    let movie = within(MOST_HELD, || Movie::read(moov, moofs.into_iter()));
    let Ok(movie) = movie else { return };
    check(&movie.video);
    check(&movie.audio);
    assert!(movie.parameters.video.width > 0 && movie.parameters.video.height > 0);
}

fn check(samples: &[MovieSample]) {
    assert!(samples.is_sorted_by(|a, b| a.dts < b.dts), "times rise");
    assert!(samples.iter().all(|sample| sample.pts >= sample.dts));
}
