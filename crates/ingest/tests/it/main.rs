//! Ingest against scripted cameras over real sockets.

mod arrival;
mod credentials;
mod faults;
mod reconcile;
mod rig;
