//! The native face, `/v1`: what the compatible one cannot say.
//!
//! `Authorization: Bearer <any token>`; `?token=` works for GET, so that an `<img>` does. Times are
//! RFC 3339 in UTC. Errors are `{"error":{"code","message","request_id"}}`. The OpenAPI document is
//! made from this code.

pub(crate) mod channels;
pub(crate) mod clip;
mod clip_info;
pub(crate) mod clip_manifest;
mod clip_params;
pub(crate) mod clips;
pub(crate) mod deletions;
pub(crate) mod event_clip;
pub(crate) mod event_files;
pub(crate) mod export;
pub(crate) mod group_images;
pub(crate) mod group_live;
mod group_select;
pub(crate) mod hls;
pub(crate) mod holds;
pub(crate) mod image;
pub(crate) mod images;
mod images_body;
mod images_params;
pub(crate) mod live;
pub(crate) mod metadata;
pub(crate) mod picture_params;
pub(crate) mod publish;
pub(crate) mod push;
mod push_params;
mod push_parts;
mod push_socket;
pub(crate) mod recording;
pub(crate) mod recordings;
pub(crate) mod rules;
pub(crate) mod sessions;
pub(crate) mod sheet;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod stream_mp4;
mod stream_mp4_params;
mod stream_mp4_socket;
pub(crate) mod sub_stream;
pub(crate) mod timeline;
pub(crate) mod types;
mod webhook_input;
pub(crate) mod webhook_view;
pub(crate) mod webhooks;
pub(crate) mod whep;
pub(crate) mod whip;

use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use framewell_model::{ChannelId, StreamKind, TimeRange, WallTime};

/// A channel id from the path that the caller may use with the route's right.
async fn channel_of(state: &AppState, caller: &Caller, id: &str) -> Result<ChannelId, ApiError> {
    let channel: ChannelId = id
        .parse()
        .map_err(|_| ApiError::not_found("a channel with this id"))?;
    caller.check(state, channel).await?;
    Ok(channel)
}

/// The same for what every stream of a camera has: `stream=sub` means its sub stream. The gate refuses it on all routes but those of [`TAKE_STREAM`].
async fn stream_of(
    state: &AppState,
    caller: &Caller,
    id: &str,
    params: &Params,
) -> Result<ChannelId, ApiError> {
    let channel: ChannelId = id
        .parse()
        .map_err(|_| ApiError::not_found("a channel with this id"))?;
    let channel = channel.of(read_stream(params)?);
    caller.check(state, channel).await?;
    Ok(channel)
}

/// Which stream of all its channels a question about a group means.
fn read_stream(params: &Params) -> Result<StreamKind, ApiError> {
    stream_named(params.get("stream"))
}

/// The stream that a word names; the main one if there is none.
fn stream_named(word: Option<&str>) -> Result<StreamKind, ApiError> {
    match word {
        None | Some("") => Ok(StreamKind::Main),
        Some(word) => StreamKind::from_word(word)
            .ok_or_else(|| ApiError::invalid("stream is neither main nor sub")),
    }
}

/// Routes whose handlers ask [`stream_of`], or [`read_stream`].
const TAKE_STREAM: [&str; 17] = [
    "/v1/channels/{id}/clip.json",
    "/v1/channels/{id}/clip.manifest.json",
    "/v1/channels/{id}/clip.mp4",
    "/v1/channels/{id}/deletions",
    "/v1/channels/{id}/hls",
    "/v1/channels/{id}/image",
    "/v1/channels/{id}/images",
    "/v1/channels/{id}/live",
    "/v1/channels/{id}/recording",
    "/v1/channels/{id}/sheet",
    "/v1/channels/{id}/stream",
    "/v1/channels/{id}/stream.mp4",
    "/v1/channels/{id}/timeline",
    "/v1/channels/{id}/whep",
    "/v1/export.tar",
    "/v1/export.zip",
    "/v1/images",
];

/// Refuses a choice of stream where there is none: the main stream in its place would be a wrong answer that
/// looks like a right one.
pub(crate) fn check_stream(route: &str, query: Option<&str>) -> Result<(), ApiError> {
    if !route.starts_with("/v1/") || TAKE_STREAM.contains(&route) {
        return Ok(());
    }
    match Params::parse(query).get("stream") {
        None | Some("" | "main") => Ok(()),
        Some(_) => Err(ApiError::invalid(
            "stream is no parameter here: this is about the main stream",
        )),
    }
}

/// An instant: RFC 3339, `now`, so long before now: `-8s`, `-1.5s`, `-500ms`, `-2m`, `-1h`, or so long
/// after it: `+2s`.
fn read_instant(text: &str, now: WallTime) -> Option<WallTime> {
    if text == "now" {
        return Some(now);
    }
    if let Some(span) = text.strip_prefix('-') {
        return read_span(span).map(|us| now.plus_micros(-us));
    }
    // A `+` that was not escaped arrives as a space.
    if let Some(span) = text.strip_prefix(['+', ' ']) {
        return read_span(span).map(|us| now.plus_micros(us));
    }
    text.replace(' ', "+").parse().ok()
}

/// A span of time in microseconds: `8s`, `1.5s`, `500ms`, `2m`, `1h`.
fn read_span(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit_at);
    let unit_us = match unit {
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        "h" => 3_600e6,
        _ => return None,
    };
    let micros = number.parse::<f64>().ok()? * unit_us;
    // A century: further back nothing can be asked for, and the cast stays exact.
    if !(0.0..=3.2e15).contains(&micros) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be below 2^53")]
    let micros = micros.round() as i64;
    Some(micros)
}

/// An instant in the query.
fn instant(params: &Params, name: &str, now: WallTime) -> Result<Option<WallTime>, ApiError> {
    let Some(text) = params.get(name) else {
        return Ok(None);
    };
    read_instant(text, now).map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        ApiError::invalid(format!(
            "{name} {shown:?} is neither a time such as 2024-05-01T10:20:30.5Z nor a distance such as -8s"
        ))
    })
}

/// `start` and `end`; an absent end means now. At most `max_us` long.
fn time_range(params: &Params, now: WallTime, max_us: i64) -> Result<TimeRange, ApiError> {
    let start =
        instant(params, "start", now)?.ok_or_else(|| ApiError::invalid("start is missing"))?;
    let end = instant(params, "end", now)?.unwrap_or(now);
    let range = TimeRange::new(start, end)
        .filter(|range| range.micros() > 0)
        .ok_or_else(|| ApiError::invalid("start is not before end"))?;
    if range.micros() > max_us {
        let days = max_us / 86_400_000_000;
        return Err(ApiError::invalid(format!(
            "the range is longer than {days} days"
        )));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_absolute_or_so_long_ago() {
        let now: WallTime = "2024-05-01T10:00:00Z".parse().unwrap();
        let read = |text: &str| read_instant(text, now).map(WallTime::to_rfc3339);
        let at = |text: &str| Some(text.to_owned());
        assert_eq!(read("now"), at("2024-05-01T10:00:00.000000Z"));
        assert_eq!(read("-8s"), at("2024-05-01T09:59:52.000000Z"));
        assert_eq!(read("-1.5s"), at("2024-05-01T09:59:58.500000Z"));
        assert_eq!(read("-500ms"), at("2024-05-01T09:59:59.500000Z"));
        assert_eq!(read("-2m"), at("2024-05-01T09:58:00.000000Z"));
        assert_eq!(read("-1h"), at("2024-05-01T09:00:00.000000Z"));
        assert_eq!(read("+2s"), at("2024-05-01T10:00:02.000000Z"));
        assert_eq!(read(" 1.5s"), at("2024-05-01T10:00:01.500000Z"));
        assert_eq!(
            read("2024-05-01T12:00:00 02:00"),
            at("2024-05-01T10:00:00.000000Z")
        );
        for text in [
            "",
            "-",
            "-8",
            "8s",
            "-8d",
            "--8s",
            "+",
            "+-8s",
            "++8s",
            "-1e99s",
            "-.s",
            "2024-05-01T10:00:00",
            "yesterday",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_stream_is_chosen_where_there_is_a_choice_and_refused_elsewhere() {
        let check = |route: &str, query: &str| check_stream(route, Some(query)).is_ok();
        assert!(check("/v1/channels/{id}/image", "stream=sub"));
        assert!(!check("/v1/channels/{id}/whip", "stream=sub"));
        assert!(check("/v1/export.zip", "channels=7&stream=sub"));
        assert!(!check("/v1/events/stream", "channels=7&stream=sub"));
        assert!(check("/v1/events/stream", "stream=main&channels=7"));
        assert!(
            check("/api/v4/live/", "stream=sub"),
            "old clients send anything"
        );
        for route in TAKE_STREAM {
            assert!(
                crate::routes::TABLE.iter().any(|known| known.path == route),
                "{route}"
            );
        }
    }

    #[test]
    fn ranges_run_forward_and_are_bounded() {
        let now = WallTime::from_secs(1_000_000);
        let range = |query: &str| time_range(&Params::parse(Some(query)), now, 60_000_000);
        assert_eq!(range("start=-10s&end=-5s").unwrap().micros(), 5_000_000);
        assert_eq!(range("start=-10s").unwrap().end, now);
        assert!(range("end=-5s").is_err());
        assert!(range("start=-5s&end=-10s").is_err());
        assert!(range("start=-5s&end=-5s").is_err());
        assert!(range("start=-61s").is_err());
    }
}
