//! `/media/img/{channel}/{name}.jpg`: the picture of one instant, made when it is fetched, or a stored
//! picture.

use super::check_ticket;
use crate::AppState;
use crate::error::ApiError;
use crate::native::picture_params;
use crate::origin::image_of_name;
use crate::params::Params;
use crate::picture::{self, Repeats};
use crate::ranged::{RangedFile, matches_tag};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use framewell_access::MediaScope;
use framewell_imaging::{Request, When};
use framewell_model::{ChannelId, ImageId, WallTime};
use framewell_playback::ByteStream;
use futures::StreamExt as _;
use std::ops::Range;

/// `live.jpg`, or `<microseconds>_<anything>.jpg`.
fn instant_of_name(name: &str) -> Option<Option<WallTime>> {
    let stem = name.strip_suffix(".jpg")?;
    if stem == "live" {
        return Some(None);
    }
    let (micros, _) = stem.split_once('_')?;
    Some(Some(WallTime::from_micros(micros.parse().ok()?)))
}

pub(crate) async fn show_media_image(
    State(state): State<AppState>,
    Path((channel, name)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("this picture");
    let channel = ChannelId::parse_stored(&channel).ok_or_else(missing)?;
    if let Some(id) = image_of_name(&name) {
        return show_stored(&state, channel, id, &params, &headers).await;
    }
    let at = instant_of_name(&name).ok_or_else(missing)?;
    let scope = match at {
        Some(at) => MediaScope::Image(channel, at),
        None => MediaScope::Live(channel),
    };
    check_ticket(&state, &params, &scope)?;
    let request = Request {
        when: at.map_or(When::Now, When::At),
        // The URLs of many pictures carry the form that was asked for.
        output: picture_params::read(&params)?.output,
        ..picture::newest(channel)
    };
    let image = picture::fetch(&state, &request).await?;
    let repeats = if at.is_some() {
        Repeats::Always
    } else {
        Repeats::Never
    };
    Ok(picture::respond(
        &image,
        repeats,
        state.clock.now(),
        &headers,
    ))
}

/// A stored picture never changes; it can only go.
async fn show_stored(
    state: &AppState,
    channel: ChannelId,
    id: ImageId,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    check_ticket(state, params, &MediaScope::StoredImage(channel, id))?;
    let image = state.catalog.load_image(id).await?;
    let tag = format!("\"{}\"", image.hash);
    let known = headers.get(header::IF_NONE_MATCH);
    let is_known = known
        .and_then(|tags| tags.to_str().ok())
        .is_some_and(|tags| matches_tag(tags, &tag));
    // Read before the status line goes out: an object that is gone is an error, not a broken body.
    let data = match is_known {
        true => Bytes::new(),
        false => state.gallery.read(&image).await?,
    };
    let file = RangedFile {
        len: u64::try_from(image.size_bytes).unwrap_or(0),
        etag: &image.hash,
        content_type: "image/jpeg",
        open: Box::new(move |range| part(&data, range)),
    };
    let mut response = file.respond(headers)?;
    let forever = HeaderValue::from_static("private, max-age=86400, immutable");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, forever);
    Ok(response)
}

fn part(data: &Bytes, range: Range<u64>) -> ByteStream {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(data.len());
    let bytes = data.slice(place(range.start)..place(range.end));
    futures::stream::once(async move { Ok(bytes) }).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_instant() {
        let at = |micros| Some(Some(WallTime::from_micros(micros)));
        assert_eq!(
            instant_of_name("1714558830123456_snapshot.jpg"),
            at(1_714_558_830_123_456)
        );
        assert_eq!(instant_of_name("live.jpg"), Some(None));
        for name in ["x_y.jpg", "17.jpg", "17_a.png", "live.png", ".jpg"] {
            assert_eq!(instant_of_name(name), None, "{name}");
        }
    }
}
