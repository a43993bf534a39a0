//! Pictures for both faces and for media URLs.

use crate::AppState;
use crate::error::ApiError;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use framewell_imaging::{Error, Image, Match, Output, Request, When};
use framewell_model::{ChannelId, WallTime};
use sha2::{Digest, Sha256};

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

/// The error in the words of the API, with what is nearest.
pub(crate) fn explain_ref(error: &Error) -> ApiError {
    let api = ApiError::of(error);
    match error {
        Error::NotLive { newest, .. } => api.with_nearest(*newest, None),
        Error::Footage(framewell_footage::Error::NoFootage { before, after, .. }) => {
            api.with_nearest(*before, *after)
        }
        // Whether the queue is full, the bitstream broken or the size absurd is for the caller to know.
        Error::Decode { source, .. }
            if !matches!(source, framewell_imaging::DecodeError::Start { .. }) =>
        {
            let mut api = api;
            api.message = format!("{}: {source}", api.message);
            api
        }
        _ => api,
    }
}

/// `ETag` of some bytes: equal bytes, equal tag, on every node and at any time.
pub(crate) fn content_tag(data: &[u8]) -> String {
    let digest = Sha256::digest(data);
    let hex: String = digest[..16].iter().map(|b| format!("{b:02x}")).collect();
    format!("\"{hex}\"")
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

/// The picture with the truth about its time in the headers. A recorded picture may be kept by the
/// client, a live one may not.
pub(crate) fn respond(image: &Image, now: WallTime, request: &HeaderMap) -> Response {
    let mut headers = truth(image, now);
    if image.is_live {
        set(&mut headers, "cache-control", "no-store");
    } else {
        let tag = content_tag(&image.data);
        set(&mut headers, "etag", &tag);
        set(&mut headers, "cache-control", "private, max-age=3600");
        let known = request.get(header::IF_NONE_MATCH);
        let known = known.and_then(|value| value.to_str().ok());
        if known.is_some_and(|tags| crate::ranged::matches_tag(tags, &tag)) {
            headers.remove(header::CONTENT_TYPE);
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
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
        let response = respond(&image(false), WallTime::from_secs(12), &HeaderMap::new());
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
    }

    #[test]
    fn a_recorded_picture_is_revalidated_and_a_live_one_never_kept() {
        let now = WallTime::from_secs(12);
        let first = respond(&image(false), now, &HeaderMap::new());
        let mut again = HeaderMap::new();
        again.insert(header::IF_NONE_MATCH, first.headers()["etag"].clone());
        assert_eq!(
            respond(&image(false), now, &again).status(),
            StatusCode::NOT_MODIFIED
        );
        let live = respond(&image(true), now, &again);
        assert_eq!(live.status(), StatusCode::OK);
        assert_eq!(live.headers()["cache-control"], "no-store");
        assert!(!live.headers().contains_key("etag"));
    }
}
