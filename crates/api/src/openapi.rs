//! The OpenAPI document of the native face.

/// The document as served at `/v1/openapi.json`.
#[must_use]
pub fn document() -> serde_json::Value {
    serde_json::json!({})
}
