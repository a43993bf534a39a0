//! The picture of an event: that of the event's own instant, stored with its number.

use crate::{Gallery, NewPicture};
use framewell_imaging::{Match, Request, When};
use framewell_jobs::{Failure, Handler, Next, Work};
use framewell_model::{EventId, ImageOrigin};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;

/// What the job says.
#[derive(Debug, Deserialize)]
struct Parameters {
    event: EventId,
}

/// Does the jobs of kind [`framewell_catalog::EVENT_SNAPSHOT_JOB`].
#[derive(Debug, Clone)]
pub struct EventSnapshotHandler {
    gallery: Gallery,
}

impl EventSnapshotHandler {
    /// Stores into a gallery.
    #[must_use]
    pub const fn new(gallery: Gallery) -> Self {
        Self { gallery }
    }

    /// Doing it again stores nothing: the same frame is stored once for an event.
    async fn store(&self, work: &Work) -> Result<Next, Failure> {
        let Parameters { event } = work.parameters()?;
        let inner = &self.gallery.inner;
        let loaded = inner.catalog.load_event(event).await;
        let event = loaded.map_err(|error| Failure::of(&error))?;
        let request = Request {
            channel: event.channel,
            when: When::At(event.time),
            matching: Match::Exact,
            output: inner.config.output,
        };
        let image = inner.imaging.image(&request).await;
        let image = image.map_err(|error| Failure::of(&error))?;
        let picture = NewPicture {
            channel: event.channel,
            origin: ImageOrigin::EventSnapshot,
            origin_id: Some(event.id.get()),
            captured: image.captured,
            clock: image.clock,
            frame: image.frame,
            width: image.width,
            height: image.height,
            data: image.data,
        };
        let stored = self.gallery.store(&picture).await;
        stored
            .map(|_| Next::Done)
            .map_err(|error| Failure::of(&error))
    }
}

impl Handler for EventSnapshotHandler {
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, Result<Next, Failure>> {
        self.store(work).boxed()
    }
}
