//! `/hls/{channel}/{file}`: live HLS (RFC 8216).
//!
//! `index.m3u8` is the multivariant playlist; `media.m3u8`, `init-<epoch>.mp4` and
//! `seg-<sequence>.m4s` are the names that `framewell_playback::hls` writes into its playlists.

use super::check_ticket;
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use framewell_access::MediaScope;
use framewell_model::{ChannelId, ErrorKind, HasKind};
use framewell_playback::hls;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// One file of a live presentation.
#[derive(Debug, PartialEq, Eq)]
enum File {
    Multivariant,
    Playlist,
    Init(u64),
    Segment(u64),
}

impl File {
    fn of_name(name: &str) -> Option<Self> {
        let number = |prefix: &str, suffix: &str| {
            let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            let is_plain = digits.bytes().all(|b| b.is_ascii_digit());
            is_plain.then(|| digits.parse::<u64>().ok()).flatten()
        };
        match name {
            "index.m3u8" => Some(Self::Multivariant),
            "media.m3u8" => Some(Self::Playlist),
            _ => number("init-", ".mp4")
                .map(Self::Init)
                .or_else(|| number("seg-", ".m4s").map(Self::Segment)),
        }
    }
}

pub(crate) async fn show_hls_file(
    State(state): State<AppState>,
    Path((channel, name)): Path<(String, String)>,
    params: Params,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("this HLS file");
    let channel: ChannelId = channel.parse().map_err(|_| missing())?;
    let file = File::of_name(&name).ok_or_else(missing)?;
    check_ticket(&state, &params, &MediaScope::Live(channel))?;
    let live = state.playback.hls();
    let query = params.only("ticket");
    match file {
        File::Multivariant => playlist(live.multivariant(channel, &query).await),
        File::Playlist => playlist(live.playlist(channel, &query).await),
        File::Init(epoch) => media(live.init(channel, epoch).await),
        File::Segment(sequence) => media(live.segment(channel, sequence).await),
    }
}

fn playlist(text: Result<String, hls::Error>) -> Result<Response, ApiError> {
    let headers = [
        (header::CONTENT_TYPE, PLAYLIST),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text.map_err(not_yet)?).into_response())
}

fn media(data: Result<Bytes, hls::Error>) -> Result<Response, ApiError> {
    let headers = [
        (header::CONTENT_TYPE, "video/mp4"),
        (header::CACHE_CONTROL, "private, max-age=60"),
    ];
    Ok((headers, data.map_err(not_yet)?).into_response())
}

/// A stream that is not there yet is 404: the vendor's player asks again on it, and gives up for
/// good on any other code (contract section 13.1).
fn not_yet(error: hls::Error) -> ApiError {
    let kind = error.kind();
    let api = ApiError::from(error);
    match kind {
        ErrorKind::Unavailable => api.with_status(StatusCode::NOT_FOUND),
        _ => api,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_say_what_they_are() {
        assert_eq!(File::of_name("index.m3u8"), Some(File::Multivariant));
        assert_eq!(File::of_name("media.m3u8"), Some(File::Playlist));
        assert_eq!(File::of_name("init-3.mp4"), Some(File::Init(3)));
        assert_eq!(File::of_name("seg-42.m4s"), Some(File::Segment(42)));
        for name in ["index", "seg-.m4s", "seg-+1.m4s", "init-x.mp4", "9.ts", ""] {
            assert_eq!(File::of_name(name), None, "{name}");
        }
    }
}
