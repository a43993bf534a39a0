//! `/v1/images`: one picture of every channel of a token, all of the same instant.

use super::group_select::{self, Selection};
use super::picture_params;
use super::read_stream;
use super::types::{ErrorBody, FileBytes};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::multipart::{Multipart, error_object, json_type};
use crate::origin::{Links, Origin};
use crate::params::{Params, query_tail};
use crate::picture::{self, content_tag};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use framewell_imaging::{Image, Match, Output, Request, When};
use framewell_model::{ChannelId, ErrorKind, Grant, StreamKind, WallTime};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

/// Pictures of one request that are being made at the same time: enough to keep a few decoders busy,
/// and one request of a large group does not fill the decoders' queue.
const AT_ONCE: usize = 8;

/// Get a picture of every channel, all of the same instant
///
/// Every channel that the token opens, in ascending order of ids, as parts of one answer that is sent
/// as they get ready. Without `at` the instant is the newest one that all cameras have reached, so that
/// the pictures fit together; it is stated in `Framewell-Requested-Time`. A channel without a picture
/// within the tolerance is a part of type `application/json` with an `error` object that says what is
/// nearest; the others are not touched by it. The last part is a summary with how far apart the
/// pictures were captured, and the cursor for further channels at the same instant.
#[utoipa::path(
    get,
    path = "/v1/images",
    tag = "pictures",
    params(
        ("at" = Option<String>, Query, description = "RFC 3339 time, or a distance before now such as `-8s`; absent or `now` for the newest instant that all cameras have reached"),
        ("tolerance" = Option<String>, Query, description = "How far pictures may lie from the instant: a span such as `250ms` or a number of milliseconds; 1 s if absent, 10 s with `match=keyframe`"),
        ("channels" = Option<String>, Query, description = "Ids separated by commas; absent: all"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the sub streams of the cameras"),
        ("limit" = Option<u32>, Query, description = "Most channels in one answer, 1 to 200; 50 if absent"),
        ("cursor" = Option<String>, Query, description = "`next` of the summary before; the instant stays the same"),
        ("as" = Option<String>, Query, description = "`multipart` (default), or `ndjson`: a JSON object a line with a URL for each picture instead of its bytes"),
        ("match" = Option<String>, Query, description = "As for one picture"),
        ("width" = Option<u32>, Query, description = "As for one picture, like all parameters of its form"),
        ("height" = Option<u32>, Query, description = "As for one picture"),
        ("format" = Option<String>, Query, description = "As for one picture"),
        ("quality" = Option<u32>, Query, description = "As for one picture"),
    ),
    responses(
        (status = 200, description = "A part for each channel with `Framewell-Channel` and the headers of a single picture, then the summary", content_type = "multipart/mixed", body = FileBytes, headers(
            ("Framewell-Requested-Time" = String, description = "The instant of all pictures"),
            ("Framewell-Tolerance-Ms" = i64, description = "How far a picture may lie from it"),
            ("Framewell-Channels" = i64, description = "How many channels follow"),
        )),
        (status = 400, description = "Bad parameter, or a time in the future", body = ErrorBody),
    ),
)]
pub(crate) async fn list_group_images(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
) -> Result<Response, ApiError> {
    let form = picture_params::read(&params)?;
    let matching = form.matching;
    let has_urls = match params.get("as") {
        None | Some("" | "multipart") => false,
        Some("ndjson") => true,
        Some(_) => return Err(ApiError::invalid("as is neither multipart nor ndjson")),
    };
    let stream = read_stream(&params)?;
    let cursor = group_select::read_cursor(&params)?;
    let after = cursor.map(|(channel, _)| channel);
    let selection = group_select::select(&state, &caller, &params, after).await?;
    let at = match cursor {
        Some((_, at)) => at,
        None => group_select::common_instant(&state, &params, stream, &selection.channels)?,
    };
    let set = Set {
        stream,
        at,
        tolerance_us: group_select::tolerance_us(&params, matching)?,
        matching,
        output: form.output,
        selection,
    };
    let headers = set.headers();
    let body = if has_urls {
        let form = form_query(&params);
        lines(state, origin, caller.grant, form, set)
    } else {
        parts(state, set)
    };
    Ok((headers, body).into_response())
}

/// What is asked for.
#[derive(Debug)]
struct Set {
    /// Of every channel.
    stream: StreamKind,
    at: WallTime,
    tolerance_us: i64,
    matching: Match,
    output: Output,
    selection: Selection,
}

impl Set {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let tolerance_ms = self.tolerance_us / 1_000;
        for (name, value) in [
            ("cache-control", "no-store".to_owned()),
            ("framewell-requested-time", self.at.to_rfc3339()),
            ("framewell-tolerance-ms", tolerance_ms.to_string()),
            (
                "framewell-channels",
                self.selection.channels.len().to_string(),
            ),
        ] {
            picture::set(&mut headers, name, &value);
        }
        headers
    }

    /// Writes the set, picture by picture.
    fn writer(
        self,
        state: &AppState,
    ) -> Writer<impl Stream<Item = (ChannelId, Result<Image, ApiError>)> + Send + Unpin + use<>>
    {
        Writer {
            pictures: Some(Box::pin(self.pictures(state))),
            tally: Tally::default(),
            set: self,
        }
    }

    /// The pictures in the order of the channels; each one is an answer of its own.
    fn pictures(
        &self,
        state: &AppState,
    ) -> impl Stream<Item = (ChannelId, Result<Image, ApiError>)> + Send + use<> {
        let (at, tolerance_us) = (self.at, self.tolerance_us);
        let (matching, output, stream) = (self.matching, self.output, self.stream);
        let state = state.clone();
        stream::iter(self.selection.channels.clone())
            .map(move |(channel, is_open)| {
                let state = state.clone();
                let request = Request {
                    channel: channel.of(stream),
                    when: When::At(at),
                    matching,
                    output,
                };
                async move {
                    if !is_open {
                        let what = format!("channel {channel}");
                        return (channel, Err(ApiError::not_found(what)));
                    }
                    let image = picture::fetch(&state, &request).await;
                    (channel, image.and_then(|image| near(image, tolerance_us)))
                }
            })
            .buffered(AT_ONCE)
    }
}

/// The picture, if it is near enough to its instant.
fn near(image: Image, tolerance_us: i64) -> Result<Image, ApiError> {
    let distance_us = image.requested.micros_since(image.captured);
    if distance_us.abs() <= tolerance_us {
        return Ok(image);
    }
    let (distance_ms, tolerance_ms) = (distance_us.abs() / 1_000, tolerance_us / 1_000);
    let mut error = ApiError::new(
        ErrorKind::NotFound,
        format!(
            "the picture of that instant was captured {distance_ms} ms away from it, the tolerance is {tolerance_ms} ms"
        ),
    );
    error.code = "out_of_tolerance";
    let is_before = distance_us > 0;
    Err(error
        .with_detail("distance_ms", distance_us / 1_000)
        .with_nearest(
            Some(image.captured).filter(|_| is_before),
            Some(image.captured).filter(|_| !is_before),
        ))
}

/// Counts what was sent, for the summary.
#[derive(Debug, Clone, Default)]
struct Tally {
    pictures: usize,
    errors: usize,
    earliest: Option<WallTime>,
    latest: Option<WallTime>,
}

impl Tally {
    fn count(&mut self, result: &Result<Image, ApiError>) {
        let Ok(image) = result else {
            self.errors += 1;
            return;
        };
        self.pictures += 1;
        let captured = image.captured;
        self.earliest = Some(self.earliest.map_or(captured, |time| time.min(captured)));
        self.latest = Some(self.latest.map_or(captured, |time| time.max(captured)));
    }

    fn summary(&self, set: &Set) -> Value {
        let spread = self.latest.zip(self.earliest);
        let next = set.selection.next;
        json!({
            "type": "end",
            "requested": set.at.to_rfc3339(),
            "tolerance_ms": set.tolerance_us / 1_000,
            "pictures": self.pictures,
            "errors": self.errors,
            "spread_ms": spread.map(|(latest, earliest)| latest.micros_since(earliest) / 1_000),
            "next": next.map(|last| group_select::write_cursor(last, set.at)),
        })
    }
}

/// `multipart/mixed`: a part for each channel, then the summary.
fn parts(state: AppState, set: Set) -> Response {
    let multipart = Multipart::new();
    let content_type = multipart.content_type();
    let writer = set.writer(&state);
    let body = stream::unfold(writer, move |mut writer| {
        let (multipart, clock) = (multipart.clone(), Arc::clone(&state.clock));
        async move {
            let chunks = match writer.next().await? {
                Step::Channel(channel, result) => {
                    let (mut headers, body) = match result {
                        Ok(image) => {
                            let mut headers = picture::truth(&image, clock.now());
                            picture::set(&mut headers, "etag", &content_tag(&image.data));
                            (headers, image.data)
                        }
                        Err(error) => {
                            let error = describe_error(channel, error);
                            (entry("error"), Bytes::from(error.to_string()))
                        }
                    };
                    picture::set(&mut headers, "framewell-channel", &channel.to_string());
                    multipart.part(&headers, body).to_vec()
                }
                Step::Summary(summary) => {
                    let part = multipart.part(&entry("end"), summary.to_string().into());
                    part.into_iter().chain([multipart.end()]).collect()
                }
            };
            let chunks = chunks.into_iter().map(Ok::<_, Infallible>);
            Some((stream::iter(chunks), writer))
        }
    });
    let headers = [(header::CONTENT_TYPE, content_type)];
    (headers, Body::from_stream(body.flatten())).into_response()
}

/// The form of the pictures as parameters of their own URLs. Those name the picture by its time, so
/// `match` has been answered.
fn form_query(params: &Params) -> String {
    let names = picture_params::NAMES.into_iter();
    let names = names.filter(|name| *name != "match");
    query_tail(names.filter_map(|name| Some((name, params.get(name)?))))
}

/// NDJSON: an object for each channel, then the summary.
fn lines(state: AppState, origin: Origin, grant: Grant, form: String, set: Set) -> Response {
    let of_all = set.stream;
    let writer = set.writer(&state);
    let body = stream::unfold(writer, move |mut writer| {
        let (state, origin, grant) = (state.clone(), origin.clone(), grant.clone());
        let form = form.clone();
        async move {
            let object = match writer.next().await? {
                Step::Channel(channel, Ok(image)) => {
                    let links = Links::new(&state, &origin, &grant);
                    let url = links.image(channel.of(of_all), image.captured);
                    describe(channel, &image, &format!("{url}{form}"))
                }
                Step::Channel(channel, Err(error)) => describe_error(channel, error),
                Step::Summary(summary) => summary,
            };
            Some((Ok::<_, Infallible>(format!("{object}\n")), writer))
        }
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (headers, Body::from_stream(body)).into_response()
}

/// Headers of a part that is no picture.
fn entry(name: &str) -> HeaderMap {
    let mut headers = json_type();
    picture::set(&mut headers, "framewell-entry", name);
    headers
}

fn describe_error(channel: ChannelId, error: ApiError) -> Value {
    json!({ "type": "error", "channel": channel, "error": error_object(error) })
}

fn describe(channel: ChannelId, image: &Image, url: &str) -> Value {
    json!({
        "type": "picture",
        "channel": channel,
        "requested": image.requested.to_rfc3339(),
        "captured": image.captured.to_rfc3339(),
        "clock_source": image.clock.as_str(),
        "distance_ms": image.requested.micros_since(image.captured) / 1_000,
        "frame": image.frame.to_string(),
        "is_key": image.is_key,
        "url": url,
    })
}

/// What is sent next.
enum Step {
    Channel(ChannelId, Result<Image, ApiError>),
    Summary(Value),
}

/// The channels one by one, then the summary, then nothing.
struct Writer<S> {
    set: Set,
    tally: Tally,
    /// `None` behind the summary.
    pictures: Option<S>,
}

impl<S: Stream<Item = (ChannelId, Result<Image, ApiError>)> + Unpin> Writer<S> {
    async fn next(&mut self) -> Option<Step> {
        match self.pictures.as_mut()?.next().await {
            Some((channel, result)) => {
                self.tally.count(&result);
                Some(Step::Channel(channel, result))
            }
            None => {
                self.pictures = None;
                Some(Step::Summary(self.tally.summary(&self.set)))
            }
        }
    }
}
