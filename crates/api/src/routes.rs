//! Every route of the server and what it needs: the one table that builds the router and that the
//! authorisation test walks.

use crate::auth::Need;
use crate::{AppState, ops};
use axum::routing::{MethodRouter, get};

/// One method of one path.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// HTTP method; a `GET` answers `HEAD` too.
    pub method: &'static str,
    /// Path template without a trailing slash.
    pub path: &'static str,
    /// Who may call it.
    pub need: Need,
    /// Makes the handler.
    pub(crate) build: fn() -> MethodRouter<AppState>,
}

const fn open(
    method: &'static str,
    path: &'static str,
    build: fn() -> MethodRouter<AppState>,
) -> Route {
    Route {
        method,
        path,
        need: Need::Nothing,
        build,
    }
}

/// The table.
pub const TABLE: &[Route] = &[open("GET", "/healthz", || get(ops::health::show_health))];
