//! `/v1/channels/{id}/hls`.

use super::types::{ErrorBody, RecordedHlsView};
use super::{instant, stream_of};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use framewell_model::{TimeRange, WallTime};
use framewell_playback::hls::recorded::{Kind, Span};

/// Longest range: what a playlist holds.
const MAX_RANGE_US: i64 = 7 * 86_400_000_000;
/// A span without an end can be watched so long.
const OPEN_END_US: i64 = 86_400_000_000;
/// One that begins so long ago has an end in its URL, as far away as its ticket lasts: how long its segments
/// are goes by the length of the whole.
const LONG_OPEN_US: i64 = 6 * 3_600_000_000;

/// Get a URL to play recorded footage over HLS
///
/// The URL carries a ticket that lasts as long as the footage takes to watch, and `http.ticket_lifetime_s`
/// on top. With an `end` that has passed it is a VOD playlist. Else it is an EVENT playlist that grows while
/// the camera is recorded, up to `end` if there is one. `EXT-X-PROGRAM-DATE-TIME` says when each segment was
/// captured, `EXT-X-DISCONTINUITY` where footage is missing or the camera's settings changed.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/hls",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("start" = String, Query, description = "RFC 3339 time, or a distance from now such as `-1h`"),
        ("end" = Option<String>, Query, description = "The same; if absent, the playlist goes on. At most 7 days after start"),
        ("redirect" = Option<bool>, Query, description = "Answer 302 to the playlist, for players that are given this URL"),
    ),
    responses(
        (status = 200, description = "The URL", body = RecordedHlsView),
        (status = 302, description = "To the playlist, with `redirect=true`"),
        (status = 400, description = "Bad or too long range", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn show_recorded_hls(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only_known(&["start", "end", "redirect"])?;
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let now = state.clock.now();
    let span = span(&params, now)?;
    let kind = span.kind(now);
    let links =
        Links::new(&state, &origin, &caller.grant).lasting(watching_us(&span, now), &caller.grant);
    let url = links.recorded_hls(channel, &span, kind);
    if params.flag("redirect")? {
        let headers = [
            (header::LOCATION, url.as_str()),
            (header::CACHE_CONTROL, "no-store"),
        ];
        return Ok((StatusCode::FOUND, headers).into_response());
    }
    let view = RecordedHlsView {
        url,
        kind: match kind {
            Kind::Vod => "vod",
            Kind::Event => "event",
        },
        expire: links.expire.to_rfc3339(),
    };
    Ok(Json(view).into_response())
}

fn span(params: &Params, now: WallTime) -> Result<Span, ApiError> {
    let start = instant(params, "start", now)?;
    let start = start.ok_or_else(|| ApiError::invalid("start is missing"))?;
    let end = instant(params, "end", now)?;
    let range = TimeRange::new(start, end.unwrap_or_else(|| now.max(start)));
    let is_empty = |range: &TimeRange| end.is_some() && range.micros() == 0;
    let range = range.filter(|range| !is_empty(range));
    let range = range.ok_or_else(|| ApiError::invalid("start is not before end"))?;
    if range.micros() > MAX_RANGE_US {
        return Err(ApiError::invalid("a playlist holds at most 7 days"));
    }
    Ok(Span {
        start,
        end: end.or_else(|| end_of_long(start, now)),
    })
}

fn end_of_long(start: WallTime, now: WallTime) -> Option<WallTime> {
    let is_long = now.micros_since(start) > LONG_OPEN_US;
    let last = start.plus_micros(MAX_RANGE_US);
    is_long.then(|| now.plus_micros(OPEN_END_US).min(last))
}

/// How long somebody who watches from start to end needs, from now.
fn watching_us(span: &Span, now: WallTime) -> i64 {
    let end = span.end.unwrap_or_else(|| now.plus_micros(OPEN_END_US));
    let length_us = end.micros_since(span.start);
    length_us.max(end.micros_since(now)).clamp(0, MAX_RANGE_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_lasts_as_long_as_it_takes_to_watch() {
        let now = WallTime::from_secs(1_000_000);
        let watching = |query: &str| {
            let span = span(&Params::parse(Some(query)), now).unwrap();
            watching_us(&span, now) / 1_000_000
        };
        assert_eq!(watching("start=-2h&end=-1h"), 3_600);
        assert_eq!(watching("start=-2h&end=+1h"), 3 * 3_600);
        assert_eq!(watching("start=+1h&end=+2h"), 2 * 3_600);
        assert_eq!(watching("start=-1h"), 25 * 3_600);
        assert_eq!(watching("start=-7h"), 31 * 3_600);
        let end_s = |query: &str| {
            let span = span(&Params::parse(Some(query)), now).unwrap();
            span.end.map(|end| end.micros_since(now) / 1_000_000)
        };
        assert_eq!(end_s("start=-6h"), None);
        assert_eq!(end_s("start=-7h"), Some(24 * 3_600));
        assert_eq!(end_s("start=-167h"), Some(3_600));
        let refused = |query: &str| span(&Params::parse(Some(query)), now).is_err();
        for query in [
            "",
            "end=-1h",
            "start=-1h&end=-2h",
            "start=-1h&end=-1h",
            "start=-169h&end=now",
            "start=-169h",
        ] {
            assert!(refused(query), "{query}");
        }
    }
}
