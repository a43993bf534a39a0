//! For whoever runs the server: health and metrics. No credential: they say nothing about content.

pub(crate) mod health;
pub(crate) mod metrics;
