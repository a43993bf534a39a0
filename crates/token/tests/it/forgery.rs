//! Whatever is done to a text, it fails with an error and never with a panic.

use crate::{CREATED, holder, key, serial};
use framewell_model::WallTime;
use framewell_token::{
    ShareToken, inner_token, license_key, media_ticket, share_token, verify_license_key,
    verify_media_ticket, verify_share_token,
};
use proptest::prelude::*;

/// A text with one byte changed; `None` if the result is no UTF-8, which no header parser lets in.
fn flip(text: &str, at: prop::sample::Index, mask: u8) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let place = at.index(bytes.len());
    bytes[place] ^= mask;
    String::from_utf8(bytes).ok()
}

proptest! {
    #[test]
    fn a_share_token_with_any_changed_byte_fails(
        number in 1i64.., lifetime_s in 1u64.., at: prop::sample::Index, mask in 1u8..128
    ) {
        let token = ShareToken { serial: serial(number), created: CREATED, lifetime_s };
        let text = share_token(&key(), token);
        prop_assert_eq!(verify_share_token(&key(), &text, CREATED), Ok(token));
        let Some(forged) = flip(&text, at, mask) else { return Ok(()) };
        prop_assert!(verify_share_token(&key(), &forged, CREATED).is_err());
    }

    #[test]
    fn a_license_key_with_any_changed_byte_fails(
        number in 1i64.., at: prop::sample::Index, mask in 1u8..128
    ) {
        let text = license_key(&key(), serial(number));
        prop_assert_eq!(verify_license_key(&key(), &text), Ok(serial(number)));
        let Some(forged) = flip(&text, at, mask) else { return Ok(()) };
        prop_assert!(verify_license_key(&key(), &forged).is_err());
    }

    #[test]
    fn a_ticket_with_any_changed_byte_fails(
        scope in "\\PC{0,40}", expire_s in 1i64..4_000_000_000, at: prop::sample::Index, mask in 1u8..128
    ) {
        let now = WallTime::from_secs(0);
        let text = media_ticket(&key(), holder(), &scope, WallTime::from_secs(expire_s));
        prop_assert!(verify_media_ticket(&key(), &text, &scope, now).is_ok());
        let Some(forged) = flip(&text, at, mask) else { return Ok(()) };
        prop_assert!(verify_media_ticket(&key(), &forged, &scope, now).is_err());
    }

    #[test]
    fn a_cut_or_lengthened_token_fails(keep in 0usize..200, more in "[A-Za-z0-9._-]{1,8}") {
        let token = ShareToken { serial: serial(7), created: CREATED, lifetime_s: 60 };
        let text = share_token(&key(), token);
        let cut: String = text.chars().take(keep.min(text.len() - 1)).collect();
        prop_assert!(verify_share_token(&key(), &cut, CREATED).is_err());
        let longer = format!("{text}{more}");
        prop_assert!(verify_share_token(&key(), &longer, CREATED).is_err());
    }

    #[test]
    fn garbage_is_an_error(text in prop_oneof![
        "\\PC{0,200}",
        "(share|media|v3)\\.[A-Za-z0-9._-]{0,80}",
        "[A-Za-z0-9+/=_-]{0,200}",
    ]) {
        prop_assert!(verify_share_token(&key(), &text, CREATED).is_err());
        prop_assert!(verify_license_key(&key(), &text).is_err());
        prop_assert!(verify_media_ticket(&key(), &text, "live/7", CREATED).is_err());
        if let Ok(inner) = inner_token(&text) {
            prop_assert!(verify_share_token(&key(), &inner, CREATED).is_err());
        }
    }
}
