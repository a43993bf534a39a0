//! `/v1/channels/{id}/image`.

use super::types::{ErrorBody, FileBytes};
use super::{instant, picture_params, stream_of};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::picture::{self, Repeats};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use framewell_imaging::{Match, Request, When};

/// Get one picture, exact to the frame
///
/// The picture that was on screen at `at`, or another one near that instant (`match`). Without `at` it
/// is the newest live picture. What cannot be had is an error that says what is nearest, never a
/// placeholder. The same question about a recorded instant gives the same bytes, on every node and
/// after a restart. A parameter that this route does not know is an error.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/image",
    tag = "pictures",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("at" = Option<String>, Query, description = "RFC 3339 time, or a distance before now such as `-8s`, `-500ms`, `-2m`; absent or `now` for the newest live picture"),
        ("match" = Option<String>, Query, description = "`exact` (default): the picture on screen at `at`, an error in a gap; `before`: the last one captured at or before it, however long before; `after`: the first one captured at or after it; `nearest`: the nearer of these two; `keyframe`: the key frame behind the exact one, which costs one decoded frame"),
        ("width" = Option<u32>, Query, description = "Pixels, 16 to 8192; alone, keeps the aspect ratio"),
        ("height" = Option<u32>, Query, description = "Pixels, 16 to 8192; alone, keeps the aspect ratio"),
        ("fit" = Option<String>, Query, description = "With both sides given: `contain` (default) fits inside, `cover` fills and cuts off what sticks out, `fill` distorts, `pad` fits inside with black around"),
        ("crop" = Option<String>, Query, description = "`x,y,width,height`, cut out before scaling: pixels of the full picture if all four are whole numbers; if any has a decimal point, all are fractions of its width and height (`0.5,0,0.5,1` is the right half)"),
        ("format" = Option<String>, Query, description = "`jpg`, `png` or `webp`; absent: the one type in `Accept` if that names just one of them, else `jpg`"),
        ("quality" = Option<u32>, Query, description = "JPEG and WebP quality, 1 to 100; 80 if absent"),
        ("max_bytes" = Option<u32>, Query, description = "Largest file in bytes, at least 1024: quality goes down first, then the size"),
    ),
    responses(
        (status = 200, description = "The picture", content_type = "image/jpeg", body = FileBytes, headers(
            ("Framewell-Requested-Time" = String, description = "The instant that was asked for"),
            ("Framewell-Capture-Time" = String, description = "When the camera took the picture"),
            ("Framewell-Clock-Source" = String, description = "Where that time comes from: `camera_rtcp` or `server_arrival`"),
            ("Framewell-Age-Ms" = i64, description = "Now minus capture time, in ms"),
            ("Framewell-Distance-Ms" = i64, description = "Requested minus capture time, in ms; negative if the picture was captured later"),
            ("Framewell-Frame" = String, description = "Names this frame for good, live and recorded"),
            ("Framewell-Key-Frame" = bool, description = "Whether it is a key frame"),
            ("Framewell-Width" = u32, description = "Pixels"),
            ("Framewell-Height" = u32, description = "Pixels"),
            ("ETag" = String, description = "Hash of the bytes"),
        )),
        (status = 304, description = "The client has this picture (`If-None-Match`)"),
        (status = 400, description = "Bad or unknown parameter, a time in the future, a crop outside the picture, or more frames to decode than allowed (`frames` and `limit` in the error)", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no footage at that instant (`nearest_before` and `nearest_after` in the error)", body = ErrorBody),
        (status = 500, description = "The footage of that instant is missing or damaged (`segment`, `segment_start` and `segment_end` in the error)", body = ErrorBody),
        (status = 503, description = "The newest picture was asked for and the camera is not streaming (`nearest_before` in the error), or too many pictures are being made; `Retry-After` says when to ask again", body = ErrorBody),
    ),
)]
pub(crate) async fn show_image(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let mut known = vec!["at"];
    known.extend(picture_params::NAMES);
    params.only_known(&known)?;
    let form = picture_params::read_accepting(&params, &headers)?;
    let now = state.clock.now();
    let at = instant(&params, "at", now)?.filter(|_| params.get("at") != Some("now"));
    let request = Request {
        channel,
        when: at.map_or(When::Now, When::At),
        matching: form.matching,
        output: form.output,
    };
    let image = picture::fetch(&state, &request).await?;
    let repeats = repeats(&params, form.matching);
    let mut response = picture::respond(&image, repeats, state.clock.now(), &headers);
    if params.get("format").is_none_or(str::is_empty) {
        let accept = HeaderValue::from_static("accept");
        response.headers_mut().insert(header::VARY, accept);
    }
    Ok(response)
}

/// Only an absolute instant means the same later, and what comes after it may not be recorded yet.
fn repeats(params: &Params, matching: Match) -> Repeats {
    let is_absolute = params
        .get("at")
        .is_some_and(|at| at.starts_with(|c: char| c.is_ascii_digit()));
    match matching {
        Match::Exact | Match::Before | Match::Keyframe if is_absolute => Repeats::Always,
        _ => Repeats::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fixed_instant_of_the_past_repeats() {
        let of = |query: &str, matching| repeats(&Params::parse(Some(query)), matching);
        assert_eq!(of("at=2024-05-01T10:00:00Z", Match::Exact), Repeats::Always);
        assert_eq!(
            of("at=2024-05-01T10:00:00Z", Match::Nearest),
            Repeats::Never
        );
        for query in ["", "at=now", "at=-8s"] {
            assert_eq!(of(query, Match::Exact), Repeats::Never, "{query}");
        }
    }
}
