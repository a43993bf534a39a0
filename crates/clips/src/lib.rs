//! Stored clips: recorded video that becomes an object of its own, kept until its owner deletes it.
//!
//! [`Clips::create`] writes a row and a durable job down; [`ClipHandler`] does the job: it waits until the
//! range is recorded, streams the virtual clip of `framewell_playback` into the store in bounded memory,
//! makes a thumbnail, and publishes both with one write, with what the clip lacks. From then on the retention of footage does not
//! touch it. A clip may also be encoded anew ([`render`]): for players that ignore edit lists, faster, smaller,
//! or with the time and boxes drawn on it. The `janitor` deletes clips whose time is over and what a crash left.
//!
//! What does not belong here: how a clip is laid out, HTTP, rights.

mod attempt;
mod config;
mod copy;
mod error;
mod file;
mod handler;
mod janitor;
mod makeup;
mod readiness;
pub mod render;
mod request;
mod thumb;

pub use config::ClipsConfig;
pub use error::Error;
pub use file::{ClipBytes, OpenFile};
pub use handler::ClipHandler;
pub use makeup::{ClipMakeup, Lack};
pub use request::ClipRequest;

use framewell_blob::BlobStore;
use framewell_catalog::{Catalog, ClipLimit, ClipPatch, StoredClip};
use framewell_imaging::Imaging;
use framewell_jobs::Jobs;
use framewell_model::{AccountId, ClipId, ErrorKind, HasKind as _, JobState, WallClock};
use framewell_playback::Playback;
use render::Renderer;
use std::sync::Arc;

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct Clips {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    catalog: Catalog,
    blobs: BlobStore,
    playback: Playback,
    imaging: Imaging,
    clock: Arc<dyn WallClock>,
    config: ClipsConfig,
    renderer: Option<Renderer>,
}

impl Clips {
    /// Joins the parts. Without a renderer no clip is encoded anew.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        blobs: BlobStore,
        playback: Playback,
        imaging: Imaging,
        config: ClipsConfig,
        renderer: Option<Renderer>,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                catalog,
                blobs,
                playback,
                imaging,
                clock,
                config,
                renderer,
            }),
        }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClipsConfig {
        &self.inner.config
    }

    pub(crate) fn renderer(&self) -> Option<&Renderer> {
        self.inner.renderer.as_ref()
    }

    /// Whether clips can be encoded anew here; workers that are still starting are waited for.
    async fn check_renderer(&self) -> Result<(), Error> {
        let renderer = self.renderer().ok_or(Error::NoEncoder)?;
        match renderer.can_encode().await {
            Some(true) => Ok(()),
            Some(false) => Err(Error::NoEncoder),
            None => Err(Error::NoWorker),
        }
    }

    /// Takes a clip on. From here on it will be made, whatever happens to this process.
    pub async fn create(
        &self,
        account: AccountId,
        request: ClipRequest,
    ) -> Result<StoredClip, Error> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let is_rendered = request.render.is_some();
        let new = request.check(account, &inner.config, now)?;
        if is_rendered {
            self.check_renderer().await?;
        }
        let limits = inner.config.limits();
        match inner.catalog.create_clip(&new, limits, now).await? {
            Ok(id) => Ok(inner.catalog.load_clip(id, now).await?),
            Err(ClipLimit::Channel) => Err(Error::TooManyOfChannel(limits.open_of_channel)),
            Err(ClipLimit::Account) => Err(Error::TooManyOfAccount(limits.open_of_account)),
            Err(ClipLimit::Rows) => Err(Error::TooManyStored(limits.rows_of_channel)),
            Err(ClipLimit::AccountBytes) => Err(Error::AccountFull),
            Err(ClipLimit::Bytes(_)) => Err(Error::Full(inner.config.max_bytes.unwrap_or(0))),
        }
    }

    /// A clip of any account that readers see now.
    pub async fn load(&self, id: ClipId) -> Result<StoredClip, Error> {
        let now = self.inner.clock.now();
        Ok(self.inner.catalog.load_clip(id, now).await?)
    }

    /// Changes what people wrote about a clip, and when it goes; the clip as it is then.
    pub async fn change(&self, clip: &StoredClip, patch: &ClipPatch) -> Result<StoredClip, Error> {
        let inner = &self.inner;
        let now = inner.clock.now();
        request::check_text("title", patch.title.as_deref().unwrap_or_default())?;
        let group = patch.group.as_ref().and_then(Option::as_deref);
        request::check_text("group", group.unwrap_or_default())?;
        if patch.delete_at.flatten().is_some_and(|at| at <= now) {
            return Err(Error::Invalid("delete_at lies in the past".into()));
        }
        inner.catalog.change_clip(clip.id, patch, now).await?;
        self.load(clip.id).await
    }

    /// Deletes a clip: gone for readers at once, its objects with a next round of the janitor. If it is
    /// being made, that stops.
    pub async fn delete(&self, clip: &StoredClip, jobs: &Jobs) -> Result<(), Error> {
        let now = self.inner.clock.now();
        self.inner.catalog.doom_clip(clip.id, now).await?;
        let Some(job) = clip.job else {
            return Ok(());
        };
        // A turn that has begun ends by itself and takes back what it wrote; dropped in the middle, it
        // would leave the parts of an upload in the store for ever. One that begins later finds no clip.
        match self.inner.catalog.load_job(job).await {
            Ok(row) if row.state == JobState::Running => return Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        match jobs.delete(job).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
