//! Pictures for both faces and for media URLs.

use crate::AppState;
use crate::error::ApiError;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use framewell_imaging::{ContentHash, DecodeError, Error, Image, Match, Output, Request, When};
use framewell_model::{ChannelId, ErrorKind, WallTime};

/// JPEG quality where nobody asks for another.
pub(crate) const DEFAULT_QUALITY: u8 = 80;

/// The newest live picture at full size.
pub(crate) const fn newest(channel: ChannelId) -> Request {
    Request {
        channel,
        when: When::Now,
        matching: Match::Exact,
        output: Output::jpeg(DEFAULT_QUALITY),
    }
}

/// Makes a picture; an error says what is nearest.
pub(crate) async fn fetch(state: &AppState, request: &Request) -> Result<Image, ApiError> {
    state
        .imaging
        .image(request)
        .await
        .map_err(|error| explain_ref(&error))
}

/// The error in the words of the API, with what is nearest, or which number was the limit.
pub(crate) fn explain_ref(error: &Error) -> ApiError {
    let api = ApiError::of(error);
    match error {
        Error::NotLive { newest, .. } => api.with_nearest(*newest, None),
        Error::Footage(framewell_footage::Error::NoFootage { before, after, .. }) => {
            api.with_nearest(*before, *after)
        }
        Error::Footage(footage) => match footage.place() {
            Some(place) => api
                .with_detail("segment", place.segment.to_string())
                .with_detail("segment_start", place.range.start.to_rfc3339())
                .with_detail("segment_end", place.range.end.to_rfc3339()),
            None => api,
        },
        Error::TooCostly { frames, limit, .. } => api
            .with_detail("frames", *frames)
            .with_detail("limit", *limit),
        Error::Decode { source, .. } => of_decoder(api, source),
        // Whose share it is has been looked at before: this is the server's own limit.
        Error::TooManyBatches(limit) => {
            ApiError::new(ErrorKind::Unavailable, api.message).with_detail("limit", *limit)
        }
        _ => api,
    }
}

/// Whether the queue is full, the bitstream broken or the size absurd is for the caller to know.
fn of_decoder(api: ApiError, error: &DecodeError) -> ApiError {
    match error {
        DecodeError::Invalid(why) => ApiError::invalid(why.clone()),
        DecodeError::Start { .. } => api,
        _ => {
            let message = format!("{}: {error}", api.message);
            ApiError { message, ..api }
        }
    }
}

/// `ETag` of some bytes: equal bytes, equal tag, on every node and at any time.
pub(crate) fn content_tag(data: &[u8]) -> String {
    format!("\"{}\"", ContentHash::of(data))
}

/// What a picture says about itself: times, where they come from, which frame it is, its encoding. The
/// same for an answer of its own and for a part of a longer one.
pub(crate) fn truth(image: &Image, now: WallTime) -> HeaderMap {
    let age_ms = now.micros_since(image.captured) / 1_000;
    let distance_ms = image.requested.micros_since(image.captured) / 1_000;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", image.format.media_type().to_owned()),
        ("framewell-requested-time", image.requested.to_rfc3339()),
        ("framewell-capture-time", image.captured.to_rfc3339()),
        ("framewell-clock-source", image.clock.as_str().to_owned()),
        ("framewell-age-ms", age_ms.to_string()),
        ("framewell-distance-ms", distance_ms.to_string()),
        ("framewell-frame", image.frame.to_string()),
        ("framewell-key-frame", image.is_key.to_string()),
        ("framewell-width", image.width.to_string()),
        ("framewell-height", image.height.to_string()),
    ] {
        set(&mut headers, name, &value);
    }
    headers
}

/// Sets a header; a value that cannot stand in one is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Whether the same question gets the same picture later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// It does: an instant by its absolute time.
    Always,
    /// The next time it may be another one: now, or so long ago, or what comes after.
    Never,
}

/// The picture with the truth about its time in the headers, and a tag made of its bytes. A recorded
/// picture of a fixed instant may be kept by the client; any other has to be asked for again, which
/// costs no bytes if it is the same (RFC 9110 section 13.1.2).
pub(crate) fn respond(
    image: &Image,
    repeats: Repeats,
    now: WallTime,
    request: &HeaderMap,
) -> Response {
    let mut headers = truth(image, now);
    let tag = content_tag(&image.data);
    set(&mut headers, "etag", &tag);
    let may_keep = repeats == Repeats::Always && !image.is_live;
    let control = if may_keep {
        "private, max-age=3600"
    } else {
        "private, no-cache"
    };
    set(&mut headers, "cache-control", control);
    let known = request.get(header::IF_NONE_MATCH);
    let known = known.and_then(|value| value.to_str().ok());
    if known.is_some_and(|tags| crate::ranged::matches_tag(tags, &tag)) {
        headers.remove(header::CONTENT_TYPE);
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, image.data.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_imaging::PictureFormat;
    use framewell_model::{ClockSource, FrameId};

    fn image(is_live: bool) -> Image {
        Image {
            data: Bytes::from_static(b"jpeg"),
            width: 4,
            height: 2,
            requested: WallTime::from_micros(10_500_000),
            captured: WallTime::from_micros(10_460_000),
            clock: ClockSource::CameraRtcp,
            is_live,
            format: PictureFormat::Jpeg { quality: 80 },
            frame: FrameId {
                run: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
                ticks: 900,
            },
            is_key: false,
        }
    }

    #[test]
    fn headers_tell_the_truth_about_the_time() {
        let response = respond(
            &image(false),
            Repeats::Always,
            WallTime::from_secs(12),
            &HeaderMap::new(),
        );
        let headers = response.headers();
        assert_eq!(
            headers["framewell-requested-time"],
            "1970-01-01T00:00:10.500000Z"
        );
        assert_eq!(
            headers["framewell-capture-time"],
            "1970-01-01T00:00:10.460000Z"
        );
        assert_eq!(headers["framewell-clock-source"], "camera_rtcp");
        assert_eq!(headers["framewell-age-ms"], "1540");
        assert_eq!(headers["framewell-distance-ms"], "40");
        assert_eq!(headers["content-type"], "image/jpeg");
        assert_eq!(headers["framewell-key-frame"], "false");
    }

    #[test]
    fn any_picture_is_revalidated_by_its_bytes_and_only_a_fixed_one_is_kept() {
        let now = WallTime::from_secs(12);
        for (is_live, repeats, control) in [
            (false, Repeats::Always, "private, max-age=3600"),
            (false, Repeats::Never, "private, no-cache"),
            (true, Repeats::Always, "private, no-cache"),
        ] {
            let first = respond(&image(is_live), repeats, now, &HeaderMap::new());
            assert_eq!(first.headers()["cache-control"], control);
            let mut again = HeaderMap::new();
            again.insert(header::IF_NONE_MATCH, first.headers()["etag"].clone());
            let second = respond(&image(is_live), repeats, now, &again);
            assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
            again.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
            let third = respond(&image(is_live), repeats, now, &again);
            assert_eq!(third.status(), StatusCode::OK);
        }
    }

    #[test]
    fn errors_say_which_number_was_the_limit_and_what_is_damaged() {
        let channel = ChannelId::new(7).unwrap();
        let costly = explain_ref(&Error::TooCostly {
            channel,
            frames: 2_310,
            limit: 2_000,
        });
        assert_eq!(costly.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            (&costly.details["frames"], &costly.details["limit"]),
            (&2_310.into(), &2_000.into())
        );
        assert!(costly.message.contains("2310") && costly.message.contains("2000"));
        let decode = |source| explain_ref(&Error::Decode { channel, source });
        let crop = decode(DecodeError::Invalid(
            "the crop reaches outside of 640x360".into(),
        ));
        assert_eq!(
            (crop.status, crop.message.as_str()),
            (
                StatusCode::BAD_REQUEST,
                "the crop reaches outside of 640x360"
            )
        );
        let broken = decode(DecodeError::Bitstream("no key frame".into()));
        assert_eq!(broken.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(broken.message.contains("no key frame"));
        assert_eq!(
            decode(DecodeError::Busy).status,
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
}
