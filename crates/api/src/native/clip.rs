//! `/v1/channels/{id}/clip.mp4` and what is about it, `clip.json`.

use super::clip_info::ClipInfo;
use super::clip_params::{Wanted, explain};
use super::stream_mp4::{Viewer, show_range};
use super::stream_of;
use super::types::{ErrorBody, FileBytes};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::ranged::RangedFile;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use framewell_footage::FootageGap;
use framewell_model::{ChannelId, GapReason, TimeRange};
use framewell_playback::Clip;
use futures::{StreamExt, stream};

/// Most gaps named in the header; a line of a response has to stay short.
const MAX_GAPS: usize = 32;

pub(crate) const GAPS: HeaderName = HeaderName::from_static("framewell-gaps");

/// Get a clip as one MP4 file, starting at the exact frame
///
/// Nothing is transcoded: the file is laid out over the stored segments and read as it is sent. It
/// starts at the picture on screen at `start`. The header `Framewell-Gaps` lists what of the range is not
/// there, and why; `clip.json` says it in full. A segment that is lost is left out, with the reason
/// `data_loss`. Byte ranges work, so players can seek and a download can be resumed.
///
/// With `fragmented=true` the file is a stream of fragments that begins at the key frame before `start`, on
/// the wall clock, as `stream.mp4` sends it: for who wants to begin at once and never seeks.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/clip.mp4",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("start" = String, Query, description = "RFC 3339 time, or a distance before now such as `-60s`"),
        ("end" = Option<String>, Query, description = "The same; now if absent. At most 24 hours after start"),
        ("gaps" = Option<String>, Query, description = "`collapse` (default): footage follows footage. `keep`: a hole takes its time, and the last picture before it stays on screen; up to 6 h 37 min each"),
        ("strict" = Option<bool>, Query, description = "Fail if a segment of the range is missing or damaged, instead of leaving it out"),
        ("wait" = Option<bool>, Query, description = "Wait until the end of the range is recorded, up to a minute"),
        ("wait_s" = Option<u32>, Query, description = "The same for so many seconds, up to 300"),
        ("fragmented" = Option<bool>, Query, description = "Send fragments as they are read, without a length; without `gaps` and `strict`"),
    ),
    responses(
        (status = 200, description = "The file", content_type = "video/mp4", body = FileBytes, headers(
            ("ETag" = String, description = "Changes if the footage in the range does"),
            ("Framewell-Gaps" = String, description = "What of the range is not there, `start/end;reason` separated by commas; at most 32, then `+n`. `unknown` where no reason was written down"),
        )),
        (status = 206, description = "A byte range of the file", content_type = "video/mp4", body = FileBytes),
        (status = 400, description = "Bad or too long range, or an end in the future", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no footage in the range (`nearest_before`, `nearest_after`)", body = ErrorBody),
        (status = 416, description = "The byte range lies outside the file", body = ErrorBody),
        (status = 429, description = "The clips that are open now are too long in total; see `Retry-After`", body = ErrorBody),
        (status = 500, description = "All footage of the range, or with `strict` some of it, is missing or damaged (`segment`, `segment_start` and `segment_end` in the error)", body = ErrorBody),
    ),
)]
pub(crate) async fn show_clip(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let wanted = Wanted::read(&params, state.clock.now(), &["fragmented"])?;
    let is_fragmented = params.flag("fragmented")?;
    if is_fragmented
        && ["gaps", "strict"]
            .iter()
            .any(|name| params.get(name).is_some())
    {
        return Err(ApiError::invalid(
            "gaps and strict are for whole files; with fragmented=true holes are told in the stream",
        ));
    }
    wanted.settle(&state, &caller, channel).await?;
    if is_fragmented {
        return show_range(
            state,
            Viewer::new(&caller.grant, &params),
            channel,
            wanted.range,
        )
        .await;
    }
    let clip = open(&state, &caller, channel, &wanted).await?;
    send(&clip, &headers)
}

/// Show what a clip consists of
///
/// The parameters of `clip.mp4`. Which range is presented, every gap with its reason, and which segment is
/// shown when: within a segment, a moment of the file is that of `at_s` and `start` later by as much.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/clip.json",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("start" = String, Query, description = "As for `clip.mp4`"),
        ("end" = Option<String>, Query, description = "As for `clip.mp4`"),
        ("gaps" = Option<String>, Query, description = "As for `clip.mp4`"),
        ("strict" = Option<bool>, Query, description = "As for `clip.mp4`"),
        ("wait" = Option<bool>, Query, description = "As for `clip.mp4`"),
        ("wait_s" = Option<u32>, Query, description = "As for `clip.mp4`"),
    ),
    responses(
        (status = 200, description = "The clip", body = ClipInfo),
        (status = 400, description = "Bad or too long range, or an end in the future", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no footage in the range", body = ErrorBody),
        (status = 429, description = "The clips that are open now are too long in total; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn show_clip_info(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let wanted = Wanted::read(&params, state.clock.now(), &[])?;
    wanted.settle(&state, &caller, channel).await?;
    let clip = open(&state, &caller, channel, &wanted).await?;
    send_info(&ClipInfo::new(channel, &wanted, &clip), &headers)
}

pub(super) async fn open(
    state: &AppState,
    caller: &Caller,
    channel: ChannelId,
    wanted: &Wanted,
) -> Result<Clip, ApiError> {
    let clip = state.playback.clip_with(
        Some((&caller.grant).into()),
        channel,
        wanted.range,
        wanted.options,
    );
    clip.await.map_err(|error| explain(&error))
}

/// The file, or a range of it.
pub(super) fn send(clip: &Clip, headers: &HeaderMap) -> Result<Response, ApiError> {
    let file = RangedFile {
        len: clip.len,
        etag: &clip.etag,
        content_type: "video/mp4",
        open: Box::new(|bytes| clip.stream(bytes)),
    };
    let mut response = file.respond(headers)?;
    if let Some(gaps) = gaps_header(&clip.gaps) {
        response.headers_mut().insert(GAPS, gaps);
    }
    Ok(response)
}

/// The description, with a validator of its own.
pub(super) fn send_info(info: &ClipInfo, headers: &HeaderMap) -> Result<Response, ApiError> {
    let (text, etag) = info.text();
    let text = Bytes::from(text);
    let file = RangedFile {
        len: text.len() as u64,
        etag: &etag,
        content_type: "application/json",
        open: Box::new(move |range| {
            let at = |place| usize::try_from(place).unwrap_or(usize::MAX).min(text.len());
            let part = text.slice(at(range.start)..at(range.end));
            stream::once(async move { Ok::<_, framewell_footage::Error>(part) }).boxed()
        }),
    };
    file.respond(headers)
}

fn gaps_header(gaps: &[FootageGap]) -> Option<HeaderValue> {
    let first = gaps.iter().map(|gap| (gap.range, gap.reason));
    name_gaps(first, gaps.len())
}

/// The first of so many gaps as one line.
pub(crate) fn name_gaps(
    first: impl Iterator<Item = (TimeRange, Option<GapReason>)>,
    count: usize,
) -> Option<HeaderValue> {
    let text = |(range, reason): (TimeRange, Option<GapReason>)| {
        let reason = reason.map_or("unknown", GapReason::as_str);
        format!("{}/{};{reason}", range.start, range.end)
    };
    let mut texts: Vec<String> = first.take(MAX_GAPS).map(text).collect();
    if texts.is_empty() {
        return None;
    }
    if count > MAX_GAPS {
        texts.push(format!("+{}", count - MAX_GAPS));
    }
    HeaderValue::from_str(&texts.join(",")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::WallTime;

    #[test]
    fn the_gaps_header_is_bounded() {
        let range = TimeRange::new(WallTime::from_secs(1), WallTime::from_secs(2)).unwrap();
        let gap = |reason| FootageGap { range, reason };
        assert_eq!(gaps_header(&[]), None);
        assert_eq!(
            gaps_header(&[gap(None), gap(Some(GapReason::CameraOffline))]).unwrap(),
            "1970-01-01T00:00:01.000000Z/1970-01-01T00:00:02.000000Z;unknown,\
             1970-01-01T00:00:01.000000Z/1970-01-01T00:00:02.000000Z;camera_offline"
        );
        let many = gaps_header(&vec![gap(Some(GapReason::RecorderLagged)); 1_000]).unwrap();
        assert!(many.to_str().unwrap().ends_with(",+968"));
        assert!(many.len() < 2_500);
    }
}
