//! HTTP: the VXG-compatible face, the native face, media URLs, operations.
//!
//! Entry point: [`router`]. Every route of the server stands in one table ([`routes`]) together with
//! the credential and the right that it needs; the gate in [`auth`] enforces it before any handler
//! runs. The oddities of the compatible contract (naive times, envelopes, token forms) stop in
//! `vxg` and never reach a service.

pub mod auth;
mod body;
mod config;
mod error;
mod face;
mod form_data;
mod jpeg;
mod live_stats;
mod manifests;
mod media;
mod multipart;
mod native;
mod openapi;
mod ops;
mod origin;
mod params;
mod picture;
mod ranged;
mod router;
pub mod routes;
mod state;
mod upload;
mod visitor;
mod vxg;
mod webrtc;

pub use config::{ApiConfig, BodyBudget, PublicEndpoint};
pub use error::ApiError;
pub use manifests::Manifests;
pub use openapi::document as openapi_document;
pub use router::router;
pub use state::AppState;
pub use visitor::Visitor;
pub use webrtc::{WebRtc, WebRtcRefusal, WebRtcSession, WebRtcWanted};
