//! Tells others what happened, without being asked each time: webhooks ([`webhook`]) and MQTT ([`mqtt`]).
//!
//! They follow the feeds of `framewell-insight` with a cursor that is stored, so that nothing is lost over
//! a crash, and tell some things twice rather than not at all. What does not belong here: subscriptions
//! that a client holds open (they are in the API), and who may make a webhook.

pub mod mqtt;
pub mod webhook;
