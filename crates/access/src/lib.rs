//! Who may do what: credentials in, [`Grant`](framewell_model::Grant) out, checked against the catalog
//! at every call.
//!
//! Entry point: [`Access::authenticate`], then [`Access::check_channel`]. Nothing is cached, so a
//! revocation acts on the next call. What a credential allows comes from its row, never from what a
//! client wrote around it. What does not belong here: HTTP headers, and which route needs which right.

mod authenticate;
mod check;
mod error;
mod issue;
pub mod places;
mod scope;
pub mod sessions;
mod stream;

pub use authenticate::Credential;
pub use error::Error;
pub use framewell_token::MediaTicket;
pub use scope::MediaScope;
pub use stream::{Admission, StreamUse};

use framewell_catalog::Catalog;
use framewell_model::WallClock;
use framewell_token::SigningKey;
use std::sync::Arc;

/// The gate; cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    catalog: Catalog,
    key: SigningKey,
    clock: Arc<dyn WallClock>,
}

impl Access {
    /// Joins the parts.
    #[must_use]
    pub fn new(catalog: Catalog, key: SigningKey, clock: Arc<dyn WallClock>) -> Self {
        Self {
            catalog,
            key,
            clock,
        }
    }
}
