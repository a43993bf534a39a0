//! `/v1/events/{id}/attachments`: what an engine adds to an event.

use super::types::ErrorBody;
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::form_data::{FormData, Part};
use crate::jpeg;
use crate::origin::{Links, Origin};
use crate::vxg::event_view::Thumbs;
use crate::vxg::events::load;
use axum::Json;
use axum::extract::{Path, State};
use framewell_gallery::{NewPicture, Stored};
use framewell_model::{ClockSource, Event, FrameId, ImageOrigin, RunId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Largest picture in bytes.
const MAX_PICTURE_BYTES: usize = 8 << 20;
/// Largest JSON file in bytes.
const MAX_FILE_BYTES: usize = 1 << 20;

/// What belongs to an event now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttachmentsView {
    /// The event.
    #[schema(example = 501)]
    pub(crate) event: i64,
    /// URL of its picture, which works for a while without a header; null if it has none.
    pub(crate) picture: Option<String>,
    /// URL of its JSON file, which works for a while without a header; null if it has none.
    pub(crate) file: Option<String>,
}

/// A form, for the description only.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a body")]
pub(crate) struct AttachmentsForm {
    /// JPEG, 8 MiB at most; takes the place of an earlier one and becomes the event's `thumb`.
    #[schema(value_type = Option<String>, format = Binary)]
    picture: Option<Vec<u8>>,
    /// JSON, 1 MiB at most; takes the place of an earlier one and becomes the event's `filemeta`.
    #[schema(value_type = Option<String>, format = Binary)]
    file: Option<Vec<u8>>,
}

/// Attach a picture or a JSON file to an event
///
/// `picture` is for the picture that the engine worked on, for example with boxes drawn into it, `file` for
/// its full result.
#[utoipa::path(
    post,
    path = "/v1/events/{id}/attachments",
    tag = "events",
    params(("id" = i64, Path, description = "Event")),
    request_body(content = AttachmentsForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "Stored", body = AttachmentsView),
        (status = 400, description = "Not a form, or a part is not what it should be", body = ErrorBody),
        (status = 404, description = "No such event behind this token", body = ErrorBody),
        (status = 413, description = "The form is larger than 10 MiB", body = ErrorBody),
        (status = 503, description = "Too many long bodies at once", body = ErrorBody),
    ),
)]
pub(crate) async fn attach_files(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    FormData(parts, _reserved): FormData,
) -> Result<Json<AttachmentsView>, ApiError> {
    let event = load(&state, &caller, &id).await?;
    // Everything is looked at before anything is stored.
    let file = part(&parts, "file").map(check_file).transpose()?;
    let picture = part(&parts, "picture");
    let picture = picture.map(|part| read_picture(&event, part)).transpose()?;
    if file.is_none() && picture.is_none() {
        return Err(ApiError::invalid(
            "the form has neither a part picture nor a part file",
        ));
    }
    if let Some(file) = file {
        state.catalog.put_event_file(event.id, file).await?;
    }
    if let Some(picture) = picture {
        replace_picture(&state, &event, &picture).await?;
    }
    show(&state, &caller, &origin, &id).await
}

fn part<'a>(parts: &'a [Part], name: &str) -> Option<&'a Part> {
    parts.iter().find(|part| part.name == name)
}

fn check_file(part: &Part) -> Result<&str, ApiError> {
    if part.data.len() > MAX_FILE_BYTES {
        return Err(ApiError::invalid(format!(
            "file is larger than {MAX_FILE_BYTES} bytes"
        )));
    }
    let invalid = |_| ApiError::invalid("file is not JSON");
    serde_json::from_slice::<serde::de::IgnoredAny>(&part.data).map_err(invalid)?;
    std::str::from_utf8(&part.data).map_err(|_| ApiError::invalid("file is not UTF-8"))
}

fn read_picture(event: &Event, part: &Part) -> Result<NewPicture, ApiError> {
    if part.data.len() > MAX_PICTURE_BYTES {
        return Err(ApiError::invalid(format!(
            "picture is larger than {MAX_PICTURE_BYTES} bytes"
        )));
    }
    let (width, height) =
        jpeg::size(&part.data).ok_or_else(|| ApiError::invalid("picture is not a JPEG file"))?;
    Ok(NewPicture {
        channel: event.channel,
        origin: ImageOrigin::EventSnapshot,
        origin_id: Some(event.id.get()),
        captured: event.time,
        clock: ClockSource::ServerArrival,
        frame: ATTACHED,
        width,
        height,
        data: part.data.clone(),
    })
}

/// In place of the frame of a picture that is no frame of the channel but was made by a client.
pub(crate) const ATTACHED: FrameId = FrameId {
    run: RunId::from_uuid(Uuid::nil()),
    ticks: 0,
};

async fn replace_picture(
    state: &AppState,
    event: &Event,
    picture: &NewPicture,
) -> Result<(), ApiError> {
    while let Stored::Known(earlier) = state.gallery.store(picture).await? {
        state.gallery.delete(earlier).await?;
    }
    tracing::debug!(event.id = %event.id, "a client brought the picture of an event");
    Ok(())
}

async fn show(
    state: &AppState,
    caller: &Caller,
    origin: &Origin,
    id: &str,
) -> Result<Json<AttachmentsView>, ApiError> {
    let event = load(state, caller, id).await?;
    let thumbs = Thumbs::load(state, std::slice::from_ref(&event)).await?;
    let links = Links::new(state, origin, &caller.grant);
    Ok(Json(AttachmentsView {
        event: event.id.get(),
        picture: thumbs.of(event.id).map(|image| links.stored_image(image)),
        file: event.has_file.then(|| links.event_file(&event)),
    }))
}
