//! Who may do what: credentials in, [`Grant`](framewell_model::Grant) out, checked against the catalog
//! at every call.
//!
//! Entry point: [`Access::authenticate`], then [`Access::check_channel`]. Nothing of that is
//! cached, so a revocation acts on the next call; on what tickets open it acts within seconds
//! ([`Access::admit_ticket`]). What a credential allows comes from its row, never from what a client wrote
//! around it. What does not belong here: HTTP headers, and which route needs which right.

mod admitted;
mod authenticate;
mod check;
mod clip_share;
mod error;
mod issue;
pub mod places;
mod scope;
pub mod sessions;
mod stream;

pub use authenticate::Credential;
pub use error::Error;
pub use framewell_token::MediaTicket;
pub use framewell_token::is_clip_share;
pub use scope::MediaScope;
pub use stream::{Admission, StreamUse};

use admitted::Admitted;
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
    admitted: Admitted,
}

impl Access {
    /// Joins the parts.
    #[must_use]
    pub fn new(catalog: Catalog, key: SigningKey, clock: Arc<dyn WallClock>) -> Self {
        Self {
            catalog,
            key,
            clock,
            admitted: Admitted::default(),
        }
    }
}
