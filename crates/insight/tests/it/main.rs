//! Insight over a real database.

#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod events;
mod rules;
