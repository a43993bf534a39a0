//! A data folder as `kill -9` leaves it: many stored segments, and an unfinished file of each channel.

use crate::rows::{Bare, Pattern, SEGMENT_US, Spot, clip, identity, segment};
use crate::{Failure, channels, open};
use serde_json::{Value, json};
use std::path::Path;

/// `stored` published rows, and an unfinished file for each of `open` channels: half a segment and the beginning of a
/// fragment. The objects of the rows are not made: a start does not look at them.
pub(crate) async fn leave(
    url: &str,
    data_dir: &Path,
    open_files: usize,
    stored: usize,
) -> Result<Value, Failure> {
    std::fs::create_dir_all(data_dir)?;
    let clip = clip()?;
    let pattern = Pattern::of(&clip)?;
    let catalog = open(url).await?;
    let channels = channels(&catalog, open_files).await?;
    let mut bare = Bare::connect(url).await?;
    let each = stored.div_ceil(open_files.max(1));
    let spots = (0..each).flat_map(|number| {
        let number = number as i64;
        channels.iter().map(move |channel| Spot {
            channel: *channel,
            number,
            start_us: number * SEGMENT_US,
        })
    });
    let rows = bare.fill(&pattern, spots.take(stored)).await?;
    bare.settle().await?;
    let mut bytes = 0;
    for channel in &channels {
        let number = each as i64;
        let identity = identity(*channel, number, number * SEGMENT_US);
        let whole = segment(&clip, &identity);
        let torn = &whole[..whole.len() / 2 + 1];
        let folder = data_dir.join("spool").join(channel.to_string());
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.mp4", identity.segment));
        std::fs::write(file, torn)?;
        bytes += torn.len() as u64;
    }
    catalog.close().await;
    Ok(json!({"rows": rows, "files": channels.len(), "bytes": bytes}))
}
