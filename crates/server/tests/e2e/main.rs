//! The real `framewell` process, real cameras over RTSP, real players.

mod client;
mod server;
