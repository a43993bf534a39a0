//! The real `framewell` process, real cameras over RTSP, real players.

mod bad_input;
mod browser;
mod bucket;
mod by_event;
mod cameras;
mod client;
mod contract;
mod crash;
mod group_pictures;
mod hostile;
mod image_tasks;
mod images;
mod main_job;
mod metadata;
mod one_picture;
mod push;
mod raw_socket;
mod real_footage;
mod revoke;
mod server;
mod site;
mod slow_reader;
mod text;
mod tools;
mod webhooks;
