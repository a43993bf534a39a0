//! Liveness and readiness.

use crate::AppState;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// `/healthz`: the process answers.
pub(crate) async fn show_health(State(state): State<AppState>) -> Json<Value> {
    Json(json!({ "status": "ok", "version": state.config.version }))
}
