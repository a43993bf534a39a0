//! Event objects (contract section 10.1).

use crate::AppState;
use crate::error::ApiError;
use crate::native::event_files::ATTACHED;
use crate::origin::Links;
use crate::params::Params;
use framewell_catalog::{ImageFilter, Order, Slice};
use framewell_model::{ChannelId, Event, EventId, ImageOrigin, StoredImage};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Which members an event object has besides those that are always there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shown {
    pub(crate) has_meta: bool,
    pub(crate) has_file: bool,
}

impl Shown {
    pub(crate) fn read(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            has_meta: params.flag("include_meta")?,
            has_file: params.flag("include_filemeta_download")?,
        })
    }
}

/// The pictures of events.
#[derive(Debug, Default)]
pub(crate) struct Thumbs(BTreeMap<i64, StoredImage>);

impl Thumbs {
    /// Of these events.
    pub(crate) async fn load(state: &AppState, events: &[Event]) -> Result<Self, ApiError> {
        if events.is_empty() {
            return Ok(Self::default());
        }
        let mut channels: Vec<ChannelId> = events.iter().map(|event| event.channel).collect();
        channels.sort_unstable();
        channels.dedup();
        let filter = ImageFilter {
            channels,
            origins: Some(vec![ImageOrigin::EventSnapshot]),
            origin_ids: Some(events.iter().map(|event| event.id.get()).collect()),
            ..ImageFilter::default()
        };
        // An event has one picture, two for a moment while one takes the place of the other.
        let most = Slice {
            limit: i64::try_from(events.len() * 2).unwrap_or(i64::MAX),
            offset: 0,
        };
        let page = state.catalog.list_images(&filter, Order::Ascending, most);
        let mut thumbs: BTreeMap<i64, StoredImage> = BTreeMap::new();
        for image in page.await?.items {
            let Some(event) = image.origin_id else {
                continue;
            };
            // What a client brought counts more than what the server took, then the newest.
            let rank = |image: &StoredImage| (image.frame == ATTACHED, image.id);
            let is_better = |known| rank(known) < rank(&image);
            if thumbs.get(&event).is_none_or(is_better) {
                thumbs.insert(event, image);
            }
        }
        Ok(Self(thumbs))
    }

    pub(crate) fn of(&self, event: EventId) -> Option<&StoredImage> {
        self.0.get(&event.get())
    }
}

/// Members are absent where there is nothing to say: `null` makes clients fail (contract section 2.4).
pub(crate) fn event_object(
    links: &Links<'_>,
    event: &Event,
    thumbs: &Thumbs,
    shown: Shown,
) -> Value {
    let mut object = json!({
        "id": event.id,
        "name": event.name,
        "camid": event.channel,
        "time": event.time.to_naive_text(),
    });
    if shown.has_meta {
        object["meta"] = json!(event.tags);
    }
    if let Some(image) = thumbs.of(event.id) {
        object["thumb"] = json!({
            "url": links.stored_image(image),
            "time": image.time.to_naive_text(),
            "width": image.width,
            "height": image.height,
            "size": image.size_bytes,
        });
    }
    if shown.has_file && event.has_file {
        object["filemeta"] = json!({ "download": { "url": links.event_file(event) } });
    }
    object
}
