//! Who signs manifests of clips, and how many are made at a time.

use framewell_archive::manifest::Signer;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Manifests made at a time: each reads its whole clip, as fast as the store gives it.
const AT_ONCE: usize = 2;

/// Signs manifests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Manifests {
    pub(crate) signer: Signer,
    places: Arc<Semaphore>,
}

impl Manifests {
    /// With the key of the server.
    #[must_use]
    pub fn new(signer: Signer) -> Self {
        Self {
            signer,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// A place to make one, held until it is made; `None` while all are taken.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }
}
