//! Texts that are said to be tokens and tickets.

use framewell_model::WallTime;
use framewell_token::{
    SigningKey, clip_share_token, inner_token, is_clip_share, license_key, media_ticket,
    share_token, verify_clip_share, verify_license_key, verify_media_ticket, verify_share_token,
};
use std::sync::LazyLock;

/// What the tickets among the seeds open.
pub const SCOPE: &str = "live/7";
/// When tokens are looked at.
pub const NOW: WallTime = WallTime::from_secs(1_767_225_600);

/// The key of the seeds, which is worth nothing.
pub static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::new(vec![7; 32]).expect("32 bytes"));

/// Only texts that we made are good, and the same text is made again from what they say.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let inner = inner_token(text);
    if let Ok(inner) = &inner {
        assert_eq!(
            inner_token(inner).as_ref(),
            Ok(inner),
            "it is its own inner form"
        );
    }
    let text = inner.as_deref().unwrap_or(text);
    if let Ok(serial) = verify_license_key(&KEY, text) {
        assert_eq!(license_key(&KEY, serial), text);
    }
    if let Ok(token) = verify_share_token(&KEY, text, NOW) {
        assert_eq!(share_token(&KEY, token), text);
    }
    if let Ok(token) = verify_clip_share(&KEY, text, NOW) {
        assert!(is_clip_share(text), "it is known for what it is");
        assert_eq!(clip_share_token(&KEY, token), text);
    }
    if let Ok(ticket) = verify_media_ticket(&KEY, text, SCOPE, NOW) {
        let again = media_ticket(&KEY, ticket.holder, SCOPE, ticket.expire);
        assert_eq!(again, text);
    }
}
