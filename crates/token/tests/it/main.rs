//! Token texts as clients see them.
#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod envelope;
mod forgery;
mod form;

use framewell_model::{AccountId, Holder, TokenSerial, WallTime};
use framewell_token::{ShareToken, SigningKey};

fn key() -> SigningKey {
    SigningKey::new((0..32).collect()).unwrap()
}

fn serial(number: i64) -> TokenSerial {
    TokenSerial::new(number).unwrap()
}

/// 2024-05-01T08:00:00Z, in hex 6631f680.
const CREATED: WallTime = WallTime::from_secs(1_714_550_400);

fn holder() -> Holder {
    Holder {
        account: AccountId::new(3).unwrap(),
        serial: TokenSerial::new(7),
    }
}

fn share() -> ShareToken {
    ShareToken {
        serial: serial(7),
        created: CREATED,
        lifetime_s: 3600,
    }
}
