//! Stored pictures, as the configuration wants them.

use anyhow::bail;
use framewell_gallery::{GalleryConfig, ThumbnailConfig};
use framewell_imaging::Output;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Stored pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Images {
    /// Most bytes of stored pictures of all channels together; those stored first go first. 0: no limit.
    pub(crate) max_bytes: u64,
    /// How long stored pictures are kept, in hours; 0: as long as the footage of their channel.
    pub(crate) max_age_hours: u64,
    /// JPEG quality, 1 to 100.
    pub(crate) quality: u8,
    /// Most pictures of one generation task.
    pub(crate) max_task_images: u32,
    /// Generation tasks that are worked on at once; the others wait.
    pub(crate) tasks: usize,
    /// One thumbnail of a recording per this many seconds; 0: none. A thumbnail costs about 30 ms of CPU
    /// time at full HD.
    pub(crate) thumbnail_period_s: f64,
    /// Width of thumbnails in pixels, 16 to 8192; the height follows.
    pub(crate) thumbnail_width: u32,
    /// Footage older than this gets no thumbnails any more, for example after the server was down, in
    /// hours.
    pub(crate) thumbnail_catch_up_hours: u64,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            max_bytes: 50 << 30,
            max_age_hours: 0,
            quality: 80,
            max_task_images: 100_000,
            tasks: 2,
            thumbnail_period_s: 60.0,
            thumbnail_width: 640,
            thumbnail_catch_up_hours: 24,
        }
    }
}

impl Images {
    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let period = self.thumbnail_period_s;
        if period != 0.0 && !(1.0..=86_400.0).contains(&period) {
            bail!("images.thumbnail_period_s = {period} must be 0 or 1 to 86400 seconds");
        }
        if !(16..=8_192).contains(&self.thumbnail_width) {
            bail!("images.thumbnail_width must be 16 to 8192");
        }
        if !(1..=100).contains(&self.quality) {
            bail!("images.quality must be 1 to 100");
        }
        if self.tasks == 0 || self.max_task_images == 0 {
            bail!("images.tasks and images.max_task_images must be at least 1");
        }
        Ok(())
    }

    /// As the gallery wants it.
    pub(crate) fn gallery_config(&self) -> GalleryConfig {
        let hours = |hours: u64| Duration::from_secs(hours.saturating_mul(3_600));
        let output = Output::jpeg(self.quality);
        let period = Duration::from_secs_f64(self.thumbnail_period_s);
        GalleryConfig {
            max_bytes: Some(self.max_bytes).filter(|bytes| *bytes > 0),
            max_age: Some(hours(self.max_age_hours)).filter(|age| !age.is_zero()),
            max_task_images: self.max_task_images.into(),
            output,
            thumbnails: (!period.is_zero()).then_some(ThumbnailConfig {
                period,
                output: Output {
                    width: Some(self.thumbnail_width),
                    ..output
                },
                catch_up: hours(self.thumbnail_catch_up_hours),
            }),
            ..GalleryConfig::default()
        }
    }
}
