//! Webhooks over real HTTP, with a real database, real jobs and a receiver that can be told how to behave;
//! MQTT with a real broker.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broker;
mod failures;
mod mqtt;
mod policy;
mod receiver;
mod rig;
mod webhooks;
