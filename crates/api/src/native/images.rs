//! `/v1/channels/{id}/images`.

use super::images_body::{self, Writer};
use super::images_params::{self, Container};
use super::push;
use super::socket::Upgrade;
use super::stream_of;
use super::types::{ErrorBody, FileBytes};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::origin::Origin;
use crate::params::{Params, query_tail};
use crate::picture;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use framewell_imaging::batch::{Batch, BatchRequest, Entry, SampleGap, What};
use framewell_model::{ChannelId, ErrorKind, TimeRange};

/// Get many pictures of a range
///
/// Chosen by one rule, sent in time order as they get ready, at any rate and over any range. No picture
/// comes twice in a row. A hole in the footage is an entry between the pictures around it; footage that
/// cannot be read or decoded is an entry too, and the rest follows. The last entry says why the answer
/// ended; every entry has a cursor behind which the same request goes on, also after a restart of the
/// server. `to` may lie ahead of now, 10 minutes at most: then the answer waits for the camera.
///
/// Without `to` the pictures are pushed as they are taken, at the rate `fps` or `every` (absent: every
/// picture), from now or from a `from` that is still in memory: as `multipart/x-mixed-replace`, or with
/// an upgrade as WebSocket, where `to` works too. There each picture is a binary message: length of a
/// JSON header as 4 bytes big endian, the header, the picture; text messages are JSON objects with a
/// `type`: `error`, `gap` or `end`.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/images",
    tag = "pictures",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("from" = Option<String>, Query, description = "Start: RFC 3339 time, or a distance from now such as `-8s`"),
        ("to" = Option<String>, Query, description = "End: the same, `now`, or ahead of now such as `+2s`. Without it the pictures go on as a live push"),
        ("every" = Option<String>, Query, description = "A picture every so often, from `from` on: `500ms`, `5s`, `2m`, `1h`"),
        ("fps" = Option<String>, Query, description = "Pictures per second, fractions too; `native`: every picture of the camera"),
        ("count" = Option<u32>, Query, description = "So many, evenly spaced over the footage of the range, the first and the last picture included"),
        ("keyframes" = Option<bool>, Query, description = "Every key frame"),
        ("scene" = Option<f32>, Query, description = "The first picture, then each one that differs from the one before by at least this much, 0 (same) to 1 (black to white)"),
        ("match" = Option<String>, Query, description = "For `every`, `fps`, `count`: `exact` (default, the picture on screen), `before`, `after`, `nearest`, or `keyframe`, which reads and decodes key frames only"),
        ("max_images" = Option<u64>, Query, description = "Ends after so many pictures"),
        ("max_bytes" = Option<u64>, Query, description = "Ends before the pictures have more bytes in all"),
        ("max_pixels" = Option<u64>, Query, description = "Ends before the pictures have more pixels in all"),
        ("cursor" = Option<String>, Query, description = "Goes on behind this place of an answer before; holds range, rule and match, which are not looked at then"),
        ("as" = Option<String>, Query, description = "`multipart` (default), `tar` (WebDataset order) or `ndjson` (a JSON object a line with a URL for each picture); or by `Accept`"),
        ("width" = Option<u32>, Query, description = "As for one picture, like all parameters of its form"),
        ("height" = Option<u32>, Query, description = "As for one picture"),
        ("format" = Option<String>, Query, description = "As for one picture"),
        ("quality" = Option<u32>, Query, description = "As for one picture"),
        ("delivery" = Option<String>, Query, description = "Push: when the client is slow, `latest` (default) keeps the newest picture, `bounded` the newest `buffer`, `all` reads on from memory; what is dropped is counted"),
        ("buffer" = Option<u32>, Query, description = "Push: pictures that wait with `delivery=bounded`, 1 to 1000; 8 if absent"),
        ("window" = Option<u32>, Query, description = "WebSocket: most pictures that the client has not acknowledged with `{\"ack\": sequence}`, 1 to 1000; absent: no acknowledgements"),
        ("max_image_bytes" = Option<u32>, Query, description = "As `max_bytes` for one picture"),
    ),
    responses(
        (status = 101, description = "WebSocket"),
        (status = 200, description = "A part for each picture with the headers of a single one and `Framewell-Cursor`; gaps, errors and the end as parts of type `application/json` with `Framewell-Entry`", content_type = "multipart/mixed", body = FileBytes),
        (status = 400, description = "Bad parameter, a range in the future, more instants than a request may name; the text says the limit", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no footage in the range", body = ErrorBody),
        (status = 429, description = "As many such answers or pushes of this token run as one token may have; see `Retry-After`", body = ErrorBody),
        (status = 503, description = "The footage cannot be looked up; the camera is not streaming, or as many such answers, pushes or live decoders run as may", body = ErrorBody),
    ),
)]
pub(crate) async fn list_images(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    if upgrade.is_some() || images_params::is_endless(&params) {
        return push::push_images(state, caller, channel, &params, upgrade).await;
    }
    let container = images_params::container(&params, &headers)?;
    let request = images_params::request(&params, channel, state.clock.now(), container)?;
    let place = state.config.batches.take(&caller.grant);
    let place = place.map_err(ApiError::no_place)?;
    let (first, batch) = start(&state, channel, request).await?;
    let writer = Writer {
        state,
        origin,
        caller,
        channel,
        form: form_query(&params, container),
        wrapping: container.into(),
    };
    Ok(images_body::respond(writer, first, batch, place))
}

/// Waits for the first entry: what fails before it is an error of the whole.
pub(crate) async fn start(
    state: &AppState,
    channel: ChannelId,
    request: BatchRequest,
) -> Result<(Entry, Batch), ApiError> {
    let range = match &request.what {
        What::Range { range, .. } => Some(*range),
        What::After(_) => None,
    };
    let batch = state.imaging.batch(request).await;
    let mut batch = batch.map_err(|error| picture::explain_ref(&error))?;
    let first = batch.next().await;
    match first {
        Some(Entry::Gap(gap)) if range.is_some_and(|range| covers(&gap, range)) => {
            Err(no_footage(state, channel, gap.range).await)
        }
        Some(Entry::End(end)) if end.reason == framewell_imaging::batch::EndReason::Unavailable => {
            Err(ApiError::new(
                ErrorKind::Unavailable,
                "the footage or the decoders are not available",
            ))
        }
        Some(first) => Ok((first, batch)),
        None => Err(ApiError::new(ErrorKind::Internal, "the batch gave nothing")),
    }
}

fn covers(gap: &SampleGap, range: TimeRange) -> bool {
    gap.range.start <= range.start && gap.range.end >= range.end
}

/// The error of a range without footage, with what is nearest.
async fn no_footage(state: &AppState, channel: ChannelId, range: TimeRange) -> ApiError {
    let found = state.imaging.nearest(channel, range).await;
    let (before, after) = match found {
        Ok(nearest) => nearest,
        Err(error) => return error.into(),
    };
    let (start, end) = (range.start, range.end);
    let what = format!("channel {channel} has no footage from {start} to {end}");
    ApiError::new(ErrorKind::NotFound, what).with_nearest(before, after)
}

/// The form of the pictures as parameters of their own URLs.
fn form_query(params: &Params, container: Container) -> String {
    if container != Container::Lines {
        return String::new();
    }
    let pairs = [
        ("width", "width"),
        ("height", "height"),
        ("fit", "fit"),
        ("crop", "crop"),
        ("format", "format"),
        ("quality", "quality"),
        ("max_image_bytes", "max_bytes"),
    ];
    query_tail(pairs.into_iter().filter_map(|(name, own)| {
        let value = params.get(name).filter(|value| !value.is_empty())?;
        Some((own, value))
    }))
}
