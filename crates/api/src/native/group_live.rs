//! `/v1/images/live`: sets of pictures of all channels of a token, pushed over one connection.

use super::group_select::{self, MAX_LIMIT, Members};
use super::push_params;
use super::socket::{Upgrade, close, describe_end, framed, send};
use super::types::{ErrorBody, FileBytes};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::multipart::{Multipart, error_object, json_type};
use crate::params::Params;
use crate::picture;
use axum::body::Body;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use framewell_access::places::Place;
use framewell_imaging::{Absence, Delivery, Grid, GroupFeed, GroupRequest, Image, ImageSet, Match};
use framewell_model::{ChannelId, WallTime};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often the gate is asked again: whether the token still stands, and which channels it opens.
const RECHECK: Duration = Duration::from_secs(3);
/// How long a set waits for slow channels, if nobody says: a frame of a slow camera and some network.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same for sets of the past, which come as fast as they can be decoded.
const PATIENCE_WITH_PAST: Duration = Duration::from_secs(10);
/// Longest wait that can be asked for.
const MAX_PATIENCE: Duration = Duration::from_secs(30);
/// Sets that may wait with `delivery=bounded`.
const BOUNDED: usize = 8;

/// Push sets of pictures of all channels, each set of one instant
///
/// Sets come at the rate `fps` for instants that are the same for all engines. As WebSocket: for each
/// set a text message with a JSON object that lists what each channel gave, then a binary message for
/// each picture (length of a JSON header as 4 bytes big endian, the header, the picture). Without an
/// upgrade: `multipart/mixed` without an end, each set a part with the same JSON object, then a part
/// for each picture. A channel that is late or offline is an `error` in the set. Channels that join or
/// leave the group do so in the push.
#[utoipa::path(
    get,
    path = "/v1/images/live",
    tag = "pictures",
    params(
        ("fps" = f64, Query, description = "Sets per second, 0.00001 to 1000; a camera that is slower repeats its picture as long as it is within the tolerance"),
        ("channels" = Option<String>, Query, description = "Ids separated by commas; absent: all that the token opens, also those that come later"),
        ("tolerance" = Option<String>, Query, description = "How far a picture may lie from the instant of its set: a span such as `250ms` or a number of milliseconds; 1 s if absent"),
        ("wait" = Option<String>, Query, description = "How long a set waits for slow channels after its first picture, at most 30 s; 500 ms if absent, 10 s with `from` or `to`"),
        ("from" = Option<String>, Query, description = "Start before now, from memory: `-8s`"),
        ("to" = Option<String>, Query, description = "End, also in the future: `+2s`; absent: none"),
        ("delivery" = Option<String>, Query, description = "When the client is slow: `latest` (default) keeps the newest set, `bounded` the newest 8, `all` waits; what is dropped is counted in `dropped`"),
        ("width" = Option<u32>, Query, description = "As for one picture, like all parameters of its form"),
        ("height" = Option<u32>, Query, description = "As for one picture"),
        ("format" = Option<String>, Query, description = "As for one picture, and `rgb24` or `nv12` (raw)"),
        ("max_image_bytes" = Option<u32>, Query, description = "As `max_bytes` for one picture"),
        ("quality" = Option<u32>, Query, description = "As for one picture"),
    ),
    responses(
        (status = 101, description = "WebSocket"),
        (status = 200, description = "Parts without an end", content_type = "multipart/mixed", body = FileBytes),
        (status = 400, description = "Bad parameter", body = ErrorBody),
        (status = 429, description = "As many pushes of this token run as one token may have; see `Retry-After`", body = ErrorBody),
        (status = 503, description = "As many pushes run as may", body = ErrorBody),
    ),
)]
pub(crate) async fn push_group_images(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, ApiError> {
    let request = read(&params, state.clock.now())?;
    let members = Members::read(&params, &caller)?;
    let channels = members.now(&state).await?;
    if channels.len() > MAX_LIMIT {
        return Err(ApiError::invalid(format!(
            "a push has at most {MAX_LIMIT} channels, the token opens {}: name some with channels=",
            channels.len()
        )));
    }
    let place = state.config.pushes.take(&caller.grant);
    let place = place.map_err(ApiError::no_place)?;
    let tolerance_ms = request.tolerance_us / 1_000;
    let push = Push {
        feed: state.imaging.live_group(channels, request),
        members,
        state,
        recheck_at: Instant::now(),
        tolerance_ms,
        _place: place,
    };
    Ok(match upgrade {
        Some(upgrade) => upgrade.on_upgrade(move |socket| push.speak(socket)),
        None => push.parts(),
    })
}

fn read(params: &Params, now: WallTime) -> Result<GroupRequest, ApiError> {
    let (output, matching) = push_params::form(params)?;
    if matching != Match::Exact {
        return Err(ApiError::invalid(
            "match is not exact: sets are of one instant",
        ));
    }
    let fps = params
        .number::<f64>("fps")?
        .ok_or_else(|| ApiError::invalid("fps is missing: how many sets a second"))?;
    let grid = Grid::new(fps)
        .ok_or_else(|| ApiError::invalid(format!("fps {fps} is not between 0.00001 and 1000")))?;
    let (from, until) = push_params::ends(params, now)?;
    Ok(GroupRequest {
        from,
        until,
        grid,
        fps,
        tolerance_us: group_select::tolerance_us(params, matching)?,
        patience: patience(params, from.is_some() || until.is_some())?,
        output,
        delivery: delivery(params, until.is_some())?,
    })
}

fn patience(params: &Params, has_past: bool) -> Result<Duration, ApiError> {
    let Some(us) = group_select::span_us(params, "wait")? else {
        return Ok(if has_past {
            PATIENCE_WITH_PAST
        } else {
            PATIENCE
        });
    };
    let patience = Duration::from_micros(us.unsigned_abs());
    if patience > MAX_PATIENCE {
        return Err(ApiError::invalid("wait is longer than 30s"));
    }
    Ok(patience)
}

fn delivery(params: &Params, has_end: bool) -> Result<Delivery, ApiError> {
    match params.get("delivery") {
        // A range was asked for: all of it.
        None | Some("") if has_end => Ok(Delivery::All),
        None | Some("" | "latest") => Ok(Delivery::Latest),
        Some("bounded") => Ok(Delivery::Bounded(BOUNDED)),
        Some("all") => Ok(Delivery::All),
        Some(_) => Err(ApiError::invalid("delivery is not latest, bounded or all")),
    }
}

/// A push in progress.
struct Push {
    feed: GroupFeed,
    members: Members,
    state: AppState,
    /// When the gate is asked again.
    recheck_at: Instant,
    tolerance_ms: i64,
    _place: Place,
}

impl Push {
    /// The next set; `None` at the end, an error when the token ended.
    async fn next(&mut self) -> Option<Result<ImageSet, ApiError>> {
        loop {
            tokio::select! {
                set = self.feed.next() => return set.map(Ok),
                () = sleep_until(self.recheck_at) => {
                    if let Some(error) = self.shut_if_due().await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    /// Asks the gate if it is time to, and follows the group. For whoever drops [`Push::next`] again
    /// and again: a client that never stops talking must not keep its token's end from being seen.
    async fn shut_if_due(&mut self) -> Option<ApiError> {
        if Instant::now() < self.recheck_at {
            return None;
        }
        let members = self.members.now(&self.state).await;
        self.recheck_at = Instant::now() + RECHECK;
        match members {
            Ok(channels) => {
                let channels = channels.into_iter().take(MAX_LIMIT);
                self.feed.set_channels(channels);
                None
            }
            // A database that is away for a moment ends no push.
            Err(error) if error.status.is_server_error() => None,
            Err(error) => Some(error),
        }
    }

    /// Parts until the end, or the error that ends it.
    fn parts(self) -> Response {
        let multipart = Multipart::new();
        let headers = [
            (header::CONTENT_TYPE, multipart.content_type()),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ];
        let body = stream::unfold(Some(self), move |push| {
            let multipart = multipart.clone();
            async move {
                let mut push = push?;
                let (chunks, push) = match push.next().await {
                    Some(Ok(set)) => (push.set_parts(&multipart, &set), Some(push)),
                    Some(Err(error)) => (end_parts(&multipart, Some(error)), None),
                    None => (end_parts(&multipart, None), None),
                };
                let chunks = chunks.into_iter().map(Ok::<_, Infallible>);
                Some((stream::iter(chunks), push))
            }
        });
        (headers, Body::from_stream(body.flatten())).into_response()
    }

    fn set_parts(&self, multipart: &Multipart, set: &ImageSet) -> Vec<Bytes> {
        let now = self.state.clock.now();
        let mut headers = json_type();
        picture::set(&mut headers, "framewell-entry", "set");
        let description = describe(set, self.tolerance_ms, now).to_string();
        let mut chunks = multipart.part(&headers, description.into()).to_vec();
        for (channel, image) in pictures(set) {
            let mut headers = picture::truth(image, now);
            picture::set(&mut headers, "framewell-channel", &channel.to_string());
            picture::set(&mut headers, "framewell-set", &set.number.to_string());
            chunks.extend(multipart.part(&headers, image.data.clone()));
        }
        chunks
    }

    /// Speaks to a WebSocket until one of both ends it.
    async fn speak(mut self, mut socket: WebSocket) {
        loop {
            tokio::select! {
                next = self.next() => {
                    let sent = match next {
                        Some(Ok(set)) => self.send_set(&mut socket, &set).await,
                        Some(Err(error)) => return close(&mut socket, Some(error)).await,
                        None => return close(&mut socket, None).await,
                    };
                    if sent.is_none() {
                        return;
                    }
                }
                // Pings are answered by the library; what else a client says means nothing here.
                heard = socket.recv() => {
                    if matches!(heard, Some(Ok(Message::Close(_)) | Err(_)) | None) {
                        return;
                    }
                    if let Some(error) = self.shut_if_due().await {
                        return close(&mut socket, Some(error)).await;
                    }
                }
            }
        }
    }

    /// `None` if the client is gone or takes nothing.
    async fn send_set(&self, socket: &mut WebSocket, set: &ImageSet) -> Option<()> {
        let now = self.state.clock.now();
        let description = describe(set, self.tolerance_ms, now).to_string();
        send(socket, Message::Text(description.into())).await?;
        for (channel, image) in pictures(set) {
            let mut header = describe_image(image, now);
            header["type"] = json!("picture");
            header["channel"] = json!(channel);
            header["set"] = json!(set.number);
            send(socket, Message::Binary(framed(&header, &image.data))).await?;
        }
        Some(())
    }
}

fn end_parts(multipart: &Multipart, error: Option<ApiError>) -> Vec<Bytes> {
    let mut headers = json_type();
    picture::set(&mut headers, "framewell-entry", "end");
    let part = multipart.part(&headers, describe_end(error).to_string().into());
    part.into_iter().chain([multipart.end()]).collect()
}

fn pictures(set: &ImageSet) -> impl Iterator<Item = (ChannelId, &Image)> {
    let entries = set.entries.iter();
    entries.filter_map(|(channel, entry)| Some((*channel, entry.as_ref().ok()?)))
}

fn describe(set: &ImageSet, tolerance_ms: i64, now: WallTime) -> Value {
    let channels: Vec<Value> = set
        .entries
        .iter()
        .map(|(channel, entry)| match entry {
            Ok(image) => {
                let mut object = describe_image(image, now);
                object["channel"] = json!(channel);
                object
            }
            Err(absence) => json!({ "channel": channel, "error": error_object(explain(absence)) }),
        })
        .collect();
    json!({
        "type": "set",
        "set": set.number,
        "requested": set.at.to_rfc3339(),
        "tolerance_ms": tolerance_ms,
        "dropped": set.dropped,
        "pictures": pictures(set).count(),
        "channels": channels,
    })
}

pub(super) fn describe_image(image: &Image, now: WallTime) -> Value {
    json!({
        "requested": image.requested.to_rfc3339(),
        "captured": image.captured.to_rfc3339(),
        "clock_source": image.clock.as_str(),
        "age_ms": now.micros_since(image.captured) / 1_000,
        "distance_ms": image.requested.micros_since(image.captured) / 1_000,
        "frame": image.frame.to_string(),
        "is_key": image.is_key,
        "format": image.format.name(),
        "width": image.width,
        "height": image.height,
        "bytes": image.data.len(),
    })
}

/// The absence in the words of the API, with what is nearest.
fn explain(absence: &Absence) -> ApiError {
    let mut error = ApiError::of(absence);
    let nearest = match absence {
        Absence::Late { newest, .. } => {
            error.code = "late";
            *newest
        }
        Absence::Far { nearest, .. } => {
            error.code = "out_of_tolerance";
            Some(*nearest)
        }
        Absence::Failed(cause) => return picture::explain_ref(cause),
        _ => None,
    };
    match nearest {
        Some(nearest) => error.with_detail("nearest", nearest.to_rfc3339()),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str) -> Result<GroupRequest, ApiError> {
        read(&Params::parse(Some(query)), WallTime::from_secs(1_000_000))
    }

    #[test]
    fn what_is_not_said_has_a_sensible_value() {
        let live = request("fps=5").unwrap();
        assert_eq!((live.from, live.until), (None, None));
        assert_eq!(live.delivery, Delivery::Latest);
        assert_eq!((live.tolerance_us, live.patience), (1_000_000, PATIENCE));
        let past = request("fps=5&from=-8s&to=now").unwrap();
        assert_eq!(
            past.until.unwrap().micros_since(past.from.unwrap()),
            8_000_000
        );
        assert_eq!(
            (past.delivery, past.patience),
            (Delivery::All, PATIENCE_WITH_PAST)
        );
        let own = request("fps=5&wait=2s&delivery=bounded&tolerance=40ms").unwrap();
        assert_eq!((own.patience.as_secs(), own.tolerance_us), (2, 40_000));
        assert_eq!(own.delivery, Delivery::Bounded(BOUNDED));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (query, word) in [
            ("", "fps is missing"),
            ("fps=0", "0.00001"),
            ("fps=-1", "0.00001"),
            ("fps=1e9", "1000"),
            ("fps=5&wait=31s", "30s"),
            ("fps=5&delivery=some", "delivery"),
            ("fps=5&match=nearest", "match"),
            ("fps=5&format=gif", "format"),
            ("fps=5&from=-1s&to=-2s", "behind"),
            ("fps=5&to=-2s", "behind"),
            ("fps=5&from=2030-01-01T00:00:00Z", "future"),
        ] {
            let error = request(query).unwrap_err();
            assert!(error.message.contains(word), "{query}: {}", error.message);
        }
    }
}
