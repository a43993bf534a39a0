//! `/v1/events/stream` and `/v1/metadata/stream`: history and live in one subscription.

mod subscription;

use super::group_select::Members;
use super::socket::{Upgrade, close_saying, describe_end, send};
use super::types::ErrorBody;
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use axum::body::Body;
use axum::extract::State;
use axum::extract::ws::{self, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use framewell_access::places::Place;
use framewell_catalog::EventFilter;
use framewell_insight::feed::Topic;
use framewell_insight::parse_native_filter;
use futures::stream;
use serde::Serialize;
use serde_json::Value;
use std::convert::Infallible;
use subscription::{Message, Subscription};
use utoipa::ToSchema;

/// Follow events, from any point of the past on
///
/// As server-sent events, or as WebSocket if the request asks for an upgrade; the messages are the same
/// JSON objects. The first one is `ready`. Each has a `cursor`: a client that comes back with it (as
/// `Last-Event-ID`, which browsers send by themselves, or as `after`) misses nothing and sees nothing
/// twice. Old entries come as fast as the client takes them, then new ones as they happen. `behind` says
/// how many are waiting; `heartbeat` comes when nothing else does.
#[utoipa::path(
    get,
    path = "/v1/events/stream",
    tag = "events",
    params(
        ("after" = Option<String>, Query, description = "Cursor to go on from; `0`: everything that is stored; absent: from now on"),
        ("channels" = Option<String>, Query, description = "Ids separated by commas; absent: all that the token opens, also those that come later"),
        ("names" = Option<String>, Query, description = "Names of events, separated by commas; absent: all"),
        ("tags" = Option<String>, Query, description = "Only events that had one of these tags when they are told"),
        ("without_tags" = Option<String>, Query, description = "Only events that had none of these tags when they are told"),
        ("Last-Event-ID" = Option<String>, Header, description = "As `after`, which counts less"),
    ),
    responses(
        (status = 101, description = "WebSocket"),
        (status = 200, description = "Server-sent events; `data` of each is this object", content_type = "text/event-stream", body = StreamMessage),
        (status = 400, description = "Bad parameter, or a cursor of another server", body = ErrorBody),
        (status = 401, description = "No good token", body = ErrorBody),
        (status = 429, description = "As many streams of this token run as one token may have; see `Retry-After`", body = ErrorBody),
        (status = 503, description = "As many streams run as may; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn follow_events(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    headers: HeaderMap,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, ApiError> {
    let names = params.words("names");
    let filter = EventFilter {
        names: (!names.is_empty()).then_some(names),
        with_any_tag: params.words("tags"),
        without_tags: params.words("without_tags"),
        ..EventFilter::default()
    };
    let topic = Topic::Events(filter);
    follow(state, caller, topic, &params, &headers, upgrade).await
}

/// Follow metadata documents, from any point of the past on
///
/// As `/v1/events/stream`. A document that is changed is told again, in its new form.
#[utoipa::path(
    get,
    path = "/v1/metadata/stream",
    tag = "metadata",
    params(
        ("after" = Option<String>, Query, description = "Cursor to go on from; `0`: everything that is stored; absent: from now on"),
        ("channels" = Option<String>, Query, description = "Ids separated by commas; absent: all that the token opens, also those that come later"),
        ("filter" = Option<String>, Query, description = "Filter as JSON, for example `{\"field\":\"long.Person\",\"gt\":0}`; times are RFC 3339"),
        ("Last-Event-ID" = Option<String>, Header, description = "As `after`, which counts less"),
    ),
    responses(
        (status = 101, description = "WebSocket"),
        (status = 200, description = "Server-sent events; `data` of each is this object", content_type = "text/event-stream", body = StreamMessage),
        (status = 400, description = "Bad parameter, or a cursor of another server", body = ErrorBody),
        (status = 401, description = "No good token", body = ErrorBody),
        (status = 429, description = "As many streams of this token run as one token may have; see `Retry-After`", body = ErrorBody),
        (status = 503, description = "As many streams run as may; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn follow_documents(
    State(state): State<AppState>,
    caller: Caller,
    params: Params,
    headers: HeaderMap,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, ApiError> {
    let filter: Option<Value> = match params.get("filter") {
        None | Some("") => None,
        Some(text) => Some(serde_json::from_str(text).map_err(|error| {
            ApiError::invalid(format!("filter is not JSON (column {})", error.column()))
        })?),
    };
    let topic = Topic::Documents(parse_native_filter(filter.as_ref(), |text| {
        text.parse().ok()
    })?);
    follow(state, caller, topic, &params, &headers, upgrade).await
}

/// A message, for the description only.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamMessage {
    /// `ready`, `event`, `document`, `heartbeat`; `end` with an `error` when the token stops to be good.
    #[schema(example = "event")]
    r#type: String,
    /// Where to go on after this message.
    #[schema(example = "4711")]
    cursor: String,
    /// Entries of all channels that are stored already and newer than the cursor; only those that the
    /// filter and the token let through will come.
    behind: i64,
    /// The event, of a message of that type.
    #[schema(value_type = Option<Object>)]
    event: Option<Value>,
    /// The document, of a message of that type.
    #[schema(value_type = Option<Object>)]
    document: Option<Value>,
}

async fn follow(
    state: AppState,
    caller: Caller,
    topic: Topic,
    params: &Params,
    headers: &HeaderMap,
    upgrade: Option<WebSocketUpgrade>,
) -> Result<Response, ApiError> {
    let members = Members::read(params, &caller)?;
    let cursor = cursor(params, headers)?;
    let place = state.config.streams.take(&caller.grant);
    let place = place.map_err(ApiError::no_place)?;
    let subscription = Subscription::start(state, topic, members, cursor).await?;
    Ok(match upgrade {
        Some(upgrade) => upgrade.on_upgrade(move |socket| speak(subscription, socket, place)),
        None => server_sent(subscription, place),
    })
}

/// `Last-Event-ID` counts more: a browser that comes back sends it beside the URL it began with.
fn cursor(params: &Params, headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let last = headers.get("last-event-id");
    let last = last.and_then(|value| value.to_str().ok());
    match last.or(params.get("after")) {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse()
            .ok()
            .filter(|cursor| *cursor >= 0)
            .map(Some)
            .ok_or_else(|| ApiError::invalid("the cursor is none of ours")),
    }
}

/// Server-sent events (HTML standard, section 9.2). Ends when the token stops to be good.
fn server_sent(subscription: Subscription, place: Place) -> Response {
    let messages = stream::unfold(Some((subscription, place)), |open| async {
        let (mut subscription, place) = open?;
        match subscription.next().await {
            Ok(message) => Some((sse(&message), Some((subscription, place)))),
            Err(error) => Some((
                format!("event: end\ndata: {}\n\n", describe_end(Some(error))),
                None,
            )),
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let lines = futures::StreamExt::map(messages, Ok::<_, Infallible>);
    (headers, Body::from_stream(lines)).into_response()
}

/// JSON on one line has no line break that would end `data` early.
fn sse(message: &Message) -> String {
    let Message { word, cursor, text } = message;
    format!("event: {word}\nid: {cursor}\ndata: {text}\n\n")
}

/// Speaks to a WebSocket until one of both ends it.
async fn speak(mut subscription: Subscription, mut socket: WebSocket, _place: Place) {
    loop {
        tokio::select! {
            next = subscription.next() => {
                let sent = match next {
                    Ok(message) => send(&mut socket, ws::Message::Text(message.text.into())).await,
                    Err(error) => {
                        let reason = "the subscription ended".to_owned();
                        return close_saying(&mut socket, Some(error), reason).await;
                    }
                };
                if sent.is_none() {
                    return;
                }
            }
            // Pings are answered by the library; what else a client says means nothing here.
            heard = socket.recv() => match heard {
                Some(Ok(ws::Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            }
        }
    }
}
