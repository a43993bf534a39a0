//! Live decoders and pushes, as the configuration wants them.

use anyhow::bail;
use framewell_imaging::HubConfig;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Live pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Live {
    /// How long the newest picture of a channel is kept decoded after somebody asked for it, in seconds.
    /// While it is, each picture of the camera is decoded.
    pub(crate) lease_s: f64,
    /// Most channels that are decoded live at a time; beyond it 503.
    pub(crate) max_decoders: usize,
    /// Most pushes of pictures at a time, of channels and of groups; beyond it 503.
    pub(crate) max_pushes: usize,
}

impl Default for Live {
    fn default() -> Self {
        let hub = HubConfig::default();
        Self {
            lease_s: hub.lease.as_secs_f64(),
            max_decoders: hub.max_decoders,
            max_pushes: 256,
        }
    }
}

impl Live {
    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !(0.0..=86_400.0).contains(&self.lease_s) {
            bail!("live.lease_s = {} must be 0 to 86400 seconds", self.lease_s);
        }
        Ok(())
    }

    /// Most channels in which motion is looked for: half of the decoders, so that clients find one too.
    pub(crate) fn motion_channels(&self) -> usize {
        (self.max_decoders / 2).max(1)
    }

    /// As the hub wants it.
    pub(crate) fn config(&self) -> HubConfig {
        HubConfig {
            lease: Duration::from_secs_f64(self.lease_s),
            max_decoders: self.max_decoders,
        }
    }
}
