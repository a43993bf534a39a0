//! Stored clips, as the configuration wants them.

use crate::config::Http;
use anyhow::bail;
use framewell_clips::ClipsConfig;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Stored clips.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Clips {
    /// Most bytes of stored clips of all channels together; beyond it new ones are refused. One account takes
    /// `http.account_share_percent` of them at most. 0: no limit.
    pub(crate) max_bytes: u64,
    /// Longest range of a stored clip, in seconds; at most a day.
    pub(crate) max_length_s: u64,
    /// Longest range of a clip that is encoded anew, in seconds.
    pub(crate) max_rendered_s: u64,
    /// Most clips of one channel that are being made.
    pub(crate) max_open_of_channel: u32,
    /// Most clips of one account that are being made.
    pub(crate) max_open_of_account: u32,
    /// Clips that are copied at once; the others wait.
    pub(crate) jobs: usize,
    /// A clip that waits for its footage (`wait_for_data`) takes what is there so long after its end, in
    /// seconds.
    pub(crate) max_wait_s: u64,
}

impl Default for Clips {
    fn default() -> Self {
        let usual = ClipsConfig::default();
        Self {
            max_bytes: 50 << 30,
            max_length_s: usual.max_length.as_secs(),
            max_rendered_s: usual.max_rendered.as_secs(),
            max_open_of_channel: 32,
            max_open_of_account: 256,
            jobs: 2,
            max_wait_s: usual.max_wait.as_secs(),
        }
    }
}

impl Clips {
    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !(1..=86_400).contains(&self.max_length_s) {
            bail!("clips.max_length_s must be 1 to 86400");
        }
        if !(1..=86_400).contains(&self.max_rendered_s) {
            bail!("clips.max_rendered_s must be 1 to 86400");
        }
        if self.max_wait_s > 604_800 {
            bail!("clips.max_wait_s must be at most 604800");
        }
        if self.jobs == 0 || self.max_open_of_channel == 0 || self.max_open_of_account == 0 {
            bail!(
                "clips.jobs, clips.max_open_of_channel and clips.max_open_of_account must be at least 1"
            );
        }
        Ok(())
    }

    /// As the service wants it.
    pub(crate) fn config(&self, http: &Http, min_free_bytes: u64) -> ClipsConfig {
        let max_bytes = Some(self.max_bytes).filter(|bytes| *bytes > 0);
        let share = |most: u64| most / 100 * u64::from(http.account_share_percent);
        ClipsConfig {
            max_length: Duration::from_secs(self.max_length_s),
            max_rendered: Duration::from_secs(self.max_rendered_s),
            max_open_of_channel: self.max_open_of_channel.into(),
            max_open_of_account: self.max_open_of_account.into(),
            max_bytes,
            max_bytes_of_account: max_bytes.map(share),
            min_free_bytes,
            max_wait: Duration::from_secs(self.max_wait_s),
            ..ClipsConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_clips_are_bounded_unless_told_otherwise() {
        let usual = Clips::default().config(&Http::default(), 7);
        assert_eq!(usual.max_bytes, Some(50 << 30));
        assert!(usual.max_bytes_of_account < usual.max_bytes && usual.min_free_bytes == 7);
        let unlimited = Clips {
            max_bytes: 0,
            ..Clips::default()
        };
        let unlimited = unlimited.config(&Http::default(), 7);
        assert_eq!(
            (unlimited.max_bytes, unlimited.max_bytes_of_account),
            (None, None)
        );
    }
}
