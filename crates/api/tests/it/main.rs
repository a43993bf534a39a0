//! The HTTP faces in process, over a real catalog in a temporary folder.
//!
//! What needs video is tested end to end in the server crate.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auth_matrix;
mod channels;
mod clip_files;
mod clips;
mod common_rules;
mod event_files;
mod event_processing;
mod events;
mod exports;
mod group_images;
mod groups;
mod images;
mod live;
mod meta;
mod metadata;
mod metadata_frames;
mod metadata_near;
mod native;
mod openapi;
mod ops;
mod places;
mod player;
mod recorded_hls;
mod records;
mod retention;
mod secrets;
mod sessions;
mod site;
mod stored_clips;
mod stream;
mod vanishing;
mod webhooks;
