//! How pictures are made and kept.

use framewell_imaging::Output;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Periods of live pictures that can be asked for, in microseconds: 0.1 s to a day.
pub const LIVE_PERIOD_US: RangeInclusive<i64> = 100_000..=86_400_000_000;

/// How pictures are made and kept.
#[derive(Debug, Clone, PartialEq)]
pub struct GalleryConfig {
    /// Most bytes of stored pictures of all channels; those stored first go first. `None`: no limit.
    pub max_bytes: Option<u64>,
    /// Pictures captured longer ago go, whatever their channel keeps. `None`: no limit.
    pub max_age: Option<Duration>,
    /// Most pictures that one generation task may ask for.
    pub max_task_images: i64,
    /// Most open generation tasks of one channel.
    pub max_open_tasks: i64,
    /// Size and quality of pictures of tasks and of live streams.
    pub output: Output,
    /// Thumbnails of recordings; `None`: none are made.
    pub thumbnails: Option<ThumbnailConfig>,
}

/// How thumbnails of recordings are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThumbnailConfig {
    /// One per this time, on whole multiples of it since the epoch.
    pub period: Duration,
    /// Size and quality.
    pub output: Output,
    /// Footage older than this gets none any more: bounds the work after a long pause, or when
    /// thumbnails are switched on beside an old archive.
    pub catch_up: Duration,
}

impl Default for GalleryConfig {
    fn default() -> Self {
        Self {
            max_bytes: None,
            max_age: None,
            max_task_images: 100_000,
            max_open_tasks: 100,
            output: Output::jpeg(80),
            thumbnails: None,
        }
    }
}

/// What the gallery must know about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelPolicy {
    /// Its footage, and with it its pictures, is kept this long.
    pub retention: Option<Duration>,
    /// A picture of the live stream is stored every so many microseconds, more than 0.
    pub live_period_us: Option<i64>,
}
