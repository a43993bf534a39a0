//! `/hls/{channel}/{file}`: live HLS (RFC 8216bis).
//!
//! `index.m3u8` is the multivariant playlist; `media.m3u8`, `init-<epoch>.mp4`, `seg-<sequence>.m4s` and
//! `part-<sequence>-<number>.m4s` are the names that `framewell_playback::hls` writes into its playlists.

use super::visit;
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use framewell_access::sessions::{Activity, Session};
use framewell_model::ChannelId;
use framewell_playback::hls::{self, Reload, Wanted};
use std::convert::Infallible;
use std::sync::Arc;

/// Type of playlists (RFC 8216bis section 10).
pub(super) const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// One file of a live presentation.
#[derive(Debug, PartialEq, Eq)]
enum File {
    Multivariant,
    Playlist,
    Init(u64),
    Segment(u64),
    Part(u64, u64),
}

impl File {
    fn of_name(name: &str) -> Option<Self> {
        let number = |prefix: &str, suffix: &str| {
            plain_number(name.strip_prefix(prefix)?.strip_suffix(suffix)?)
        };
        let part = || {
            let numbers = name.strip_prefix("part-")?.strip_suffix(".m4s")?;
            let (sequence, part) = numbers.split_once('-')?;
            Some(Self::Part(plain_number(sequence)?, plain_number(part)?))
        };
        match name {
            "index.m3u8" => Some(Self::Multivariant),
            "media.m3u8" => Some(Self::Playlist),
            _ => number("init-", ".mp4")
                .map(Self::Init)
                .or_else(|| number("seg-", ".m4s").map(Self::Segment))
                .or_else(part),
        }
    }
}

/// Digits and nothing else.
fn plain_number(digits: &str) -> Option<u64> {
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| digits.parse().ok()).flatten()
}

pub(crate) async fn show_hls_file(
    State(state): State<AppState>,
    Path((channel, name)): Path<(String, String)>,
    params: Params,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("this HLS file");
    let channel = ChannelId::parse_stored(&channel).ok_or_else(missing)?;
    let file = File::of_name(&name).ok_or_else(missing)?;
    let session = visit(&state, &params, channel, Activity::Live).await?;
    let live = state.playback.hls();
    let query = params.only("ticket");
    match file {
        File::Multivariant => playlist(&session, live.multivariant(channel, &query).await),
        File::Playlist => {
            let reload = reload(&params)?;
            playlist(&session, live.playlist(channel, &query, reload).await)
        }
        File::Init(epoch) => media(live.init(channel, epoch).await.map(|bytes| {
            let length = bytes.len();
            (length, Body::from(bytes))
        })),
        File::Segment(sequence) => {
            let body = live.segment(channel, sequence).await;
            media(body.map(|body| shared(body, session)))
        }
        File::Part(sequence, part) => {
            let body = live.part(channel, sequence, part).await;
            media(body.map(|body| shared(body, session)))
        }
    }
}

/// The delivery directives of RFC 8216bis section 6.2.5.
fn reload(params: &Params) -> Result<Reload, ApiError> {
    let sequence = params.number::<u64>("_HLS_msn")?;
    let part = params.number::<u64>("_HLS_part")?;
    let wanted = match (sequence, part) {
        (Some(sequence), part) => Some(Wanted { sequence, part }),
        (None, None) => None,
        (None, Some(_)) => {
            return Err(ApiError::invalid(
                "_HLS_part means nothing without _HLS_msn",
            ));
        }
    };
    Ok(Reload {
        wanted,
        is_delta: matches!(params.get("_HLS_skip"), Some("YES" | "v2")),
    })
}

/// What all readers share, without a copy.
fn shared(body: hls::Body, session: Arc<Session>) -> (usize, Body) {
    let length = body.len();
    let pieces = body.into_pieces().map(move |piece| {
        session.add_bytes(piece.len());
        Ok::<Bytes, Infallible>(piece)
    });
    (length, Body::from_stream(futures::stream::iter(pieces)))
}

fn playlist(session: &Session, text: Result<String, hls::Error>) -> Result<Response, ApiError> {
    let text = text.map_err(not_yet)?;
    session.add_bytes(text.len());
    let headers = [
        (header::CONTENT_TYPE, PLAYLIST),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text).into_response())
}

fn media(data: Result<(usize, Body), hls::Error>) -> Result<Response, ApiError> {
    let (length, body) = data.map_err(not_yet)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("video/mp4")),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=60"),
        ),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
    ];
    Ok((headers, body).into_response())
}

/// A stream that is not there yet is 404: the vendor's player asks again on it, and gives up for
/// good on any other code (contract section 13.1).
fn not_yet(error: hls::Error) -> ApiError {
    let is_coming = matches!(error, hls::Error::NotLive(_));
    let api = ApiError::from(error);
    if is_coming {
        return api.with_status(StatusCode::NOT_FOUND);
    }
    api
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
        assert_eq!(File::of_name("part-42-0.m4s"), Some(File::Part(42, 0)));
        for name in ["part-42.m4s", "part-42-.m4s", "part-4-2-1.m4s"] {
            assert_eq!(File::of_name(name), None, "{name}");
        }
        for name in ["index", "seg-.m4s", "seg-+1.m4s", "init-x.mp4", "9.ts", ""] {
            assert_eq!(File::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn delivery_directives_are_read_or_refused() {
        let read = |query| reload(&Params::parse(Some(query)));
        assert_eq!(read("ticket=t").unwrap(), Reload::default());
        let wanted = |sequence, part| Some(Wanted { sequence, part });
        let both = read("_HLS_msn=7&_HLS_part=2&_HLS_skip=YES").unwrap();
        assert_eq!((both.wanted, both.is_delta), (wanted(7, Some(2)), true));
        assert_eq!(read("_HLS_msn=7").unwrap().wanted, wanted(7, None));
        for query in ["_HLS_part=1", "_HLS_msn=-1", "_HLS_msn=7&_HLS_part=x"] {
            assert_eq!(read(query).unwrap_err().status, 400, "{query}");
        }
    }
}
