//! `/v1/clips`: clips that are stored as objects of their own.

use super::clip::send_info;
use super::clip_info::{ClipGapView, ClipInfo};
use super::clip_params::holes_named;
use super::types::{ErrorBody, PageMeta};
use super::{read_instant, stream_named};
use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use framewell_catalog::{ClipFile, ClipFilter, ClipKey, ClipState, Order, Slice, StoredClip};
use framewell_clips::ClipRequest;
use framewell_clips::render::RenderOptions;
use framewell_model::{ChannelId, ClipId, Principal, WallTime};
use framewell_playback::ClipOptions;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Default and largest page of a list.
const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 1_000;

/// A clip to be stored, for the description only.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a body")]
pub(crate) struct ClipInput {
    /// Whose footage; a channel token need not say.
    channel: Option<i64>,
    /// RFC 3339 time, or a distance from now such as `-60s`.
    start: String,
    /// The same.
    end: String,
    /// For people.
    title: Option<String>,
    /// Free text, to find clips that belong together.
    group: Option<String>,
    /// The instant that the clip is about.
    event_time: Option<String>,
    /// When the clip goes by itself; absent: never.
    delete_at: Option<String>,
    /// The range may lie in the future, or a camera sends its footage later: wait for it.
    wait_for_data: Option<bool>,
    /// `main` (default), or `sub` for the camera's sub stream.
    stream: Option<String>,
    /// `collapse` (default): footage follows footage. `keep`: a hole takes its time, and the last picture before it
    /// stays on screen.
    gaps: Option<String>,
    /// Fail where footage of the range is missing or damaged, instead of leaving it out.
    strict: Option<bool>,
    /// `edit` (the recording as it is, exact by an edit list), or `reencode`: encoded anew as H.264, so that the
    /// file begins with a key frame at the exact picture. Any of the members below means `reencode`.
    precise: Option<String>,
    /// Playing speed, 0.1 to 100; sound is kept at 1 only.
    speed: Option<f64>,
    /// Width in pixels, 64 to 4096; the height follows.
    width: Option<u32>,
    /// What is drawn on the pictures: `time` (of capture, UTC), `boxes` (of metadata documents).
    burn: Option<Vec<String>>,
}

/// A stored clip.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClipView {
    /// Key.
    #[schema(example = 31)]
    id: i64,
    /// Whose footage.
    channel: i64,
    /// Which stream of it: `main` or `sub`.
    #[schema(example = "main")]
    stream: &'static str,
    /// `pending`, `done` or `error`.
    #[schema(example = "done")]
    state: &'static str,
    /// 0 to 1.
    progress: f64,
    /// Why it cannot be made; null if it can.
    error: Option<String>,
    /// For people; may be empty.
    title: String,
    /// Free text of the client.
    group: Option<String>,
    /// What was asked for.
    start: String,
    /// What was asked for.
    end: String,
    /// The instant that it is about.
    event_time: Option<String>,
    /// When it goes by itself.
    delete_at: Option<String>,
    /// When it was asked for.
    created: String,
    /// The finished file; null until then.
    file: Option<ClipFileView>,
}

/// A finished file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClipFileView {
    /// MP4; opens without a header. Byte ranges work.
    url: String,
    /// Bytes.
    size: i64,
    /// Capture time of the first picture shown.
    start: String,
    /// End of the last one.
    end: String,
    /// Playing time in seconds; less than from `start` to `end` if there are holes in between.
    duration: f64,
    /// JPEG; opens without a header. Null if no picture could be decoded.
    thumb_url: Option<String>,
    /// Capture time of the thumbnail.
    thumb_time: Option<String>,
    /// Why there is no thumbnail; null if there is.
    thumb_error: Option<String>,
    /// What of the range that was asked for is not in the file, ascending: the first 100. `clip.json` has all. Null
    /// for clips from before this was written down.
    gaps: Option<Vec<ClipGapView>>,
    /// How many gaps there are.
    gap_count: Option<u32>,
}

/// Stored clips.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClipList {
    /// Newest first.
    clips: Vec<ClipView>,
    /// How to go on.
    meta: PageMeta,
}

fn view_file(links: &Links<'_>, clip: &StoredClip, file: &ClipFile) -> ClipFileView {
    let gaps = file.gaps.as_ref();
    ClipFileView {
        url: links.clip(clip),
        size: file.size_bytes,
        start: file.shown.start.to_rfc3339(),
        end: file.shown.end.to_rfc3339(),
        duration: crate::vxg::input::seconds_of(file.duration_us),
        thumb_url: file.thumb.map(|_| links.clip_thumb(clip)),
        thumb_time: file.thumb.map(|thumb| thumb.time.to_rfc3339()),
        thumb_error: file.thumb_error.clone(),
        gaps: gaps.map(|gaps| gaps.first.iter().map(ClipGapView::from).collect()),
        gap_count: gaps.map(|gaps| gaps.count),
    }
}

fn view(links: &Links<'_>, clip: StoredClip) -> ClipView {
    let file = clip.file.as_ref();
    let file = file.map(|file| view_file(links, &clip, file));
    ClipView {
        id: clip.id.get(),
        channel: clip.channel.main().get(),
        stream: clip.channel.stream().as_str(),
        state: match clip.state {
            ClipState::Pending => "pending",
            ClipState::Done => "done",
            ClipState::Error => "error",
        },
        progress: clip.progress,
        error: clip.error,
        title: clip.title,
        group: clip.group,
        start: clip.range.start.to_rfc3339(),
        end: clip.range.end.to_rfc3339(),
        event_time: clip.event_time.map(WallTime::to_rfc3339),
        delete_at: clip.delete_at.map(WallTime::to_rfc3339),
        created: clip.created.to_rfc3339(),
        file,
    }
}

/// Members of the body that are known; others are refused, so that a typing mistake is noticed.
const MEMBERS: [&str; 15] = [
    "channel",
    "start",
    "end",
    "title",
    "group",
    "event_time",
    "delete_at",
    "wait_for_data",
    "stream",
    "gaps",
    "strict",
    "precise",
    "speed",
    "width",
    "burn",
];

/// Reads a body, member by member.
struct Body<'a> {
    body: &'a Map<String, Value>,
    now: WallTime,
}

impl Body<'_> {
    fn check_members(&self) -> Result<(), ApiError> {
        let unknown = self
            .body
            .keys()
            .find(|key| !MEMBERS.contains(&key.as_str()));
        match unknown {
            None => Ok(()),
            Some(key) => {
                let shown: String = key.chars().take(40).collect();
                let known = MEMBERS.join(", ");
                let text = format!("{shown:?} is no member here; there are {known}");
                Err(ApiError::invalid(text))
            }
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        Ok(crate::vxg::input::text(self.body, name)?.map(str::to_owned))
    }

    fn time(&self, name: &str) -> Result<Option<WallTime>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let invalid = || {
            let shown: String = text.chars().take(40).collect();
            let text = format!(
                "{name} {shown:?} is neither a time such as 2024-05-01T10:20:30.5Z nor a distance such as -8s"
            );
            ApiError::invalid(text)
        };
        read_instant(&text, self.now).map(Some).ok_or_else(invalid)
    }

    fn required(&self, name: &str) -> Result<WallTime, ApiError> {
        let missing = || ApiError::invalid(format!("{name} is missing"));
        self.time(name)?.ok_or_else(missing)
    }

    /// The stream of the channel that is meant.
    fn channel(&self, caller: &Caller) -> Result<ChannelId, ApiError> {
        let stream = stream_named(self.text("stream")?.as_deref())?;
        let invalid = || ApiError::invalid("channel is not the number of a channel");
        let channel = match (self.body.get("channel"), caller.grant.principal) {
            (None | Some(Value::Null), Principal::Channel(own)) => Ok(own),
            (None | Some(Value::Null), _) => Err(ApiError::invalid("channel is missing")),
            (Some(id), _) => id.as_i64().and_then(ChannelId::new).ok_or_else(invalid),
        };
        Ok(channel?.of(stream))
    }

    fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.body.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(ApiError::invalid(format!(
                "{name} is neither true nor false"
            ))),
        }
    }

    /// `None` if nothing asks for it.
    fn render(&self) -> Result<Option<RenderOptions>, ApiError> {
        let is_asked = match self.text("precise")?.as_deref() {
            Some("reencode") => true,
            None | Some("edit") => false,
            Some(_) => {
                return Err(ApiError::invalid("precise is neither edit nor reencode"));
            }
        };
        let present = |name| self.body.get(name).filter(|value| !value.is_null());
        let number = |value: &Value, name| {
            let invalid = || ApiError::invalid(format!("{name} is not a number"));
            value.as_f64().ok_or_else(invalid)
        };
        let mut options = RenderOptions::default();
        if let Some(speed) = present("speed") {
            options.speed = number(speed, "speed")?;
        }
        if let Some(width) = present("width") {
            let width = width.as_u64().and_then(|width| u32::try_from(width).ok());
            let invalid = || ApiError::invalid("width is not a number of pixels");
            options.width = Some(width.ok_or_else(invalid)?);
        }
        for word in self.words("burn")? {
            match word {
                "time" => options.burn_time = true,
                "boxes" => options.burn_boxes = true,
                _ => return Err(ApiError::invalid("burn is a list of time and boxes")),
            }
        }
        let is_meant = is_asked || options != RenderOptions::default();
        Ok(is_meant.then_some(options))
    }

    fn words(&self, name: &str) -> Result<Vec<&str>, ApiError> {
        let invalid = || ApiError::invalid(format!("{name} is not a list of words"));
        match self.body.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(words)) => {
                let words = words.iter().map(|word| word.as_str().ok_or_else(invalid));
                words.collect()
            }
            Some(_) => Err(invalid()),
        }
    }

    fn request(&self, channel: ChannelId) -> Result<ClipRequest, ApiError> {
        Ok(ClipRequest {
            channel,
            start: self.required("start")?,
            end: self.required("end")?,
            title: self.text("title")?.unwrap_or_default(),
            group: self.text("group")?,
            event_time: self.time("event_time")?,
            delete_at: self.time("delete_at")?,
            wait_for_data: self.flag("wait_for_data")?,
            making: ClipOptions {
                holes: holes_named(self.text("gaps")?.as_deref())?,
                is_strict: self.flag("strict")?,
            },
            render: self.render()?,
        })
    }
}

/// Store a clip
///
/// A durable job copies the recording into a file of its own, which the retention of footage does not
/// touch. Ask for the clip until `state` is `done` or `error`. It begins at the picture on screen at
/// `start`; holes in the recording collapse unless `gaps` says otherwise, and the finished file tells them. Footage
/// that is missing or damaged is such a hole, or with `strict` an error. A range without any footage ends in `error`. With `precise`, `speed`,
/// `width` or `burn` the clip is encoded anew, an hour at most, behind all other work of the decoders.
#[utoipa::path(
    post,
    path = "/v1/clips",
    tag = "video",
    request_body(content = ClipInput),
    responses(
        (status = 201, description = "It will be made", body = ClipView),
        (status = 400, description = "Bad or too long range, or an end in the future without `wait_for_data`", body = ErrorBody),
        (status = 403, description = "The token may not create clips", body = ErrorBody),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
        (status = 409, description = "It would have to be encoded anew, and this server has no encoder", body = ErrorBody),
        (status = 429, description = "As many clips are being made, or as many bytes are stored, as may be", body = ErrorBody),
    ),
)]
pub(crate) async fn create_clip(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<ClipView>), ApiError> {
    let body = Body {
        body: &body,
        now: state.clock.now(),
    };
    body.check_members()?;
    let channel = body.channel(&caller)?;
    caller.check(&state, channel).await?;
    let request = body.request(channel)?;
    let clip = state.clips.create(caller.grant.account, request).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    Ok((StatusCode::CREATED, Json(view(&links, clip))))
}

/// List stored clips
#[utoipa::path(
    get,
    path = "/v1/clips",
    tag = "video",
    params(
        ("channel" = Option<i64>, Query, description = "Only of this channel; absent: of all behind the token"),
        ("limit" = Option<i64>, Query, description = "Most clips of a page, 1 to 1000; 50 if absent"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "Newest first", body = ClipList),
        (status = 404, description = "No such channel behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn list_clips(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
) -> Result<Json<ClipList>, ApiError> {
    params.only_known(&["channel", "limit", "cursor"])?;
    let channels = match params.number::<ChannelId>("channel")? {
        Some(channel) => {
            caller.check(&state, channel).await?;
            vec![channel]
        }
        None => state.access.channels(&caller.grant).await?,
    };
    let limit = params.number("limit")?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid(format!("limit is not 1 to {MAX_LIMIT}")));
    }
    let filter = ClipFilter {
        channels,
        before: params.number("cursor")?,
        ..ClipFilter::default()
    };
    // One more than asked for says whether there is a next page.
    let slice = Slice {
        limit: limit + 1,
        offset: 0,
    };
    let now = state.clock.now();
    let page = state
        .catalog
        .list_clips(&filter, ClipKey::Number, Order::Descending, slice, now)
        .await?;
    let mut clips = page.items;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = clips.len() > shown;
    clips.truncate(shown);
    let next = clips
        .last()
        .filter(|_| has_more)
        .map(|clip| clip.id.to_string());
    let links = Links::new(&state, &origin, &caller.grant);
    Ok(Json(ClipList {
        clips: clips.into_iter().map(|clip| view(&links, clip)).collect(),
        meta: PageMeta { next },
    }))
}

/// The same answer for somebody else's clip as for one that does not exist.
async fn load(state: &AppState, caller: &Caller, id: &str) -> Result<StoredClip, ApiError> {
    let shown: String = id.chars().take(40).collect();
    let missing = || ApiError::not_found(format_args!("clip {shown}"));
    let id: ClipId = id.parse().map_err(|_| missing())?;
    let clip = state.clips.load(id).await?;
    caller
        .check_hidden(state, clip.channel, format!("clip {id}"))
        .await?;
    Ok(clip)
}

/// Show a stored clip and how far it is
#[utoipa::path(
    get,
    path = "/v1/clips/{id}",
    tag = "video",
    params(("id" = i64, Path, description = "Clip")),
    responses(
        (status = 200, description = "The clip", body = ClipView),
        (status = 404, description = "No such clip behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn show_clip(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
) -> Result<Json<ClipView>, ApiError> {
    let clip = load(&state, &caller, &id).await?;
    let links = Links::new(&state, &origin, &caller.grant);
    Ok(Json(view(&links, clip)))
}

/// Show what a stored clip consists of
///
/// As `clip.json` of a channel: which range is presented, every gap with its reason, and which segment of the
/// recording is shown when (none of a clip that was encoded anew). Written down when the clip was finished.
#[utoipa::path(
    get,
    path = "/v1/clips/{id}/clip.json",
    tag = "video",
    params(("id" = i64, Path, description = "Clip")),
    responses(
        (status = 200, description = "The clip", body = ClipInfo),
        (status = 404, description = "No such clip behind this token, it has no file yet, or it is from before this was written down", body = ErrorBody),
    ),
)]
pub(crate) async fn show_stored_clip_info(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let clip = load(&state, &caller, &id).await?;
    let makeup = state.clips.makeup(&clip).await?;
    let missing = || ApiError::not_found(format_args!("what clip {} consists of", clip.id));
    let (file, makeup) = clip.file.as_ref().zip(makeup).ok_or_else(missing)?;
    send_info(&ClipInfo::of_stored(&clip, file, &makeup), &headers)
}

/// Delete a stored clip, or stop making it
#[utoipa::path(
    delete,
    path = "/v1/clips/{id}",
    tag = "video",
    params(("id" = i64, Path, description = "Clip")),
    responses(
        (status = 204, description = "Gone; downloads on their way may break off"),
        (status = 404, description = "No such clip behind this token", body = ErrorBody),
    ),
)]
pub(crate) async fn delete_clip(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let clip = load(&state, &caller, &id).await?;
    state.clips.delete(&clip, &state.jobs).await?;
    Ok(StatusCode::NO_CONTENT)
}
