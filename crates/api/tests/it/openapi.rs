//! The committed OpenAPI document is what the code says.

use crate::site::Site;
use framewell_api::{openapi_document, routes};
use std::path::Path;

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[tokio::test]
async fn the_committed_document_is_the_one_that_is_served() {
    let served = Site::new()
        .await
        .get("", "/v1/openapi.json")
        .await
        .expect(200);
    assert_eq!(served, openapi_document(VERSION));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ref/openapi.json");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let committed: serde_json::Value = serde_json::from_str(&committed).unwrap_or_default();
    assert!(
        committed == served,
        "docs/ref/openapi.json is out of date: run cargo xtask gen"
    );
}

#[test]
fn the_document_describes_every_native_route_and_no_other() {
    let document = openapi_document(VERSION);
    assert_eq!(document["openapi"], "3.1.0");
    let documented: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let mut routed: Vec<&str> = routes::TABLE
        .iter()
        .map(|route| route.path)
        .filter(|path| path.starts_with("/v1/") && *path != "/v1/openapi.json")
        .collect();
    routed.sort_unstable();
    // Several methods of one path.
    routed.dedup();
    assert_eq!(documented, routed);
}
