//! `/v1/channels/{id}/sheet`.

use super::images_params;
use super::stream_of;
use super::types::{ErrorBody, FileBytes};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::multipart::Multipart;
use crate::origin::{Links, Origin};
use crate::params::Params;
use crate::picture::{self, content_tag};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use framewell_imaging::batch::{SampleFailure, SampleGap};
use framewell_imaging::sheet::{Sheet, SheetRequest, Tile};
use framewell_model::ChannelId;
use serde_json::{Value, json};

/// Width of a tile that nobody asked for another of.
const DEFAULT_TILE: u32 = 320;

/// Get a contact sheet
///
/// Samples of a range as tiles of one picture, in time order from the upper left by rows, for vision
/// language models. The map says for each tile its rectangle, times, frame and a URL of the full picture.
/// Take both in one answer (`as=multipart`: map, then picture), or ask twice with the same parameters:
/// both answers have the same `ETag` as long as the footage is the same.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/sheet",
    tag = "pictures",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("from" = Option<String>, Query, description = "As for many pictures, like `to`, the rule (`count`, `every`, `fps`, `keyframes` or `scene`), `match` and `cursor`"),
        ("to" = Option<String>, Query, description = "End; now if absent"),
        ("count" = Option<u32>, Query, description = "Tiles, evenly spaced over the footage, first and last picture included; 9 if no rule is given"),
        ("max_images" = Option<u32>, Query, description = "Most tiles, 1 to 100; `next` of the map then leads to the next sheet"),
        ("columns" = Option<u32>, Query, description = "Tiles side by side; about as many as rows if absent"),
        ("tile_width" = Option<u32>, Query, description = "Pixels, 64 to 1280; 320 if absent. The height follows from the video"),
        ("labels" = Option<bool>, Query, description = "Burns number and time (UTC) into each tile"),
        ("as" = Option<String>, Query, description = "`image` (default), `json` for the map, or `multipart` for both"),
        ("format" = Option<String>, Query, description = "As for one picture"),
        ("quality" = Option<u32>, Query, description = "As for one picture"),
    ),
    responses(
        (status = 200, description = "The picture, the map, or both", content_type = "image/jpeg", body = FileBytes, headers(
            ("ETag" = String, description = "Hash of the picture"),
            ("Framewell-Tiles" = i64, description = "How many tiles there are"),
        )),
        (status = 304, description = "The client has it (`If-None-Match`)"),
        (status = 400, description = "Bad parameter, or more tiles than a sheet has; the text says how many it would take", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no footage in the range", body = ErrorBody),
    ),
)]
pub(crate) async fn show_sheet(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let form = form(&params)?;
    let request = read(&state, &params, channel)?;
    let sheet = state.imaging.sheet(&request).await;
    let sheet = sheet.map_err(|error| picture::explain_ref(&error))?;
    let tag = content_tag(&sheet.picture.data);
    let mut answer = HeaderMap::new();
    picture::set(&mut answer, "etag", &tag);
    picture::set(&mut answer, "cache-control", "private, no-cache");
    picture::set(
        &mut answer,
        "framewell-tiles",
        &sheet.tiles.len().to_string(),
    );
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.and_then(|value| value.to_str().ok());
    if known.is_some_and(|tags| crate::ranged::matches_tag(tags, &tag)) {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    let links = Links::new(&state, &origin, &caller.grant);
    let map = map(&sheet, &tag, channel, &links);
    let media_type = sheet.picture.format.media_type();
    Ok(match form {
        Form::Map => (answer, Json(map)).into_response(),
        Form::Picture => {
            picture::set(&mut answer, "content-type", media_type);
            (answer, sheet.picture.data).into_response()
        }
        Form::Both => {
            let multipart = Multipart::new();
            let part = |media_type: &str, body| {
                let mut headers = HeaderMap::new();
                picture::set(&mut headers, "content-type", media_type);
                multipart.part(&headers, body)
            };
            let map = part("application/json", map.to_string().into());
            let picture = part(media_type, sheet.picture.data);
            let pieces = map.into_iter().chain(picture).chain([multipart.end()]);
            let body: Vec<u8> = pieces.collect::<Vec<_>>().concat();
            picture::set(&mut answer, "content-type", &multipart.content_type());
            (answer, body).into_response()
        }
    })
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Picture,
    Map,
    Both,
}

fn form(params: &Params) -> Result<Form, ApiError> {
    match params.get("as") {
        None | Some("" | "image") => Ok(Form::Picture),
        Some("json") => Ok(Form::Map),
        Some("multipart") => Ok(Form::Both),
        Some(_) => Err(ApiError::invalid("as is not image, json or multipart")),
    }
}

fn read(state: &AppState, params: &Params, channel: ChannelId) -> Result<SheetRequest, ApiError> {
    let form = super::picture_params::read(params)?;
    Ok(SheetRequest {
        channel,
        what: images_params::what(params, channel, state.clock.now(), Some(DEFAULT_RULE))?,
        tiles: params.number("max_images")?,
        columns: params.number("columns")?,
        tile_width: params.number("tile_width")?.unwrap_or(DEFAULT_TILE),
        has_labels: params.flag("labels")?,
        format: form.output.format,
    })
}

/// Nine tiles: three by three.
const DEFAULT_RULE: framewell_imaging::batch::Rule = framewell_imaging::batch::Rule::Count(9);

/// From tile to time.
fn map(sheet: &Sheet, tag: &str, channel: ChannelId, links: &Links<'_>) -> Value {
    let tile = |(number, tile): (usize, &Tile)| {
        json!({
            "tile": number + 1,
            "x": tile.area.x,
            "y": tile.area.y,
            "width": tile.area.width,
            "height": tile.area.height,
            "requested": tile.requested.to_rfc3339(),
            "captured": tile.captured.to_rfc3339(),
            "clock_source": tile.clock.as_str(),
            "frame": tile.frame.to_string(),
            "url": links.image(channel, tile.captured),
        })
    };
    let gap = |gap: &SampleGap| {
        json!({
            "start": gap.range.start.to_rfc3339(),
            "end": gap.range.end.to_rfc3339(),
            "reason": gap.reason.map(|reason| reason.as_str()),
            "missing": gap.missing,
        })
    };
    let failure = |failure: &SampleFailure| {
        json!({
            "start": failure.range.start.to_rfc3339(),
            "end": failure.range.end.to_rfc3339(),
            "code": failure.kind.label(),
            "message": failure.message,
            "missing": failure.missing,
        })
    };
    json!({
        "width": sheet.picture.width,
        "height": sheet.picture.height,
        "format": sheet.picture.format.name(),
        "hash": tag.trim_matches('"'),
        "tiles": sheet.tiles.iter().enumerate().map(tile).collect::<Vec<_>>(),
        "gaps": sheet.gaps.iter().map(gap).collect::<Vec<_>>(),
        "errors": sheet.failures.iter().map(failure).collect::<Vec<_>>(),
        "next": sheet.next.map(|cursor| cursor.to_string()),
        "expire": links.expire.to_rfc3339(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_a_picture_a_map_or_both() {
        let of = |query: &str| form(&Params::parse(Some(query))).map_err(|error| error.message);
        assert_eq!(of(""), Ok(Form::Picture));
        assert_eq!(of("as=json"), Ok(Form::Map));
        assert_eq!(of("as=multipart"), Ok(Form::Both));
        assert!(of("as=tar").is_err());
    }
}
