//! Bodies that are files: received to the disk, taken in as recordings.

use crate::AppState;
use crate::error::ApiError;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use framewell_model::{ChannelId, ErrorKind, Holder, WallTime};
use framewell_recorder::{ImportError, Imported};
use http_body_util::BodyExt as _;
use std::time::{Duration, Instant};

/// How much of a body that is too large is passed over before the answer.
const DRAIN_BYTES: usize = 16 << 20;
/// And for how long.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// A body may be this much later than at its least speed.
const GRACE: Duration = Duration::from_secs(60);
/// Least bytes per second of a body: a slower one would hold its place for hours.
const LEAST_SPEED: u64 = 64 << 10;

/// Receives a file whose presentation begins at `start`, and stores it, in a place of `holder`.
pub(crate) async fn take_in(
    state: &AppState,
    holder: impl Into<Holder>,
    channel: ChannelId,
    start: WallTime,
    request: Request,
) -> Result<Imported, ApiError> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let limit = state.importer.max_bytes();
    let mut body = Body::new(request.into_body());
    if announced.is_some_and(|len| len > limit) {
        drain(&mut body).await;
        return Err(explain(&ImportError::TooLarge { limit }));
    }
    let place = state.config.uploads.take(holder);
    let _place = place.map_err(ApiError::no_place)?;
    let mut upload = state.importer.begin().await.map_err(|e| explain(&e))?;
    let (begun, mut received) = (Instant::now(), 0_u64);
    loop {
        let patience = patience(begun.elapsed(), received).ok_or_else(too_slow)?;
        // Each piece has its time, and all of them together that of the least speed.
        let limit = patience.min(state.config.body_timeout);
        let next = tokio::time::timeout(limit, body.frame());
        let frame = match next.await {
            Ok(Some(frame)) => frame.map_err(|_| ApiError::invalid("the body broke off"))?,
            Ok(None) => break,
            Err(_) => return Err(too_slow()),
        };
        if let Ok(bytes) = frame.into_data() {
            received += bytes.len() as u64;
            upload.write(&bytes).await.map_err(|e| explain(&e))?;
        }
    }
    let imported = state.importer.import(channel, start, upload).await;
    imported.map_err(|error| explain(&error))
}

/// Passes over the beginning of a body that is not wanted: most clients look for an answer only when they
/// have sent all.
async fn drain(body: &mut Body) {
    let reading = async {
        let mut passed = 0;
        while let Some(Ok(frame)) = body.frame().await {
            passed += frame.data_ref().map_or(0, bytes::Bytes::len);
            if passed > DRAIN_BYTES {
                break;
            }
        }
    };
    // What comes later than this is not waited for.
    let _in_time = tokio::time::timeout(DRAIN_TIME, reading).await;
}

/// How long a body is waited for that has brought so many bytes in this time; `None` if it is too slow.
fn patience(elapsed: Duration, received: u64) -> Option<Duration> {
    let allowed = GRACE.saturating_add(Duration::from_secs(received / LEAST_SPEED));
    allowed.checked_sub(elapsed).filter(|left| !left.is_zero())
}

fn too_slow() -> ApiError {
    ApiError::new(
        ErrorKind::InvalidArgument,
        "the body stopped arriving, or arrived too slowly",
    )
    .with_status(StatusCode::REQUEST_TIMEOUT)
}

fn explain(error: &ImportError) -> ApiError {
    let api = ApiError::of(error);
    match error {
        ImportError::TooLarge { limit } => {
            let mut api = api.with_status(StatusCode::PAYLOAD_TOO_LARGE);
            api.code = "too_large";
            api.with_detail("limit", *limit)
        }
        _ => api,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_waited_for_as_long_as_it_keeps_to_the_least_speed() {
        let left = |elapsed_s, received| patience(Duration::from_secs(elapsed_s), received);
        assert_eq!(left(0, 0), Some(GRACE));
        assert_eq!(left(59, 59), Some(Duration::from_secs(1)));
        assert_eq!((left(60, 60), left(3_600, 3_600)), (None, None));
        // A GiB has four and a half hours, and no longer.
        assert_eq!(left(16_000, 1 << 30), Some(Duration::from_secs(444)));
        assert_eq!(left(16_444, 1 << 30), None);
    }
}
