//! Tokens that open one stored clip and nothing else.

use crate::{Access, Error};
use framewell_catalog::ClipShare;
use framewell_model::Secret;
use framewell_token::{ClipShareToken, clip_share_token, verify_clip_share};

impl Access {
    /// The token of a sharing (the same text at every call).
    #[must_use]
    pub fn clip_share_token(&self, share: &ClipShare) -> Secret<String> {
        let token = ClipShareToken {
            share: share.id,
            created: share.created,
            lifetime_s: u64::try_from(share.lifetime_s).unwrap_or(0),
        };
        Secret::new(clip_share_token(&self.key, token))
    }

    /// Verifies a token of a sharing: the signature first, then the row, which goes when the sharing is
    /// ended.
    pub async fn clip_share(&self, text: &str) -> Result<ClipShare, Error> {
        let token = verify_clip_share(&self.key, text.trim(), self.clock.now())?;
        match self.catalog.load_clip_share(token.share).await {
            Ok(share) if share.created == token.created => Ok(share),
            Ok(_) | Err(framewell_catalog::Error::NotFound { .. }) => Err(Error::not_valid()),
            Err(error) => Err(error.into()),
        }
    }
}
