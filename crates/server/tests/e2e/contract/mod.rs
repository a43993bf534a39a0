//! The conformance checklist of the compatible API, line by line, over real HTTP.
//!
//! Numbers are those of the checklist in the design's contract document (section 17).

pub(crate) mod clips;
mod common;
mod events;
mod footage;
mod images;
mod metadata;
mod motion;
mod paging;
mod player;
mod records;
mod rules;
mod tags;
mod times;
mod tokens;
mod watch_token;

use crate::client::{Answer, decode_token};
use framewell_model::WallTime;
use serde_json::{Value, json};

/// Declares tests that run on a server over each database; the argument is a line of configuration for
/// [`crate::server::Server::start_with`].
macro_rules! on_both_databases {
    ($($(#[$doc:meta])* async fn $name:ident($database:ident: &str) $body:block)*) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "a body may need none of them")]
            use super::*;

            async fn check($database: &str) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                check("").await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgres() {
                let database = framewell_testkit::postgres::TestDatabase::create();
                let database = database.expect("a database");
                check(&format!("database_url = {:?}", database.url())).await;
            }
        }
    )*};
}
use on_both_databases;

/// A source that is never reached: these channels need no video.
fn nowhere() -> Value {
    json!({"url": "rtsp://127.0.0.1:9/none"})
}

/// A member that is a text.
fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// A member that is a list.
fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
}

/// The objects of a list answer.
fn objects(answer: &Value) -> &[Value] {
    list(&answer["objects"])
}

/// A time of an answer, which has no zone and is UTC.
fn time(value: &Value) -> WallTime {
    let text = text(value);
    format!("{text}Z")
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The secret inside a base64 token, as `?token=` takes it.
pub(crate) fn inner_token(token: &str) -> String {
    text(&decode_token(token)["token"]).to_owned()
}

/// No text below this value looks like a time with a zone.
fn assert_no_zones(value: &Value) {
    match value {
        Value::String(text) => {
            let is_time =
                text.len() >= 19 && text.as_bytes()[4] == b'-' && text.as_bytes()[10] == b'T';
            let has_zone =
                text.ends_with('Z') || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
            assert!(!(is_time && has_zone), "{text} has a zone");
        }
        Value::Array(items) => items.iter().for_each(assert_no_zones),
        Value::Object(members) => members.values().for_each(assert_no_zones),
        _ => {}
    }
}

/// An error in the words of the contract, and only those.
fn assert_vxg_error(answer: &Answer, status: u16) {
    let error = answer.expect(status);
    assert_eq!(error["status"], status, "{error}");
    assert!(
        error["errorType"].is_string() && error["errorDetail"].is_string(),
        "{error}"
    );
    let error_type = text(&error["errorType"]);
    match status {
        401 => assert_eq!(error_type, "invalid_auth", "{error}"),
        403 => assert_eq!(error_type, "access_deny", "{error}"),
        _ => assert!(!error_type.is_empty(), "{error}"),
    }
}
