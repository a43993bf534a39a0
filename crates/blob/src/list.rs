//! What lies in the store, for those who compare it with the catalog.

use crate::store::store_error;
use crate::{BlobStore, Error, ObjectKey};
use framewell_model::{ChannelId, WallTime};
use futures::TryStreamExt as _;
use object_store::ObjectStore as _;
use object_store::path::Path;

/// Where segments lie.
const SEGMENTS: &str = "seg";

/// An object that was found by a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its place in the store.
    pub path: String,
    /// The same as a key, with the full hour as its time; `None` if the name is none of ours.
    pub key: Option<ObjectKey>,
    /// Bytes.
    pub size: u64,
    /// When it was put.
    pub modified: WallTime,
}

impl BlobStore {
    /// Channels, and sub streams of channels, that have segments, ascending. Folders with other names are left out.
    pub async fn segment_channels(&self) -> Result<Vec<ChannelId>, Error> {
        let folders = self.folders(SEGMENTS).await?;
        let mut channels: Vec<ChannelId> = folders
            .iter()
            .filter_map(|name| ChannelId::parse_stored(name))
            .collect();
        channels.sort_unstable();
        Ok(channels)
    }

    /// Days (UTC) on which segments of a channel start, ascending: the first moment of each.
    pub async fn segment_days(&self, channel: ChannelId) -> Result<Vec<WallTime>, Error> {
        let folders = self.folders(&format!("{SEGMENTS}/{channel}")).await?;
        let midnight = |day: &String| format!("{day}T00:00:00Z").parse().ok();
        let mut days: Vec<WallTime> = folders.iter().filter_map(midnight).collect();
        days.sort_unstable();
        Ok(days)
    }

    /// What lies in the folder of a channel's day, ascending by path; all of it is in memory: some hundred
    /// bytes for each segment of the day.
    pub async fn segments_of_day(
        &self,
        channel: ChannelId,
        day: WallTime,
    ) -> Result<Vec<StoredObject>, Error> {
        let text = day.to_naive_text();
        let date = text.split('T').next().unwrap_or_default();
        let folder = format!("{SEGMENTS}/{channel}/{date}");
        let listed = self.store.list(Some(&Path::from(folder.as_str())));
        let stored = listed.map_ok(|meta| {
            let path = meta.location.to_string();
            StoredObject {
                key: ObjectKey::parse_segment(&path),
                path,
                size: meta.size,
                modified: WallTime::from_micros(meta.last_modified.timestamp_micros()),
            }
        });
        let stored: Result<Vec<_>, _> = stored.try_collect().await;
        let mut stored = stored.map_err(|error| store_error("list", &folder, error.into()))?;
        stored.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(stored)
    }

    /// Names of the folders in a folder.
    async fn folders(&self, folder: &str) -> Result<Vec<String>, Error> {
        let listed = self
            .store
            .list_with_delimiter(Some(&Path::from(folder)))
            .await;
        let listed = listed.map_err(|error| store_error("list", folder, error.into()))?;
        let name = |path: &Path| path.filename().map(str::to_owned);
        Ok(listed.common_prefixes.iter().filter_map(name).collect())
    }
}
