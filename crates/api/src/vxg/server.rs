//! `/api/v2/server/time/` (contract section 12.4): players start with it, without a credential.

use crate::AppState;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

pub(crate) async fn show_time(State(state): State<AppState>) -> Json<Value> {
    Json(json!({ "utc": state.clock.now().to_naive_text() }))
}
