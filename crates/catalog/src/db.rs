//! Connection, migrations, change notice.

use crate::Error;
use tokio::sync::watch;

/// Which database.
#[derive(Debug, Clone)]
pub struct CatalogConfig {
    /// `sqlite:PATH` (created if missing) or `postgres://…`.
    pub url: framewell_model::Secret<String>,
    /// Most open connections (PostgreSQL; SQLite has one writer and a few readers).
    pub max_connections: u32,
}

/// Handle to the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    _private: (),
}

impl Catalog {
    /// Connects and migrates.
    pub async fn open(config: &CatalogConfig) -> Result<Self, Error> {
        let _ = config;
        todo!()
    }

    /// Answers if the database does (`/readyz`).
    pub async fn ping(&self) -> Result<(), Error> {
        todo!()
    }

    /// Closes all connections.
    pub async fn close(&self) {
        todo!()
    }

    /// Moves whenever a channel is created, changed or deleted through this handle or a clone.
    #[must_use]
    pub fn channel_changes(&self) -> watch::Receiver<u64> {
        todo!()
    }
}
