//! `/v1/export.zip` and `/v1/export.tar`: clips of several cameras.

use super::clip_params::{Wanted, explain};
use super::group_select::Members;
use super::read_stream;
use super::types::{ErrorBody, FileBytes};
use crate::AppState;
use crate::auth::Caller;
use crate::error::{ApiError, causes};
use crate::params::Params;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use framewell_model::ChannelId;
use framewell_playback::export::{Container, ExportRequest};
use futures::TryStreamExt;

/// Most cameras in one export.
const MAX_CAMERAS: usize = 64;
/// Longest footage of all cameras together, in seconds: four days.
const MAX_TOTAL_S: i64 = 4 * 86_400;

/// Get clips of several cameras as one zip archive
///
/// One MP4 file for each camera, not compressed, and `manifest.json` behind them: channel, times, gaps with
/// their reasons and the SHA-256 of every file. It is made while it is sent, and its length is known before.
/// A camera without footage has an entry in the manifest that says so. If something turns out to be damaged
/// on the way, the archive breaks off.
#[utoipa::path(
    get,
    path = "/v1/export.zip",
    tag = "video",
    params(
        ("channels" = Option<String>, Query, description = "Ids separated by commas, 64 at most; absent: all that the token opens"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the sub streams of the cameras; one that has none is an error in the manifest"),
        ("start" = String, Query, description = "RFC 3339 time, or a distance before now such as `-60s`"),
        ("end" = Option<String>, Query, description = "The same; now if absent. Four days of footage at most, all cameras together"),
        ("gaps" = Option<String>, Query, description = "As for a clip of a channel"),
        ("strict" = Option<bool>, Query, description = "As for a clip of a channel"),
    ),
    responses(
        (status = 200, description = "The archive", content_type = "application/zip", body = FileBytes),
        (status = 400, description = "Bad or too long range, an end in the future, or too many cameras", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no camera has footage in the range", body = ErrorBody),
        (status = 429, description = "This token or account has as many exports as it may, or the clips that are open now are too long in total; see `Retry-After`", body = ErrorBody),
        (status = 503, description = "As many exports run as may; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn export_zip(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
) -> Result<Response, ApiError> {
    export(&state, &caller, &params, Container::Zip).await
}

/// Get clips of several cameras as one tar archive
///
/// As `/v1/export.zip`.
#[utoipa::path(
    get,
    path = "/v1/export.tar",
    tag = "video",
    params(
        ("channels" = Option<String>, Query, description = "As for `export.zip`"),
        ("stream" = Option<String>, Query, description = "As for `export.zip`"),
        ("start" = String, Query, description = "As for `export.zip`"),
        ("end" = Option<String>, Query, description = "As for `export.zip`"),
        ("gaps" = Option<String>, Query, description = "As for `export.zip`"),
        ("strict" = Option<bool>, Query, description = "As for `export.zip`"),
    ),
    responses(
        (status = 200, description = "The archive", content_type = "application/x-tar", body = FileBytes),
        (status = 400, description = "As for `export.zip`", body = ErrorBody),
        (status = 404, description = "As for `export.zip`", body = ErrorBody),
        (status = 429, description = "As for `export.zip`", body = ErrorBody),
        (status = 503, description = "As for `export.zip`", body = ErrorBody),
    ),
)]
pub(crate) async fn export_tar(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
) -> Result<Response, ApiError> {
    export(&state, &caller, &params, Container::Tar).await
}

async fn export(
    state: &AppState,
    caller: &Caller,
    params: &Params,
    container: Container,
) -> Result<Response, ApiError> {
    let now = state.clock.now();
    let wanted = Wanted::read(params, now, &["channels"])?;
    if wanted.waits() {
        return Err(ApiError::invalid("an export does not wait"));
    }
    let stream = read_stream(params)?;
    let seconds = wanted.range.micros() / 1_000_000;
    let channels = channels(state, caller, params, seconds).await?;
    let place = state.config.exports.take(&caller.grant);
    let place = place.map_err(ApiError::no_place)?;
    let mut cameras = Vec::with_capacity(channels.len());
    for channel in channels {
        let name = state.catalog.load_channel(channel).await?.name;
        cameras.push((channel.of(stream), name));
    }
    let request = ExportRequest {
        holder: Some((&caller.grant).into()),
        cameras,
        range: wanted.range,
        options: wanted.options,
        container,
        now,
    };
    let export = state.playback.export(&request).await;
    let export = export.map_err(|error| explain(&error))?;
    let headers = headers(export.len, container, &request)?;
    // The place is held as long as the archive is being sent.
    let body = export.stream().inspect_ok(move |_| {
        let _held = &place;
    });
    let body = body.inspect_err(|error| {
        let causes = causes(error).unwrap_or_default();
        tracing::warn!(causes, "an export broke off: {error}");
    });
    Ok((headers, Body::from_stream(body)).into_response())
}

/// The channels that are named, all of which the token must open; or all that it opens.
async fn channels(
    state: &AppState,
    caller: &Caller,
    params: &Params,
    seconds: i64,
) -> Result<Vec<ChannelId>, ApiError> {
    let members = Members::read(params, caller)?;
    let channels: Vec<ChannelId> = match &members.named {
        Some(named) => named.iter().copied().collect(),
        None => members.now(state).await?,
    };
    if channels.is_empty() {
        return Err(ApiError::invalid("there is no channel to export"));
    }
    check_size(channels.len(), seconds)?;
    if members.named.is_some() {
        for channel in &channels {
            caller.check(state, *channel).await?;
        }
    }
    Ok(channels)
}

fn check_size(cameras: usize, seconds: i64) -> Result<(), ApiError> {
    if cameras > MAX_CAMERAS {
        let text = format!(
            "{cameras} cameras are more than the {MAX_CAMERAS} of one export; name some with channels="
        );
        return Err(ApiError::invalid(text).with_detail("limit", MAX_CAMERAS));
    }
    let total_s = seconds.saturating_mul(i64::try_from(cameras).unwrap_or(i64::MAX));
    if total_s > MAX_TOTAL_S {
        let text =
            format!("{total_s} s of footage are more than the {MAX_TOTAL_S} s of one export");
        return Err(ApiError::invalid(text).with_detail("limit", MAX_TOTAL_S));
    }
    Ok(())
}

fn headers(len: u64, container: Container, request: &ExportRequest) -> Result<HeaderMap, ApiError> {
    let (content_type, ending) = match container {
        Container::Zip => ("application/zip", "zip"),
        Container::Tar => ("application/x-tar", "tar"),
    };
    let start = request.range.start.to_rfc3339();
    let start: String = start.chars().take(19).filter(|c| *c != ':').collect();
    let file = format!("attachment; filename=\"footage-{start}Z.{ending}\"");
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| ApiError::invalid("the name cannot be written"))
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_DISPOSITION, value(&file)?);
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_has_limits_that_are_told() {
        assert!(check_size(MAX_CAMERAS, 60).is_ok());
        assert_eq!(check_size(65, 60).unwrap_err().details["limit"], 64);
        let error = check_size(5, 86_400).unwrap_err();
        assert_eq!(error.details["limit"], MAX_TOTAL_S);
        assert!(error.message.contains("432000 s"), "{}", error.message);
    }
}
