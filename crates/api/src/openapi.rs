//! The OpenAPI document of the native face, and the page that shows it.

use crate::{AppState, native};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Framewell native API",
        description = "Pictures, clips and streams of cameras, live and recorded. Any token of the server works as a bearer token: license key, group token, channel token. Times are RFC 3339 in UTC.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(
        native::sub_stream::show_sub_stream,
        native::sub_stream::update_sub_stream,
        native::sub_stream::delete_sub_stream,
        native::channels::list_channels,
        native::channels::show_channel,
        native::recording::show_recording,
        native::recording::update_recording,
        native::recordings::upload_recording,
        native::holds::list_holds,
        native::holds::create_hold,
        native::holds::delete_hold,
        native::deletions::list_deletions,
        native::image::show_image,
        native::images::list_images,
        native::sheet::show_sheet,
        native::group_images::list_group_images,
        native::group_live::push_group_images,
        native::clip::show_clip,
        native::clips::create_clip,
        native::clips::list_clips,
        native::clips::show_clip,
        native::clips::show_stored_clip_info,
        native::clips::delete_clip,
        native::clip::show_clip_info,
        native::event_clip::show_event_clip,
        native::event_clip::show_event_clip_info,
        native::export::export_zip,
        native::export::export_tar,
        native::clip_manifest::show_clip_manifest,
        native::clip_manifest::show_signing_key,
        native::timeline::show_timeline,
        native::live::show_live,
        native::publish::show_publish,
        native::sessions::list_sessions,
        native::sessions::end_session,
        native::hls::show_recorded_hls,
        native::whep::open_whep,
        native::whip::open_whip,
        native::stream_mp4::show_stream,
        native::stream_mp4::follow_stream,
        native::event_files::attach_files,
        native::stream::follow_events,
        native::stream::follow_documents,
        native::webhooks::list_webhooks,
        native::webhooks::create_webhook,
        native::webhooks::show_webhook,
        native::webhooks::update_webhook,
        native::webhooks::delete_webhook,
        native::webhooks::list_failures,
        native::webhooks::replay_failures,
        native::rules::list_rules,
        native::rules::create_rule,
        native::rules::show_rule,
        native::rules::update_rule,
        native::rules::delete_rule,
        native::metadata::write::write_documents,
        native::metadata::one::show_one,
        native::metadata::one::change_one,
        native::metadata::one::delete_one,
        native::metadata::search::search_documents,
        native::metadata::buckets::count_documents,
    ),
    tags(
        (name = "channels", description = "Cameras behind the token"),
        (name = "pictures", description = "Any picture, now or recorded"),
        (name = "events", description = "What happened, and when"),
        (name = "metadata", description = "What engines saw"),
        (name = "webhooks", description = "Events and documents posted to a URL"),
        (name = "rules", description = "Events that the server makes of documents"),
        (name = "sessions", description = "Who reads and publishes video"),
        (name = "video", description = "Clips, timelines and live streams"),
    ),
    security(("bearer" = []), ("token" = [])),
    modifiers(&Security),
)]
struct Document;

/// How a token is sent.
struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let query = ApiKeyValue::with_description("token", "For GET only, so that <img> works");
        components.add_security_scheme("token", SecurityScheme::ApiKey(ApiKey::Query(query)));
    }
}

/// The document as served at `/v1/openapi.json` by this version.
#[must_use]
pub fn document(version: &str) -> Value {
    let mut document = Document::openapi();
    version.clone_into(&mut document.info.version);
    serde_json::to_value(document).expect("the document is plain data")
}

pub(crate) async fn show_openapi(State(state): State<AppState>) -> Json<Value> {
    Json(document(&state.config.version))
}

/// The page loads nothing from anywhere but this server.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    connect-src 'self'; img-src 'self' blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn show_docs() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ];
    (headers, include_str!("docs.html")).into_response()
}
