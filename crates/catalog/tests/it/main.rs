//! The conformance suite: every test runs on SQLite and on a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod backend;
mod channels;
mod clips;
mod events;
mod gaps;
mod groups;
mod images;
mod jobs;
mod meta;
mod meta_limits;
mod meta_native;
mod meta_orphans;
mod meta_plain;
mod meta_property;
mod meta_search;
mod old_words;
mod open;
mod retention;
mod rule_steps;
mod seals;
mod segments;
mod sub_streams;
mod tokens;
