//! How clips are made and kept.

use framewell_catalog::ClipLimits;
use framewell_imaging::Output;
use std::time::Duration;

/// How clips are made and kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipsConfig {
    /// Longest range of a clip.
    pub max_length: Duration,
    /// Longest range of a clip that is encoded anew.
    pub max_rendered: Duration,
    /// Most clips of one channel that are being made.
    pub max_open_of_channel: i64,
    /// Most clips of one account that are being made.
    pub max_open_of_account: i64,
    /// Most bytes of all stored clips together; beyond it new ones are refused: those that are stored are
    /// what their owners keep. `None`: no limit. Clips that are being made at the same time may pass it
    /// by one each.
    pub max_bytes: Option<u64>,
    /// Most bytes of the stored clips of one account.
    pub max_bytes_of_account: Option<u64>,
    /// Nothing is copied while less than this is free where the objects lie: clips are kept, so footage
    /// would have to make room for them.
    pub min_free_bytes: u64,
    /// Most clips of one channel, with those that failed.
    pub max_clips_of_channel: i64,
    /// A clip that waits for its footage takes what is there so long after its end.
    pub max_wait: Duration,
    /// Size and quality of thumbnails.
    pub thumb: Output,
}

impl Default for ClipsConfig {
    fn default() -> Self {
        Self {
            max_length: Duration::from_secs(4 * 3_600),
            max_rendered: Duration::from_secs(3_600),
            max_open_of_channel: 32,
            max_open_of_account: 256,
            max_bytes: None,
            max_bytes_of_account: None,
            min_free_bytes: 0,
            max_clips_of_channel: 10_000,
            max_wait: Duration::from_secs(3_600),
            thumb: Output {
                width: Some(640),
                ..Output::jpeg(80)
            },
        }
    }
}

impl ClipsConfig {
    pub(crate) fn limits(&self) -> ClipLimits {
        let bytes = |most: Option<u64>| most.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        ClipLimits {
            open_of_channel: self.max_open_of_channel,
            open_of_account: self.max_open_of_account,
            rows_of_channel: self.max_clips_of_channel,
            bytes: bytes(self.max_bytes),
            bytes_of_account: bytes(self.max_bytes_of_account),
        }
    }
}
