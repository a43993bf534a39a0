//! `/v1/channels/{id}/image`.

use super::types::{ErrorBody, FileBytes};
use super::{channel_of, instant};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::picture;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use framewell_imaging::{Match, Output, Request, When};

/// Largest picture side in pixels that can be asked for.
const MAX_SIDE: u32 = 8_192;

/// Get the picture of an instant, exact to the frame
///
/// The answer is the picture that was on screen at `at`: the last one captured at or before it.
/// Without `at` it is the newest live picture. What cannot be had is an error that says what is
/// nearest, never a placeholder.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/image",
    tag = "pictures",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("at" = Option<String>, Query, description = "RFC 3339 time, or a distance before now such as `-8s`, `-500ms`, `-2m`; absent for the newest live picture"),
        ("width" = Option<u32>, Query, description = "Pixels; alone, keeps the aspect ratio"),
        ("height" = Option<u32>, Query, description = "Pixels; alone, keeps the aspect ratio"),
        ("quality" = Option<u32>, Query, description = "JPEG quality, 1 to 100; 80 if absent"),
    ),
    responses(
        (status = 200, description = "JPEG", content_type = "image/jpeg", body = FileBytes, headers(
            ("Framewell-Requested-Time" = String, description = "The instant that was asked for"),
            ("Framewell-Capture-Time" = String, description = "When the camera took the picture"),
            ("Framewell-Clock-Source" = String, description = "Where that time comes from: `camera_rtcp` or `server_arrival`"),
            ("Framewell-Age-Ms" = i64, description = "Now minus capture time, in ms"),
            ("Framewell-Distance-Ms" = i64, description = "Requested minus capture time, in ms"),
            ("ETag" = String, description = "Hash of the bytes; recorded pictures only"),
        )),
        (status = 304, description = "The client has this picture (`If-None-Match`)"),
        (status = 400, description = "Bad parameter, or a time in the future", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no footage at that instant", body = ErrorBody),
        (status = 429, description = "Too many pictures are being made", body = ErrorBody),
        (status = 503, description = "The newest picture was asked for and the camera is not streaming", body = ErrorBody),
    ),
)]
pub(crate) async fn show_image(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let channel = channel_of(&state, &caller, &id).await?;
    let now = state.clock.now();
    let at = instant(&params, "at", now)?.filter(|_| params.get("at") != Some("now"));
    if at.is_some_and(|at| at > now) {
        return Err(ApiError::invalid("at lies in the future"));
    }
    let request = Request {
        channel,
        when: at.map_or(When::Now, When::At),
        matching: Match::Exact,
        output: Output {
            width: side(&params, "width")?,
            height: side(&params, "height")?,
            ..Output::jpeg(quality(&params)?)
        },
    };
    let image = picture::fetch(&state, &request).await?;
    Ok(picture::respond(&image, state.clock.now(), &headers))
}

fn side(params: &Params, name: &str) -> Result<Option<u32>, ApiError> {
    match params.number::<u32>(name)? {
        Some(side) if !(1..=MAX_SIDE).contains(&side) => Err(ApiError::invalid(format!(
            "{name} is not between 1 and {MAX_SIDE}"
        ))),
        side => Ok(side),
    }
}

fn quality(params: &Params) -> Result<u8, ApiError> {
    match params.number::<u8>("quality")? {
        None => Ok(picture::DEFAULT_QUALITY),
        Some(quality) if (1..=100).contains(&quality) => Ok(quality),
        Some(_) => Err(ApiError::invalid("quality is not between 1 and 100")),
    }
}
