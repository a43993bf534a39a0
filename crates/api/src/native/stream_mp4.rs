//! `/v1/channels/{id}/stream.mp4` and `/v1/channels/{id}/stream`: fragmented MP4, live and recorded.

use super::socket::{Upgrade, describe_end};
use super::stream_mp4_params::{read_request, read_tracks};
use super::stream_mp4_socket;
use super::stream_of;
use super::types::{ErrorBody, FileBytes};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use framewell_access::MediaTicket;
use framewell_access::sessions::{Activity, NewSession, Protocol, Session, SessionRefused};
use framewell_fmp4::build_user_box;
use framewell_model::{ChannelId, ErrorKind, Grant, Holder, TimeRange, WallTime};
use framewell_playback::Beginning;
use framewell_playback::fragments::{Error, Feed, NOTICE_BOX, Notice, Part, Request, Tracks};
use framewell_playback::pace::Speed;
use framewell_playback::replay::ReplayError;
use futures::stream;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long a stream waits for its first fragment before it says 200.
const FIRST: Duration = Duration::from_secs(10);
/// A stream with an end in the future is over this long after it, whatever the camera does.
const END_SLACK: Duration = Duration::from_secs(10);

/// Get the video as fragmented MP4, live or recorded
///
/// Live without `from`, `to` and `cursor`: it begins at the newest key frame, and each picture is a fragment
/// that is sent as soon as it is there. With `from` it begins at the key frame that this moment needs:
/// recorded footage first, as fast as the client takes it, then live without a seam. With `to` it ends there.
///
/// Media time is Unix time, so every sample says when it was captured, and a hole in the footage is a hole
/// in the timeline; `prft` in each fragment says it too, with the source of the clock in its flags. In
/// front of each fragment is a `uuid` box (`framewell/cursor`) with a text: who comes back with it as
/// `cursor` gets exactly what follows. What a WebSocket says in text messages is in `uuid` boxes here
/// (`framewell/notice`). Where the coding of the video changes, the stream ends with such a box; go on with
/// the cursor.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/stream.mp4",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("from" = Option<String>, Query, description = "RFC 3339 time, or a distance before now such as `-30s`; absent: live"),
        ("to" = Option<String>, Query, description = "First moment that is not wanted; may lie ahead, as `+10s`"),
        ("speed" = Option<String>, Query, description = "Of what is recorded: `1`, `0.5`, `8`, or `max` for as fast as the client takes it. Absent: 1 with `to`, else `max` until it is live"),
        ("tracks" = Option<String>, Query, description = "`both` (default), `video` or `audio`"),
        ("cursor" = Option<String>, Query, description = "Goes on exactly behind the fragment with this cursor; instead of `from`"),
    ),
    responses(
        (status = 200, description = "The stream", content_type = "video/mp4", body = FileBytes),
        (status = 400, description = "Bad parameter", body = ErrorBody),
        (status = 401, description = "No good token", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, nothing recorded from there on, or no audio", body = ErrorBody),
        (status = 429, description = "As many streams of this token run as one token may have; see `Retry-After`", body = ErrorBody),
        (status = 503, description = "The camera is not streaming, or as many streams run as may; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn show_stream(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let request = read_request(&params, state.clock.now())?;
    let viewer = Viewer::new(&caller.grant, &params);
    respond(Stream::open(state, Protocol::Mp4, viewer, channel, request).await?).await
}

/// Follow the video over a WebSocket, live or recorded
///
/// The parameters of `stream.mp4`. Binary messages are what a Media Source Extensions buffer takes, one after
/// another: an init segment, then fragments, as `stream.mp4` sends them. Text messages are JSON objects with
/// a `type`: `init` (in front of an init segment, also where the coding changes: `mime`, `codecs`, `width`,
/// `height`), `gap` (`start`, `end`: nothing is there), `behind` (`missed` pictures were left out because the
/// client was too slow), `live` (what follows is live), `waiting` (nothing came for a while), `end`.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/stream",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("from" = Option<String>, Query, description = "As for `stream.mp4`"),
        ("to" = Option<String>, Query, description = "As for `stream.mp4`"),
        ("speed" = Option<String>, Query, description = "As for `stream.mp4`"),
        ("tracks" = Option<String>, Query, description = "As for `stream.mp4`; browsers play no G.711 in MP4"),
        ("cursor" = Option<String>, Query, description = "As for `stream.mp4`"),
    ),
    responses(
        (status = 101, description = "WebSocket"),
        (status = 400, description = "Bad parameter, or no upgrade to WebSocket", body = ErrorBody),
        (status = 401, description = "No good token", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, nothing recorded from there on, or no audio", body = ErrorBody),
        (status = 429, description = "As many streams of this token run as one token may have; see `Retry-After`", body = ErrorBody),
        (status = 503, description = "The camera is not streaming, or as many streams run as may; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn follow_stream(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let request = read_request(&params, state.clock.now())?;
    let upgrade = upgrade.ok_or_else(needs_socket)?;
    let viewer = Viewer::new(&caller.grant, &params);
    let stream = Stream::open(state, Protocol::WebSocket, viewer, channel, request).await?;
    Ok(upgrade.on_upgrade(move |socket| stream_mp4_socket::speak(stream, socket)))
}

/// Recorded video of a range, as fast as the client takes it.
pub(super) async fn show_range(
    state: AppState,
    viewer: Viewer,
    channel: ChannelId,
    range: TimeRange,
) -> Result<Response, ApiError> {
    let request = Request {
        tracks: Tracks::Both,
        from: Some(Beginning::Time(range.start)),
        to: Some(range.end),
        speed: Speed::Unpaced,
    };
    respond(Stream::open(state, Protocol::Mp4, viewer, channel, request).await?).await
}

/// Who watches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer {
    holder: Holder,
    peer: Option<SocketAddr>,
}

impl Viewer {
    pub(super) fn new(grant: &Grant, params: &Params) -> Self {
        Self {
            holder: Holder::from(grant),
            peer: params.peer(),
        }
    }
}

fn needs_socket() -> ApiError {
    ApiError::invalid("this URL is a WebSocket (RFC 6455); stream.mp4 is the same over plain HTTP")
}

/// Live video for who has a ticket for it, which opens nothing that is recorded.
pub(crate) async fn open_live(
    state: AppState,
    channel: ChannelId,
    ticket: &MediaTicket,
    params: &Params,
    upgrade: Option<Upgrade>,
) -> Result<Response, ApiError> {
    for name in ["from", "to", "cursor", "speed"] {
        if params.get(name).is_some() {
            return Err(ApiError::denied(format!(
                "a ticket for live video does not allow {name}=; use a token at /v1/channels/{channel}/stream.mp4"
            )));
        }
    }
    let request = Request {
        tracks: read_tracks(params)?,
        from: None,
        to: None,
        speed: Speed::Unpaced,
    };
    let viewer = Viewer {
        holder: ticket.holder,
        peer: params.peer(),
    };
    match upgrade {
        None => {
            let stream = Stream::open(state, Protocol::Mp4, viewer, channel, request);
            respond(stream.await?).await
        }
        Some(Upgrade(upgrade)) => {
            let upgrade = upgrade.ok_or_else(needs_socket)?;
            let stream = Stream::open(state, Protocol::WebSocket, viewer, channel, request).await?;
            Ok(upgrade.on_upgrade(move |socket| stream_mp4_socket::speak(stream, socket)))
        }
    }
}

/// What is sent next.
pub(crate) enum Next {
    Part(Part),
    /// Nothing came for a while.
    Waiting,
    /// It is over: the end that was asked for, or an error.
    End(Option<ApiError>),
}

/// A stream in progress.
pub(crate) struct Stream {
    state: AppState,
    channel: ChannelId,
    session: Session,
    feed: Feed,
    /// First wall time that is not wanted.
    to: Option<WallTime>,
    /// When the client is told that there is nothing to tell.
    heartbeat_at: Instant,
}

impl Stream {
    async fn open(
        state: AppState,
        protocol: Protocol,
        viewer: Viewer,
        channel: ChannelId,
        request: Request,
    ) -> Result<Self, ApiError> {
        let session = state.sessions.open(NewSession {
            protocol,
            activity: match request.from {
                Some(_) => Activity::Recorded,
                None => Activity::Live,
            },
            channel,
            holder: viewer.holder,
            peer: viewer.peer,
            // A ticket opens the door; who is in may stay as long as the token stands.
            expire: None,
            expected_bits_per_s: 0,
        });
        let session = session.map_err(|error| refused(&error))?;
        let feed = state.playback.fragments(channel, request).await;
        let feed = feed.map_err(|error| explain(&error))?;
        let heartbeat_at = Instant::now() + state.config.heartbeat;
        Ok(Self {
            state,
            channel,
            session,
            feed,
            to: request.to,
            heartbeat_at,
        })
    }

    /// What is sent next. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            () = self.session.ended() => Next::End(Some(self.ended())),
            next = self.feed.next() => {
                self.heartbeat_at = Instant::now() + self.state.config.heartbeat;
                match next {
                    Ok(Some(Part::Notice(Notice::End)) | None) => Next::End(None),
                    Ok(Some(part)) => {
                        self.count(&part);
                        Next::Part(part)
                    }
                    Err(error) => Next::End(Some(explain(&error))),
                }
            }
            () = sleep_until(self.heartbeat_at) => {
                self.heartbeat_at = Instant::now() + self.state.config.heartbeat;
                if self.is_past_end() {
                    Next::End(None)
                } else {
                    Next::Waiting
                }
            }
        }
    }

    fn ended(&self) -> ApiError {
        let why = self.session.end_reason();
        let why = why.map_or_else(|| "the session has ended".to_owned(), |why| why.to_string());
        ApiError::denied(why)
    }

    fn is_past_end(&self) -> bool {
        let now = self.state.clock.now();
        self.to.is_some_and(|to| now >= to + END_SLACK)
    }

    fn count(&self, part: &Part) {
        match part {
            Part::Init(init) => self.session.add_bytes(init.bytes.len()),
            Part::Fragment(piece) => self.session.add_bytes(piece.wire.len()),
            Part::Notice(Notice::Behind { missed }) => {
                self.session.add_missed(*missed);
                tracing::debug!(channel.id = %self.channel, session.id = %self.session.id(), missed, "a reader of fragments was too slow and goes on at a key frame");
            }
            Part::Notice(_) => {}
        }
    }

    /// The last words.
    pub(crate) fn describe_end(&self, error: Option<ApiError>) -> Value {
        let mut end = describe_end(error);
        if let Some(cursor) = self.feed.cursor() {
            end["cursor"] = json!(cursor.to_string());
        }
        end
    }
}

fn refused(error: &SessionRefused) -> ApiError {
    let api = ApiError::of(error);
    match error.limit() {
        Some(limit) => api.with_detail("limit", limit),
        None => api,
    }
}

/// Where the nearest footage is belongs to the error of a range without any.
fn explain(error: &Error) -> ApiError {
    let api = ApiError::of(error);
    match error {
        Error::Replay(ReplayError::Empty { before, after, .. }) => {
            api.with_nearest(*before, *after)
        }
        _ => api,
    }
}

/// A notice as the object that clients read.
pub(crate) fn describe(notice: &Notice) -> Value {
    match notice {
        Notice::Gap(gap) => json!({
            "type": "gap",
            "start": gap.start.to_rfc3339(),
            "end": gap.end.to_rfc3339(),
        }),
        Notice::Behind { missed } => json!({ "type": "behind", "missed": missed }),
        Notice::Live => json!({ "type": "live" }),
        Notice::End => json!({ "type": "end" }),
    }
}

/// The object that is sent when nothing else is.
pub(crate) fn describe_waiting() -> Value {
    json!({ "type": "waiting" })
}

/// A body without an end of its own. What fails before the first fragment is an error of the whole.
async fn respond(mut stream: Stream) -> Result<Response, ApiError> {
    let first = match tokio::time::timeout(FIRST, stream.next()).await {
        Ok(Next::End(Some(error))) => return Err(error),
        Ok(Next::End(None)) => {
            let text = "the end came before there was a picture";
            return Err(ApiError::new(ErrorKind::NotFound, text));
        }
        Ok(next) => Some(next),
        Err(_) => None,
    };
    let body = Body::from_stream(stream::unfold(
        Some((stream, first, false)),
        |open| async move {
            let (mut stream, first, has_init) = open?;
            let next = match first {
                Some(next) => next,
                None => stream.next().await,
            };
            let (bytes, state) = match next {
                Next::Part(Part::Init(_)) if has_init => {
                    let mut end = stream.describe_end(None);
                    end["reason"] = json!("parameters_changed");
                    (boxed(&end), None)
                }
                Next::Part(Part::Init(init)) => (init.bytes.clone(), Some((stream, None, true))),
                Next::Part(Part::Fragment(piece)) => {
                    (piece.wire.clone(), Some((stream, None, has_init)))
                }
                Next::Part(Part::Notice(notice)) => {
                    (boxed(&describe(&notice)), Some((stream, None, has_init)))
                }
                Next::Waiting => (boxed(&describe_waiting()), Some((stream, None, has_init))),
                Next::End(error) => (boxed(&stream.describe_end(error)), None),
            };
            Some((Ok::<_, Infallible>(bytes), state))
        },
    ));
    let headers = [
        (header::CONTENT_TYPE, "video/mp4"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, body).into_response())
}

/// An object in a box that players pass over.
fn boxed(object: &Value) -> Bytes {
    build_user_box(&NOTICE_BOX, object.to_string().as_bytes())
}
