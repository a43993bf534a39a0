//! Liveness and readiness.

use crate::AppState;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// `/healthz`: the process answers.
pub(crate) async fn show_health(State(state): State<AppState>) -> Json<Value> {
    Json(json!({ "status": "ok", "version": state.config.version }))
}

/// `/readyz`: requests can be served, which needs the database.
pub(crate) async fn show_readiness(State(state): State<AppState>) -> Response {
    match state.catalog.ping().await {
        Ok(()) => Json(json!({ "status": "ready" })).into_response(),
        Err(error) => ApiError::from(error)
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
            .into_response(),
    }
}
