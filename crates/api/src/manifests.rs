//! Who signs manifests of clips, and how many are made at a time.

use framewell_access::places::{Occupation, Places};
use framewell_archive::manifest::Signer;

/// Manifests made at a time: each reads its whole clip, as fast as the store gives it.
const AT_ONCE: usize = 4;
/// Percent of them for one token, and for one account.
const SHARES: (u8, u8) = (25, 50);

/// Signs manifests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Manifests {
    pub(crate) signer: Signer,
    pub(crate) places: Places,
}

impl Manifests {
    /// With the key of the server.
    #[must_use]
    pub fn new(signer: Signer) -> Self {
        Self {
            signer,
            places: Places::with_accounts(Occupation::Manifest, AT_ONCE, SHARES.0, SHARES.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::{AccountId, Holder, Secret, TokenSerial};

    #[test]
    fn one_token_and_one_account_leave_places_to_others() {
        let places = Manifests::new(Signer::new(&Secret::new([1; 32]))).places;
        let holder = |account, serial| Holder {
            account: AccountId::new(account).unwrap(),
            serial: TokenSerial::new(serial),
        };
        let _first = places.take(holder(1, 1)).unwrap();
        assert!(places.take(holder(1, 1)).is_err());
        let _second = places.take(holder(1, 2)).unwrap();
        assert!(places.take(holder(1, 3)).is_err());
        let _other = places.take(holder(2, 4)).unwrap();
    }
}
