//! Every route of the server and what it needs: the one table that builds the router and that the
//! authorisation test walks.
//!
//! Paths are written without a trailing slash; both forms work.

use crate::auth::Need;
use crate::vxg::{
    activity, cameras, channel, channel_tags, channels, clip_shares, clips, event_processing,
    event_tags, events, group_view, groups, image_live, image_tasks, images, limits, live, meta,
    meta_search, motion, records, server, signalling, storage, streams, upload,
};
use crate::{AppState, media, native, openapi, ops};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use framewell_model::Right;

/// One method of one path.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// HTTP method; a `GET` answers `HEAD` too.
    pub method: &'static str,
    /// Path template without a trailing slash.
    pub path: &'static str,
    /// Who may call it.
    pub need: Need,
    /// Makes the handler.
    pub(crate) build: fn() -> MethodRouter<AppState>,
}

type Build = fn() -> MethodRouter<AppState>;

const fn route(method: &'static str, path: &'static str, need: Need, build: Build) -> Route {
    Route {
        method,
        path,
        need,
        build,
    }
}

const OPEN: Need = Need::Nothing;
const TICKET: Need = Need::Ticket;
const ACCOUNT: Need = Need::Account;
const WATCH: Need = Need::Right(Right::Watch);
const CREATE: Need = Need::Right(Right::Create);
const META: Need = Need::Right(Right::Meta);
const CONFIGURE: Need = Need::Right(Right::Configure);
const SHARED: Need = Need::ClipShareOr(Right::Watch);
const PUBLISH: Need = Need::Right(Right::Publish);

/// The table.
#[rustfmt::skip]
pub const TABLE: &[Route] = &[
    // Operations.
    route("GET", "/healthz", OPEN, || get(ops::health::show_health)),
    route("GET", "/readyz", OPEN, || get(ops::health::show_readiness)),
    route("GET", "/metrics", OPEN, || get(ops::metrics::show_metrics)),
    // Documentation.
    route("GET", "/docs", OPEN, || get(openapi::show_docs)),
    route("GET", "/v1/openapi.json", OPEN, || get(openapi::show_openapi)),
    // Native face.
    route("GET", "/v1/channels", WATCH, || get(native::channels::list_channels)),
    route("GET", "/v1/channels/{id}", WATCH, || get(native::channels::show_channel)),
    route("GET", "/v1/channels/{id}/sub", WATCH, || get(native::sub_stream::show_sub_stream)),
    route("PUT", "/v1/channels/{id}/sub", CONFIGURE, || put(native::sub_stream::update_sub_stream)),
    route("DELETE", "/v1/channels/{id}/sub", ACCOUNT, || delete(native::sub_stream::delete_sub_stream)),
    route("GET", "/v1/channels/{id}/recording", WATCH, || get(native::recording::show_recording)),
    route("PUT", "/v1/channels/{id}/recording", CONFIGURE, || put(native::recording::update_recording)),
    route("GET", "/v1/channels/{id}/holds", WATCH, || get(native::holds::list_holds)),
    route("POST", "/v1/channels/{id}/holds", ACCOUNT, || post(native::holds::create_hold)),
    route("DELETE", "/v1/channels/{id}/holds/{hold}", ACCOUNT, || delete(native::holds::delete_hold)),
    route("GET", "/v1/channels/{id}/deletions", WATCH, || get(native::deletions::list_deletions)),
    route("GET", "/v1/channels/{id}/image", WATCH, || get(native::image::show_image)),
    route("GET", "/v1/images", WATCH, || get(native::group_images::list_group_images)),
    route("GET", "/v1/channels/{id}/images", WATCH, || get(native::images::list_images)),
    route("GET", "/v1/images/live", WATCH, || get(native::group_live::push_group_images)),
    route("GET", "/v1/channels/{id}/sheet", WATCH, || get(native::sheet::show_sheet)),
    route("GET", "/v1/channels/{id}/clip.mp4", WATCH, || get(native::clip::show_clip)),
    route("GET", "/v1/clips", WATCH, || get(native::clips::list_clips)),
    route("POST", "/v1/clips", CREATE, || post(native::clips::create_clip)),
    route("GET", "/v1/clips/{id}", WATCH, || get(native::clips::show_clip)),
    route("GET", "/v1/clips/{id}/clip.json", WATCH, || get(native::clips::show_stored_clip_info)),
    route("DELETE", "/v1/clips/{id}", CREATE, || delete(native::clips::delete_clip)),
    route("GET", "/v1/channels/{id}/clip.json", WATCH, || get(native::clip::show_clip_info)),
    route("GET", "/v1/events/{id}/clip.mp4", WATCH, || get(native::event_clip::show_event_clip)),
    route("GET", "/v1/events/{id}/clip.json", WATCH, || get(native::event_clip::show_event_clip_info)),
    route("GET", "/v1/export.zip", WATCH, || get(native::export::export_zip)),
    route("GET", "/v1/export.tar", WATCH, || get(native::export::export_tar)),
    route("GET", "/v1/channels/{id}/clip.manifest.json", WATCH, || get(native::clip_manifest::show_clip_manifest)),
    route("GET", "/v1/server/signing-key", OPEN, || get(native::clip_manifest::show_signing_key)),
    route("GET", "/v1/channels/{id}/timeline", WATCH, || get(native::timeline::show_timeline)),
    route("GET", "/v1/channels/{id}/hls", WATCH, || get(native::hls::show_recorded_hls)),
    route("GET", "/v1/channels/{id}/live", WATCH, || get(native::live::show_live)),
    route("GET", "/v1/channels/{id}/publish", PUBLISH, || get(native::publish::show_publish)),
    route("GET", "/v1/sessions", WATCH, || get(native::sessions::list_sessions)),
    route("DELETE", "/v1/sessions/{id}", CONFIGURE, || delete(native::sessions::end_session)),
    route("POST", "/v1/channels/{id}/whep", WATCH, || post(native::whep::open_whep)),
    route("POST", "/v1/channels/{id}/whip", PUBLISH, || post(native::whip::open_whip)),
    route("GET", "/v1/channels/{id}/stream.mp4", WATCH, || get(native::stream_mp4::show_stream)),
    route("GET", "/v1/channels/{id}/stream", WATCH, || get(native::stream_mp4::follow_stream)),
    route("POST", "/v1/channels/{id}/recordings", PUBLISH, || post(native::recordings::upload_recording)),
    route("POST", "/v1/events/{id}/attachments", CREATE, || post(native::event_files::attach_files)),
    route("GET", "/v1/events/stream", WATCH, || get(native::stream::follow_events)),
    route("GET", "/v1/metadata/stream", META, || get(native::stream::follow_documents)),
    route("GET", "/v1/webhooks", CONFIGURE, || get(native::webhooks::list_webhooks)),
    route("POST", "/v1/webhooks", CONFIGURE, || post(native::webhooks::create_webhook)),
    route("GET", "/v1/webhooks/{id}", CONFIGURE, || get(native::webhooks::show_webhook)),
    route("PUT", "/v1/webhooks/{id}", CONFIGURE, || put(native::webhooks::update_webhook)),
    route("DELETE", "/v1/webhooks/{id}", CONFIGURE, || delete(native::webhooks::delete_webhook)),
    route("GET", "/v1/webhooks/{id}/failures", CONFIGURE, || get(native::webhooks::list_failures)),
    route("POST", "/v1/webhooks/{id}/replay", CONFIGURE, || post(native::webhooks::replay_failures)),
    route("GET", "/v1/rules", META, || get(native::rules::list_rules)),
    route("POST", "/v1/rules", CREATE, || post(native::rules::create_rule)),
    route("GET", "/v1/rules/{id}", META, || get(native::rules::show_rule)),
    route("PUT", "/v1/rules/{id}", CREATE, || put(native::rules::update_rule)),
    route("DELETE", "/v1/rules/{id}", CREATE, || delete(native::rules::delete_rule)),
    route("POST", "/v1/metadata", META, || post(native::metadata::write::write_documents)),
    route("POST", "/v1/metadata/search", META, || post(native::metadata::search::search_documents)),
    route("POST", "/v1/metadata/buckets", META, || post(native::metadata::buckets::count_documents)),
    route("GET", "/v1/metadata/{id}", META, || get(native::metadata::one::show_one)),
    route("PATCH", "/v1/metadata/{id}", META, || patch(native::metadata::one::change_one)),
    route("DELETE", "/v1/metadata/{id}", META, || delete(native::metadata::one::delete_one)),
    // Media by ticket.
    route("GET", "/hls/{channel}/{file}", TICKET, || get(media::hls::show_hls_file)),
    route("GET", "/hls/{channel}/rec/{span}/{file}", TICKET, || get(media::hls_recorded::show_recorded_hls)),
    route("GET", "/media/live/{channel}/stream.mp4", TICKET, || get(media::live::show_live_stream)),
    route("GET", "/media/live/{channel}/stream", TICKET, || get(media::live::follow_live_stream)),
    route("GET", "/media/rec/{channel}/{name}", TICKET, || get(media::record::show_media_record)),
    route("PUT", "/upload/{channel}/{name}", TICKET, || put(media::upload::put_upload)),
    route("GET", "/media/event/{channel}/{name}", TICKET, || get(media::event_file::show_event_file)),
    route("GET", "/media/img/{channel}/{name}", TICKET, || get(media::image::show_media_image)),
    route("GET", "/media/clip/{channel}/{name}", TICKET, || get(media::clip::show_media_clip)),
    // WebRTC. The name of a session is random, and all that ending it takes.
    route("POST", "/whep/{channel}", TICKET, || post(native::whep::open_whep_by_ticket)),
    route("POST", "/whip/{channel}", TICKET, || post(native::whip::open_whip_by_ticket)),
    route("PATCH", "/webrtc/{session}", OPEN, || patch(native::whep::patch_session)),
    route("DELETE", "/webrtc/{session}", OPEN, || delete(native::whep::end_session)),
    route("GET", "/{camid}/watch/{uid}", TICKET, || get(signalling::watch)),
    // v3: administration with a license key.
    route("GET", "/api/v3/channels", ACCOUNT, || get(channels::list_channels)),
    route("POST", "/api/v3/channels", ACCOUNT, || post(channels::create_channel)),
    route("GET", "/api/v3/channels/{id}", ACCOUNT, || get(channels::show_channel)),
    route("PUT", "/api/v3/channels/{id}", ACCOUNT, || put(channels::update_channel)),
    route("DELETE", "/api/v3/channels/{id}", ACCOUNT, || delete(channels::delete_channel)),
    route("GET", "/api/v3/channels/{id}/meta", ACCOUNT, || get(channel_tags::list_channel_tags)),
    route("POST", "/api/v3/channels/{id}/meta", ACCOUNT, || post(channel_tags::create_channel_tag)),
    route("GET", "/api/v3/channels/{id}/meta/{tag}", ACCOUNT, || get(channel_tags::show_channel_tag)),
    route("PUT", "/api/v3/channels/{id}/meta/{tag}", ACCOUNT, || put(channel_tags::put_channel_tag)),
    route("DELETE", "/api/v3/channels/{id}/meta/{tag}", ACCOUNT, || delete(channel_tags::delete_channel_tag)),
    route("GET", "/api/v3/channels/{id}/limits", ACCOUNT, || get(limits::show_limits)),
    route("PUT", "/api/v3/channels/{id}/limits", ACCOUNT, || put(limits::update_limits)),
    route("GET", "/api/v3/channel_groups", ACCOUNT, || get(groups::list_channel_groups)),
    route("POST", "/api/v3/channel_groups", ACCOUNT, || post(groups::create_channel_group)),
    route("GET", "/api/v3/channel_groups/{id}", ACCOUNT, || get(groups::show_channel_group)),
    route("PUT", "/api/v3/channel_groups/{id}", ACCOUNT, || put(groups::update_channel_group)),
    route("DELETE", "/api/v3/channel_groups/{id}", ACCOUNT, || delete(groups::delete_channel_group)),
    // v5: a group.
    route("GET", "/api/v5/channels", WATCH, || get(group_view::list_group_channels)),
    route("GET", "/api/v5/channels/{id}", WATCH, || get(group_view::show_group_channel)),
    route("GET", "/api/v5/meta", WATCH, || get(group_view::list_group_tags)),
    // v4: one channel.
    route("GET", "/api/v4/channel", WATCH, || get(channel::show_own_channel)),
    route("PUT", "/api/v4/channel", CONFIGURE, || put(channel::update_own_channel)),
    route("GET", "/api/v4/live/watch", WATCH, || get(live::watch)),
    route("GET", "/api/v4/live/image", WATCH, || get(live::show_live_image)),
    route("GET", "/api/v4/live/source", CONFIGURE, || get(live::show_source_of_channel)),
    route("POST", "/api/v4/live/source", CONFIGURE, || post(live::update_source)),
    route("PUT", "/api/v4/live/source", CONFIGURE, || put(live::update_source)),
    route("GET", "/api/v4/storage/records", WATCH, || get(records::list_records)),
    route("POST", "/api/v4/storage/records/upload", PUBLISH, || post(upload::announce_records)),
    route("GET", "/api/v4/storage/records/{id}", WATCH, || get(records::show_record)),
    route("DELETE", "/api/v4/storage/records/{id}", CONFIGURE, || delete(records::delete_record)),
    route("GET", "/api/v4/images/generation/tasks", WATCH, || get(image_tasks::list_tasks)),
    route("POST", "/api/v4/images/generation/tasks", CREATE, || post(image_tasks::create_task)),
    route("GET", "/api/v4/images/generation/tasks/{id}", WATCH, || get(image_tasks::show_task)),
    route("DELETE", "/api/v4/images/generation/tasks/{id}", CREATE, || delete(image_tasks::delete_task)),
    route("GET", "/api/v4/images/generation/live", WATCH, || get(image_live::show_live_generation)),
    route("PUT", "/api/v4/images/generation/live", CREATE, || put(image_live::update_live_generation)),
    route("GET", "/api/v4/storage/images", WATCH, || get(images::list_images)),
    route("GET", "/api/v4/storage/images/{id}", WATCH, || get(images::show_image)),
    route("DELETE", "/api/v4/storage/images/{id}", CREATE, || delete(images::delete_image)),
    route("GET", "/api/v4/clips", WATCH, || get(clips::list_clips)),
    route("POST", "/api/v4/clips", CREATE, || post(clips::create_clip)),
    route("GET", "/api/v4/clips/{id}", WATCH, || get(clips::show_clip)),
    route("PUT", "/api/v4/clips/{id}", CREATE, || put(clips::update_clip)),
    route("DELETE", "/api/v4/clips/{id}", CREATE, || delete(clips::delete_clip)),
    route("POST", "/api/v4/meta", META, || post(meta::post_documents)),
    route("PUT", "/api/v4/meta", META, || put(meta::merge_documents)),
    route("DELETE", "/api/v4/meta", META, || delete(meta::delete_documents)),
    route("POST", "/api/v4/meta/filter", META, || post(meta_search::find_documents)),
    route("DELETE", "/api/v4/meta/filter", META, || delete(meta_search::delete_matching_documents)),
    // v2: cameras and storage.
    route("GET", "/api/v2/server/time", OPEN, || get(server::show_time)),
    route("GET", "/api/v2/cameras", WATCH, || get(cameras::list_cameras)),
    route("GET", "/api/v2/cameras/{id}", WATCH, || get(cameras::show_camera)),
    route("PUT", "/api/v2/cameras/{id}", CONFIGURE, || put(cameras::update_camera)),
    route("GET", "/api/v2/cameras/{id}/preview", WATCH, || get(live::show_preview)),
    route("POST", "/api/v2/cameras/{id}/preview/update", CREATE, || post(live::show_preview)),
    route("GET", "/api/v2/cameras/{id}/live_urls", WATCH, || get(live::show_live_urls)),
    route("GET", "/api/v2/cameras/{id}/media_streams", WATCH, || get(streams::show_media_streams)),
    route("GET", "/api/v2/cameras/{id}/video/streams", WATCH, || get(streams::list_video_streams)),
    route("GET", "/api/v2/cameras/{id}/video/streams/{stream}", WATCH, || get(streams::show_video_stream)),
    route("GET", "/api/v2/cameras/{id}/stream_urls", PUBLISH, || get(live::show_stream_urls)),
    route("GET", "/api/v2/storage/activity", WATCH, || get(activity::list_days)),
    route("GET", "/api/v2/storage/clips", WATCH, || get(clips::list_clips)),
    route("POST", "/api/v2/storage/clips", CREATE, || post(clips::create_clip)),
    route("GET", "/api/v2/storage/clips/{id}", SHARED, || get(clips::show_shared_clip)),
    route("PUT", "/api/v2/storage/clips/{id}", CREATE, || put(clips::update_clip)),
    route("DELETE", "/api/v2/storage/clips/{id}", CREATE, || delete(clips::delete_clip)),
    route("GET", "/api/v2/storage/clips/{id}/sharings", CREATE, || get(clip_shares::list_clip_shares)),
    route("POST", "/api/v2/storage/clips/{id}/sharings", CREATE, || post(clip_shares::create_clip_share)),
    route("DELETE", "/api/v2/storage/clips/{id}/sharings/{share}", CREATE, || delete(clip_shares::delete_clip_share)),
    route("GET", "/api/v2/storage/data", WATCH, || get(records::list_data)),
    route("GET", "/api/v2/storage/thumbnails", WATCH, || get(images::list_thumbnails)),
    route("GET", "/api/v2/storage/timeline/{camid}", WATCH, || get(storage::show_timeline)),
    route("GET", "/api/v2/storage/events", WATCH, || get(events::list_events)),
    route("POST", "/api/v2/storage/events", CREATE, || post(events::create_event)),
    route("GET", "/api/v2/storage/events/{id}", WATCH, || get(events::show_event)),
    route("DELETE", "/api/v2/storage/events/{id}", CONFIGURE, || delete(events::delete_event)),
    route("GET", "/api/v2/storage/events/{id}/meta", WATCH, || get(event_tags::list_event_tags)),
    route("POST", "/api/v2/storage/events/{id}/meta", CREATE, || post(event_tags::create_event_tag)),
    route("PUT", "/api/v2/storage/events/{id}/meta/{tag}", CREATE, || put(event_tags::put_event_tag)),
    route("DELETE", "/api/v2/storage/events/{id}/meta/{tag}", CREATE, || delete(event_tags::delete_event_tag)),
    route("GET", "/api/v2/cameras/{id}/event_processing/events", WATCH, || get(event_processing::list_processing)),
    route("POST", "/api/v2/cameras/{id}/event_processing/events", CONFIGURE, || post(event_processing::create_processing)),
    route("GET", "/api/v2/cameras/{id}/event_processing/events/{name}", WATCH, || get(event_processing::show_processing)),
    route("PUT", "/api/v2/cameras/{id}/event_processing/events/{name}", CONFIGURE, || put(event_processing::update_processing)),
    route("DELETE", "/api/v2/cameras/{id}/event_processing/events/{name}", CONFIGURE, || delete(event_processing::delete_processing)),
    route("GET", "/api/v2/cameras/{id}/motion_detection", WATCH, || get(motion::show_motion_detection)),
    route("GET", "/api/v2/cameras/{id}/motion_detection/regions", WATCH, || get(motion::list_motion_regions)),
    route("PUT", "/api/v2/cameras/{id}/motion_detection/regions", CONFIGURE, || put(motion::update_motion_regions)),
    route("POST", "/api/v2/cameras/{id}/event_processing/events/{name}/trigger", CREATE, || post(event_processing::trigger)),
    route("POST", "/api/v2/storage/meta/filter", META, || post(meta_search::find_documents_of_all)),
];
