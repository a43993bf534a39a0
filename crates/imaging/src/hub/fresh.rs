//! Whether a channel has a picture of now.

use crate::live::is_active;
use framewell_live::{Start, Subscriber, Track, Wake};
use framewell_media::TrackKind;
use framewell_model::{WallClock, WallTime};
use std::time::Duration;

/// A newest picture that is older than this passes as "now" only if another one arrives.
const FRESH_US: i64 = 3_000_000;
/// How long a camera whose newest picture is not fresh may take to send another one. Its clock may be
/// slow: sender reports that are 10 s off are still believed.
const PROOF_OF_LIFE: Duration = Duration::from_secs(2);

/// Returns when the camera delivers; else the capture time of its last picture in memory.
pub(crate) async fn check(track: &Track, clock: &dyn WallClock) -> Result<(), Option<WallTime>> {
    let newest = track.newest_capture();
    if !is_active(track) {
        return Err(newest);
    }
    if newest.is_some_and(|wall| clock.now().micros_since(wall) <= FRESH_US) {
        return Ok(());
    }
    let mut subscriber = track.subscribe(Start::NewestKey);
    while subscriber.try_next().is_some() {}
    if track.newest_capture() != newest {
        return Ok(());
    }
    let proof = tokio::time::timeout(PROOF_OF_LIFE, another(&mut subscriber)).await;
    proof.map_err(|_| newest)
}

async fn another(subscriber: &mut Subscriber) {
    loop {
        let batch = subscriber.next(Wake::EveryUnit).await;
        if batch
            .units
            .iter()
            .any(|unit| unit.track == TrackKind::Video)
        {
            return;
        }
    }
}
