//! The shape of each text, and how long it is good.

use crate::{CREATED, holder, key, serial, share};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framewell_model::WallTime;
use framewell_token::{
    MediaTicket, ShareToken, SigningKey, TokenError, license_key, media_ticket, share_token,
    verify_license_key, verify_media_ticket, verify_share_token,
};

fn is_url_safe(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[test]
fn a_share_token_has_the_shape_of_the_contract() {
    let text = share_token(&key(), share());
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 4, "{text}");
    assert_eq!(parts[0], "share");
    assert_eq!(URL_SAFE_NO_PAD.decode(parts[1]).unwrap(), br#"{"si":7}"#);
    assert_eq!(parts[2], "6631f680te10");
    assert_eq!(parts[3].len(), 27);
    assert!(is_url_safe(&text));
}

#[test]
fn the_same_input_gives_the_same_text_and_another_serial_another() {
    assert_eq!(share_token(&key(), share()), share_token(&key(), share()));
    let other = ShareToken {
        serial: serial(8),
        ..share()
    };
    assert_ne!(share_token(&key(), share()), share_token(&key(), other));
}

#[test]
fn a_share_token_works_until_the_last_second_of_its_life() {
    let text = share_token(&key(), share());
    let last = CREATED.plus_micros(3_599_999_999);
    assert_eq!(verify_share_token(&key(), &text, last), Ok(share()));
    let end = CREATED.plus_micros(3_600_000_000);
    assert_eq!(
        verify_share_token(&key(), &text, end),
        Err(TokenError::Expired)
    );
}

#[test]
fn a_lifetime_beyond_the_end_of_time_does_not_overflow() {
    let token = ShareToken {
        lifetime_s: u64::MAX,
        ..share()
    };
    let text = share_token(&key(), token);
    let late = WallTime::from_micros(i64::MAX);
    assert_eq!(verify_share_token(&key(), &text, late), Ok(token));
}

#[test]
fn a_license_key_names_its_serial() {
    let text = license_key(&key(), serial(41));
    assert!(text.starts_with("v3.41."), "{text}");
    assert!(is_url_safe(&text));
    assert_eq!(verify_license_key(&key(), &text), Ok(serial(41)));
}

#[test]
fn a_ticket_opens_its_scope_until_it_ends() {
    let expire = WallTime::from_secs(2_000);
    let text = media_ticket(&key(), holder(), "rec/7/1201", expire);
    assert!(is_url_safe(&text));
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!((parts[0], parts[2]), ("media", "2000"));
    assert_eq!(
        URL_SAFE_NO_PAD.decode(parts[1]).unwrap(),
        br#"{"u":"rec/7/1201","a":3,"s":7}"#
    );
    let before = WallTime::from_micros(1_999_999_999);
    assert_eq!(
        verify_media_ticket(&key(), &text, "rec/7/1201", before),
        Ok(MediaTicket {
            holder: holder(),
            expire
        })
    );
    assert_eq!(
        verify_media_ticket(&key(), &text, "rec/7/1201", expire),
        Err(TokenError::Expired)
    );
    assert_eq!(
        verify_media_ticket(&key(), &text, "rec/7/120", before),
        Err(TokenError::WrongScope)
    );
}

#[test]
fn another_installation_refuses_every_kind() {
    let other = SigningKey::new(vec![1; 32]).unwrap();
    let now = CREATED;
    let ticket = media_ticket(&key(), holder(), "live/7", now.plus_micros(1_000_000));
    assert_eq!(
        verify_share_token(&other, &share_token(&key(), share()), now),
        Err(TokenError::BadSignature)
    );
    assert_eq!(
        verify_license_key(&other, &license_key(&key(), serial(1))),
        Err(TokenError::BadSignature)
    );
    assert_eq!(
        verify_media_ticket(&other, &ticket, "live/7", now),
        Err(TokenError::BadSignature)
    );
}
