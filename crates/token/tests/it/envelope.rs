//! Outer texts.

use crate::{key, share};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use framewell_model::{Access, ChannelId};
use framewell_token::{
    ChannelEnvelope, Endpoint, GroupEnvelope, TokenError, inner_token, share_token,
};
use serde_json::{Value, json};

fn endpoint() -> Endpoint {
    Endpoint {
        host: "vms.local".into(),
        http_port: Some(8080),
        https_port: None,
    }
}

fn channel_envelope() -> ChannelEnvelope {
    ChannelEnvelope {
        token: share_token(&key(), share()),
        channel: ChannelId::new(7).unwrap(),
        access: Access::Watch,
        endpoint: endpoint(),
    }
}

fn json_of(outer: &str) -> Value {
    serde_json::from_slice(&STANDARD.decode(outer).unwrap()).unwrap()
}

#[test]
fn a_channel_envelope_has_the_members_of_the_contract() {
    let envelope = channel_envelope();
    assert_eq!(
        json_of(&envelope.encode()),
        json!({ "token": envelope.token, "camid": 7, "cmngrid": 7, "access": "watch",
                "api": "vms.local", "api_p": 8080 })
    );
}

#[test]
fn a_group_envelope_has_no_camid() {
    let envelope = GroupEnvelope {
        token: "share.a.b.c".into(),
        endpoint: Endpoint {
            https_port: Some(8443),
            ..endpoint()
        },
    };
    assert_eq!(
        json_of(&envelope.encode()),
        json!({ "token": "share.a.b.c", "api": "vms.local", "api_p": 8080, "api_sp": 8443 })
    );
}

#[test]
fn the_json_is_ascii_whatever_the_host_is() {
    let mut envelope = channel_envelope();
    envelope.endpoint.host = "k\u{e4}mera-\u{1f4f7}.local".into();
    let outer = envelope.encode();
    assert!(STANDARD.decode(&outer).unwrap().is_ascii());
    assert_eq!(json_of(&outer)["api"], envelope.endpoint.host);
}

#[test]
fn an_envelope_in_another_order_with_more_members_opens_the_same() {
    let token = share_token(&key(), share());
    let text = format!(
        r#"{{ "cam_sp": 8883, "proxy": {{"socks5": null}}, "camid": "x", "access": ["all"], "token": "{token}" }}"#
    );
    for outer in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
        assert_eq!(inner_token(&outer), Ok(token.clone()));
    }
}

#[test]
fn an_inner_text_is_returned_as_it_is() {
    let token = share_token(&key(), share());
    assert_eq!(inner_token(&token), Ok(token.clone()));
    assert_eq!(inner_token(&format!(" {token}\n")), Ok(token));
}

#[test]
fn texts_without_a_token_are_malformed() {
    let long = STANDARD.encode(format!(r#"{{"token":"{}"}}"#, "a".repeat(20_000)));
    let outer = |json: &str| STANDARD.encode(json);
    for text in [
        String::new(),
        "no base64!".into(),
        outer("no json"),
        outer("[]"),
        outer("{}"),
        outer(r#"{"token":7}"#),
        outer(r#"{"token":""}"#),
        outer(r#"{"token":"a b"}"#),
        // Every inner form has a dot: without one it would be taken for an outer form again.
        outer(r#"{"token":"sb_YdB1I"}"#),
        outer(r#"{"token":"share.a","token":"share.b"}"#),
        long,
    ] {
        assert_eq!(inner_token(&text), Err(TokenError::Malformed), "{text}");
    }
}

#[test]
fn debug_does_not_show_the_token() {
    let envelope = channel_envelope();
    assert!(!format!("{envelope:?}").contains("share."));
}
