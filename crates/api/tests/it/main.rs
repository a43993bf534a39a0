//! The HTTP faces in process, over a real catalog in a temporary folder.
//!
//! What needs video is tested end to end in the server crate.

mod auth_matrix;
mod channels;
mod common_rules;
mod groups;
mod live;
mod meta;
mod native;
mod openapi;
mod ops;
mod player;
mod records;
mod site;
