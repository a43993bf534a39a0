//! `/media/clip/{channel}/{name}`: a stored clip (`31.mp4`) or its thumbnail (`31.jpg`).

use super::check_ticket;
use crate::AppState;
use crate::error::ApiError;
use crate::native::clip::{GAPS, name_gaps};
use crate::params::Params;
use crate::ranged::RangedFile;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use framewell_access::MediaScope;
use framewell_model::{ChannelId, ClipId};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Video(ClipId),
    Thumb(ClipId),
}

fn wanted(name: &str) -> Option<Wanted> {
    let (id, kind) = name.split_once('.')?;
    let id = id.parse().ok()?;
    match kind {
        "mp4" => Some(Wanted::Video(id)),
        "jpg" => Some(Wanted::Thumb(id)),
        _ => None,
    }
}

pub(crate) async fn show_media_clip(
    State(state): State<AppState>,
    Path((channel, name)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("this clip");
    let channel = ChannelId::parse_stored(&channel).ok_or_else(missing)?;
    let wanted = wanted(&name).ok_or_else(missing)?;
    let (id, scope, content_type) = match wanted {
        Wanted::Video(id) => (id, MediaScope::Clip(channel, id), "video/mp4"),
        Wanted::Thumb(id) => (id, MediaScope::ClipThumb(channel, id), "image/jpeg"),
    };
    check_ticket(&state, &params, &scope)?;
    let clip = state.clips.load(id).await?;
    if clip.channel != channel {
        return Err(missing());
    }
    let file = match wanted {
        Wanted::Video(_) => state.clips.open(&clip).await?,
        Wanted::Thumb(_) => state.clips.open_thumb(&clip).await?,
    };
    let ranged = RangedFile {
        len: file.len,
        etag: &file.etag,
        content_type,
        open: Box::new(|range| file.stream(range)),
    };
    let mut response = ranged.respond(&headers)?;
    let forever = HeaderValue::from_static("private, max-age=86400, immutable");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, forever);
    let gaps = clip.file.as_ref().and_then(|file| file.gaps.as_ref());
    if let (Wanted::Video(_), Some(gaps)) = (wanted, gaps) {
        let first = gaps.first.iter().map(|gap| (gap.range, gap.reason));
        let count = usize::try_from(gaps.count).unwrap_or(usize::MAX);
        if let Some(line) = name_gaps(first, count) {
            response.headers_mut().insert(GAPS, line);
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_wanted() {
        let id = ClipId::new(31).unwrap();
        assert_eq!(wanted("31.mp4"), Some(Wanted::Video(id)));
        assert_eq!(wanted("31.jpg"), Some(Wanted::Thumb(id)));
        for name in ["31", "31.mov", "x.mp4", "0.mp4", "31.mp4.jpg", ".mp4"] {
            assert_eq!(wanted(name), None, "{name}");
        }
    }
}
