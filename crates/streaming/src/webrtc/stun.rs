//! Whose a datagram is ([`framewell_wire::webrtc::stun`]), and whether it is genuine, which takes str0m's HMAC.

pub(super) use framewell_wire::webrtc::stun::{is_stun, local_fragment};
use str0m::ice::StunMessage;

/// Whether whoever sent a request knows the password that belongs to the fragment (RFC 8489 section 9.1.3).
pub(super) fn is_genuine(datagram: &[u8], password: &str) -> bool {
    let hmac = str0m::crypto::from_feature_flags().sha1_hmac_provider;
    StunMessage::parse(datagram).is_ok_and(|message| {
        message.verify(password.as_bytes(), |key, data| hmac.sha1_hmac(key, data))
    })
}

/// What a session of tests gave out.
#[cfg(test)]
pub(super) fn creds(fragment: &str) -> str0m::IceCreds {
    str0m::IceCreds {
        ufrag: fragment.to_owned(),
        pass: "only of tests".to_owned(),
    }
}

/// A request by whoever was given [`creds`].
#[cfg(test)]
pub(super) fn signed(username: &str) -> Vec<u8> {
    let hmac = str0m::crypto::from_feature_flags().sha1_hmac_provider;
    let id = str0m::ice::TransId::new();
    let request = StunMessage::binding_request(username, id, true, 0, 1, true);
    let (mut buffer, password) = (vec![0; 512], creds("").pass);
    let length = request.to_bytes(Some(password.as_bytes()), &mut buffer, |key, data| {
        hmac.sha1_hmac(key, data)
    });
    buffer.truncate(length.unwrap());
    buffer
}

/// A request that nobody has signed.
#[cfg(test)]
pub(super) fn request(username: &str) -> Vec<u8> {
    let id = str0m::ice::TransId::new();
    let request = StunMessage::binding_request(username, id, true, 0, 1, true);
    let mut buffer = vec![0; 512];
    let length = request.to_bytes(None, &mut buffer, |_, _| [0; 20]);
    buffer.truncate(length.unwrap());
    buffer
}
