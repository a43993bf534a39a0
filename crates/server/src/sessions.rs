//! How many readers and publishers of video there may be.

use crate::config::Http;
use framewell_access::places::{Occupation, Places};
use framewell_access::sessions::SessionsConfig;
use serde::{Deserialize, Serialize};

/// Readers and publishers of video, over all protocols.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sessions {
    /// Most sessions at once; beyond it 503. `http.token_share_percent` and `http.account_share_percent` say how
    /// many of them one token and one account may have.
    pub(crate) max: usize,
    /// While the server sends more than this many Mbit/s to readers, no new one is taken: 503. 0: no limit.
    pub(crate) max_mbit_s: u64,
    /// The same for the readers of one token: 429. 0: no limit.
    pub(crate) token_max_mbit_s: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            max: 4_096,
            max_mbit_s: 0,
            token_max_mbit_s: 0,
        }
    }
}

impl Sessions {
    /// As the service takes them.
    pub(crate) fn limits(&self, http: &Http) -> SessionsConfig {
        let (token, account) = (http.token_share_percent, http.account_share_percent);
        let bits =
            |megabits: u64| Some(megabits.saturating_mul(1_000_000)).filter(|bits| *bits > 0);
        SessionsConfig {
            places: Places::with_accounts(Occupation::Session, self.max, token, account),
            max_bits_per_s: bits(self.max_mbit_s),
            token_max_bits_per_s: bits(self.token_max_mbit_s),
        }
    }
}
