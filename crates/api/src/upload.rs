//! Bodies that are files: received to the disk, taken in as recordings.

use crate::AppState;
use crate::error::ApiError;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use framewell_model::{ChannelId, ErrorKind, WallTime};
use framewell_recorder::{ImportError, Imported};
use http_body_util::BodyExt as _;
use std::time::Duration;

/// How much of a body that is too large is passed over before the answer.
const DRAIN_BYTES: usize = 16 << 20;
/// And for how long.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Receives a file whose presentation begins at `start`, and stores it.
pub(crate) async fn take_in(
    state: &AppState,
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
    let mut upload = state.importer.begin().await.map_err(|e| explain(&e))?;
    loop {
        // Its time is for each piece: a camera behind a slow line may take long for all of them.
        let next = tokio::time::timeout(state.config.body_timeout, body.frame());
        let frame = match next.await {
            Ok(Some(frame)) => frame.map_err(|_| ApiError::invalid("the body broke off"))?,
            Ok(None) => break,
            Err(_) => return Err(too_slow()),
        };
        if let Ok(bytes) = frame.into_data() {
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

fn too_slow() -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, "the body stopped arriving")
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
