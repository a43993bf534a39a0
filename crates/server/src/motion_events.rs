//! Motion that is found becomes events, with all that follows from them.

use framewell_catalog::Catalog;
use framewell_imaging::Imaging;
use framewell_insight::Insight;
use framewell_model::{NewEvent, WallClock};
use framewell_motion::{MAX_WAITING, Motion};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Looks for motion until `stop`, and stores what was found before it returns.
pub(crate) async fn run(
    catalog: Catalog,
    imaging: Imaging,
    insight: Insight,
    clock: Arc<dyn WallClock>,
    most_channels: usize,
    stop: CancellationToken,
) {
    let (sender, found) = mpsc::channel(MAX_WAITING);
    let motion = Motion::new(catalog, imaging, sender, most_channels);
    // The channel ends with the detector.
    tokio::join!(motion.run(stop), store(found, &insight, &clock));
}

async fn store(mut found: mpsc::Receiver<NewEvent>, insight: &Insight, clock: &Arc<dyn WallClock>) {
    while let Some(event) = found.recv().await {
        insight.report_or_log(&event, clock.now()).await;
    }
}
