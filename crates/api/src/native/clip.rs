//! `/v1/channels/{id}/clip.mp4`.

use super::types::{ErrorBody, FileBytes};
use super::{channel_of, time_range};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::ranged::RangedFile;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use framewell_model::TimeRange;

/// Longest range that is even looked at; playback has the tighter limit on a file.
const MAX_RANGE_US: i64 = 7 * 86_400_000_000;
/// Most gaps named in the header; a line of a response has to stay short.
const MAX_GAPS: usize = 32;

const GAPS: HeaderName = HeaderName::from_static("framewell-gaps");

/// Get a clip as one MP4 file, starting at the exact frame
///
/// Nothing is transcoded: the file is laid out over the stored segments and read as it is sent. It
/// starts at the picture on screen at `start`. Holes in the recording collapse; the header
/// `Framewell-Gaps` lists them. Byte ranges work, so players can seek.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/clip.mp4",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("start" = String, Query, description = "RFC 3339 time, or a distance before now such as `-60s`"),
        ("end" = Option<String>, Query, description = "The same; now if absent"),
    ),
    responses(
        (status = 200, description = "The file", content_type = "video/mp4", body = FileBytes, headers(
            ("ETag" = String, description = "Changes if the footage in the range does"),
            ("Framewell-Gaps" = String, description = "Holes that the file skips, `start/end` separated by commas; at most 32, then `+n`"),
        )),
        (status = 206, description = "A byte range of the file", content_type = "video/mp4", body = FileBytes),
        (status = 400, description = "Bad or too long range", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no footage in the range", body = ErrorBody),
        (status = 416, description = "The byte range lies outside the file", body = ErrorBody),
        (status = 429, description = "The clips that are open now are too long in total; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn show_clip(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let channel = channel_of(&state, &caller, &id).await?;
    let range = time_range(&params, state.clock.now(), MAX_RANGE_US)?;
    let clip = state.playback.clip(channel, range).await?;
    let file = RangedFile {
        len: clip.len,
        etag: &clip.etag,
        content_type: "video/mp4",
        open: Box::new(|bytes| clip.stream(bytes)),
    };
    let mut response = file.respond(&headers)?;
    if let Some(gaps) = gaps_header(&clip.gaps) {
        response.headers_mut().insert(GAPS, gaps);
    }
    Ok(response)
}

fn gaps_header(gaps: &[TimeRange]) -> Option<HeaderValue> {
    if gaps.is_empty() {
        return None;
    }
    let mut texts: Vec<String> = gaps
        .iter()
        .take(MAX_GAPS)
        .map(|gap| format!("{}/{}", gap.start, gap.end))
        .collect();
    if gaps.len() > MAX_GAPS {
        texts.push(format!("+{}", gaps.len() - MAX_GAPS));
    }
    HeaderValue::from_str(&texts.join(",")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::WallTime;

    #[test]
    fn the_gaps_header_is_bounded() {
        let gap = TimeRange::new(WallTime::from_secs(1), WallTime::from_secs(2)).unwrap();
        assert_eq!(gaps_header(&[]), None);
        assert_eq!(
            gaps_header(&[gap]).unwrap(),
            "1970-01-01T00:00:01.000000Z/1970-01-01T00:00:02.000000Z"
        );
        let many = gaps_header(&vec![gap; 1_000]).unwrap();
        assert!(many.to_str().unwrap().ends_with(",+968"));
        assert!(many.len() < 2_000);
    }
}
