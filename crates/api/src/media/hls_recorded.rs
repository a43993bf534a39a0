//! `/hls/{channel}/rec/{span}/{file}`: recorded HLS (RFC 8216bis).
//!
//! The span is `<start>-<end>` in microseconds since 1970, or `<start>-` while it goes on. `vod.m3u8` and
//! `event.m3u8` are its playlists; `init-<segment>.mp4` and `<segment>.mp4` are the names that
//! `framewell_playback::hls::recorded` writes into them.

use super::visit;
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;
use crate::ranged::RangedFile;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use framewell_access::sessions::{Activity, Session};
use framewell_model::{ChannelId, SegmentId, WallTime};
use framewell_playback::hls::recorded::{Kind, PlaylistText, Span};
use futures::{StreamExt, TryStreamExt};
use std::convert::Infallible;
use std::sync::Arc;

/// One file of a recorded presentation.
#[derive(Debug, PartialEq, Eq)]
enum File {
    Playlist(Kind),
    Init(SegmentId),
    Media(SegmentId),
}

impl File {
    fn of_name(name: &str) -> Option<Self> {
        match name {
            "vod.m3u8" => Some(Self::Playlist(Kind::Vod)),
            "event.m3u8" => Some(Self::Playlist(Kind::Event)),
            _ => {
                let segment = name.strip_suffix(".mp4")?;
                match segment.strip_prefix("init-") {
                    Some(segment) => segment.parse().ok().map(Self::Init),
                    None => segment.parse().ok().map(Self::Media),
                }
            }
        }
    }
}

/// The name of a playlist below `/hls/{channel}/rec/`.
pub(crate) fn playlist_path(span: &Span, kind: Kind) -> String {
    let end = span.end.map(|end| end.micros().to_string());
    let (start, end) = (span.start.micros(), end.unwrap_or_default());
    let name = match kind {
        Kind::Vod => "vod.m3u8",
        Kind::Event => "event.m3u8",
    };
    format!("{start}-{end}/{name}")
}

fn span_of_name(name: &str) -> Option<Span> {
    let instant = |digits: &str| {
        let is_plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let micros = is_plain.then(|| digits.parse().ok()).flatten();
        micros.map(WallTime::from_micros)
    };
    let (start, end) = name.split_once('-')?;
    let end = match end {
        "" => None,
        end => Some(instant(end)?),
    };
    let start = instant(start)?;
    let is_forward = end.is_none_or(|end| end > start);
    is_forward.then_some(Span { start, end })
}

pub(crate) async fn show_recorded_hls(
    State(state): State<AppState>,
    Path((channel, span, name)): Path<(String, String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("this HLS file");
    let channel = ChannelId::parse_stored(&channel).ok_or_else(missing)?;
    let span = span_of_name(&span).ok_or_else(missing)?;
    let file = File::of_name(&name).ok_or_else(missing)?;
    let session = visit(&state, &params, channel, Activity::Recorded).await?;
    let recorded = state.playback.recorded_hls();
    match file {
        File::Playlist(kind) => {
            let (query, now) = (params.only("ticket"), state.clock.now());
            let holder = session.holder();
            let text = recorded.playlist(channel, span, kind, &query, now, holder);
            Ok(playlist(text.await?, session))
        }
        File::Init(segment) => {
            let headers = [
                (header::CONTENT_TYPE, "video/mp4"),
                (header::CACHE_CONTROL, "private, max-age=3600"),
            ];
            Ok((headers, recorded.init(channel, segment).await?).into_response())
        }
        File::Media(segment) => {
            let file = recorded.media(channel, segment).await?;
            let ranged = RangedFile {
                len: file.len,
                etag: &file.etag,
                content_type: "video/mp4",
                open: Box::new(|range| {
                    let body = file.stream(range);
                    // The session stays while the body is read.
                    body.inspect_ok(move |bytes| session.add_bytes(bytes.len()))
                        .boxed()
                }),
            };
            ranged.respond(&headers)
        }
    }
}

/// Long playlists are as much of a load as media: they count while they are sent.
fn playlist(text: PlaylistText, session: Arc<Session>) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(super::hls::PLAYLIST),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::CONTENT_LENGTH,
            HeaderValue::from(text.as_str().len()),
        ),
    ];
    let pieces = text.into_pieces().map(move |piece| {
        session.add_bytes(piece.len());
        Ok::<_, Infallible>(piece)
    });
    (headers, Body::from_stream(futures::stream::iter(pieces))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_spans_and_files_say_what_they_are() {
        let at = WallTime::from_micros;
        let until = Span {
            start: at(17),
            end: Some(at(42)),
        };
        let open = Span {
            start: at(17),
            end: None,
        };
        assert_eq!(playlist_path(&until, Kind::Vod), "17-42/vod.m3u8");
        assert_eq!(playlist_path(&open, Kind::Event), "17-/event.m3u8");
        assert_eq!(span_of_name("17-42"), Some(until));
        assert_eq!(span_of_name("17-"), Some(open));
        for name in [
            "", "-", "17", "-42", "42-17", "17-17", "+17-42", "17-x", "17-42-",
        ] {
            assert_eq!(span_of_name(name), None, "{name}");
        }
        let id = "01900000-0000-7000-8000-000000000001";
        let segment: SegmentId = id.parse().unwrap();
        assert_eq!(
            File::of_name(&format!("{id}.mp4")),
            Some(File::Media(segment))
        );
        assert_eq!(
            File::of_name(&format!("init-{id}.mp4")),
            Some(File::Init(segment))
        );
        assert_eq!(File::of_name("vod.m3u8"), Some(File::Playlist(Kind::Vod)));
        for name in ["media.m3u8", "init-.mp4", "x.mp4", ".mp4"] {
            assert_eq!(File::of_name(name), None, "{name}");
        }
    }
}
