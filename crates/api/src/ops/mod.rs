//! For whoever runs the server.

pub(crate) mod health;
