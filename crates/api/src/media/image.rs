//! `/media/img/{channel}/{name}.jpg`: the picture of one instant, made when it is fetched.

use super::check_ticket;
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;
use crate::picture;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use framewell_access::MediaScope;
use framewell_imaging::{Request, When};
use framewell_model::{ChannelId, WallTime};

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
    let channel: ChannelId = channel.parse().map_err(|_| missing())?;
    let at = instant_of_name(&name).ok_or_else(missing)?;
    let scope = match at {
        Some(at) => MediaScope::Image(channel, at),
        None => MediaScope::Live(channel),
    };
    check_ticket(&state, &params, &scope)?;
    let request = Request {
        when: at.map_or(When::Now, When::At),
        ..picture::newest(channel)
    };
    let image = picture::fetch(&state, &request).await?;
    Ok(picture::respond(&image, state.clock.now(), &headers))
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
