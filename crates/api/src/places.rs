//! Places for what runs long: pushes, batches, streams. So many of a kind run at a time, and one token
//! has a share of them, so that an engine which opens too many leaves room for the others. So has one account,
//! which may have any number of tokens.

use crate::error::ApiError;
use framewell_model::{AccountId, ErrorKind, Grant, Principal, TokenSerial};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// What a place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupation {
    /// Live pictures of a channel or of a group.
    Push,
    /// Many pictures of a range.
    Batch,
    /// Events or documents as they are stored.
    Stream,
}

impl Occupation {
    /// The label `kind` of the metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Batch => "batch",
            Self::Stream => "stream",
        }
    }

    /// For people, in the plural.
    const fn words(self) -> &'static str {
        match self {
            Self::Push => "pushes of pictures",
            Self::Batch => "batches of pictures",
            Self::Stream => "streams of events or documents",
        }
    }
}

/// Places of one kind; cheap to clone, one for all.
#[derive(Debug, Clone)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    occupation: Occupation,
    most: usize,
    /// Most of one token, at least 1.
    share: usize,
    /// Most of all tokens of one account, at least 1.
    account_share: usize,
    taken: Mutex<Taken>,
}

/// Whose a place is: a token, or who holds one that has no serial number.
type Holder = (Principal, Option<TokenSerial>);

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    /// None has zero.
    by_holder: HashMap<Holder, usize>,
    by_account: HashMap<AccountId, usize>,
    refused: Refused,
}

/// How often there was no place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// All were taken.
    pub(crate) full: u64,
    /// The token or its account had its share.
    pub(crate) share: u64,
}

/// What is taken at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occupancy {
    pub(crate) most: u64,
    pub(crate) taken: u64,
    pub(crate) refused: Refused,
}

impl Places {
    /// `most` places, of which one token may take `share_percent`, rounded up and at least one, and one
    /// account all.
    #[must_use]
    pub fn new(occupation: Occupation, most: usize, share_percent: u8) -> Self {
        Self::with_accounts(occupation, most, share_percent, 100)
    }

    /// The same, with a share for all tokens of one account together.
    #[must_use]
    pub fn with_accounts(
        occupation: Occupation,
        most: usize,
        share_percent: u8,
        account_percent: u8,
    ) -> Self {
        let part = |percent: u8| {
            let part = most.saturating_mul(usize::from(percent));
            part.div_ceil(100).max(1)
        };
        Self(Arc::new(Shared {
            occupation,
            most,
            share: part(share_percent),
            account_share: part(account_percent),
            taken: Mutex::default(),
        }))
    }

    /// A place, until it is dropped. 429 for a token or an account that has its share, 503 when all are taken: others
    /// have nothing to do with the first, and the second passes without this client.
    pub(crate) fn take(&self, grant: &Grant) -> Result<Place, ApiError> {
        let shared = &self.0;
        let holder = (grant.principal, grant.serial);
        let mut taken = shared.taken.lock();
        let own = taken.by_holder.get(&holder).copied().unwrap_or(0);
        if own >= shared.share {
            taken.refused.share += 1;
            return Err(shared.over_share("token", shared.share));
        }
        let of_account = taken.by_account.get(&grant.account).copied().unwrap_or(0);
        // Where one account may have all, the server is what is full.
        if of_account >= shared.account_share && shared.account_share < shared.most {
            taken.refused.share += 1;
            return Err(shared.over_share("account", shared.account_share));
        }
        if taken.total >= shared.most {
            taken.refused.full += 1;
            return Err(shared.full());
        }
        taken.total += 1;
        taken.by_holder.insert(holder, own + 1);
        taken.by_account.insert(grant.account, of_account + 1);
        Ok(Place {
            shared: Arc::clone(shared),
            holder,
            account: grant.account,
        })
    }

    pub(crate) fn label(&self) -> &'static str {
        self.0.occupation.label()
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        let count = |places| u64::try_from(places).unwrap_or(u64::MAX);
        let taken = self.0.taken.lock();
        Occupancy {
            most: count(self.0.most),
            taken: count(taken.total),
            refused: taken.refused,
        }
    }
}

impl Shared {
    fn over_share(&self, who: &str, share: usize) -> ApiError {
        let (most, what) = (self.most, self.occupation.words());
        let text = format!("this {who} has {share} {what}, as many of the {most} as one {who} may");
        ApiError::new(ErrorKind::ResourceExhausted, text).with_detail("limit", share)
    }

    fn full(&self) -> ApiError {
        let (most, what) = (self.most, self.occupation.words());
        let text = format!("{most} {what} are running, as many as may");
        ApiError::new(ErrorKind::Unavailable, text).with_detail("limit", most)
    }
}

/// One place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    holder: Holder,
    account: AccountId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock();
        taken.total -= 1;
        release(&mut taken.by_holder, &self.holder);
        release(&mut taken.by_account, &self.account);
    }
}

/// One place less; who has none is not in the map.
fn release<K: Eq + Hash>(taken: &mut HashMap<K, usize>, who: &K) {
    if let Some(own) = taken.get_mut(who) {
        *own -= 1;
        if *own == 0 {
            taken.remove(who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::{AccountId, ChannelId, RightSet};

    fn grant(channel: i64, serial: i64) -> Grant {
        Grant {
            principal: Principal::Channel(ChannelId::new(channel).unwrap()),
            account: AccountId::new(1).unwrap(),
            rights: RightSet::default(),
            expire: None,
            serial: TokenSerial::new(serial),
        }
    }

    #[test]
    fn a_token_gets_its_share_and_the_others_the_rest() {
        let places = Places::new(Occupation::Push, 3, 50);
        let (a, b) = (grant(1, 1), grant(1, 2));
        let mut own = vec![places.take(&a).unwrap(), places.take(&a).unwrap()];
        let over = places.take(&a).unwrap_err();
        assert_eq!(
            (over.status.as_u16(), &over.details["limit"]),
            (429, &2.into())
        );
        let other = places.take(&b).unwrap();
        let full = places.take(&b).unwrap_err();
        assert_eq!(
            (full.status.as_u16(), &full.details["limit"]),
            (503, &3.into())
        );
        let refused = Refused { full: 1, share: 1 };
        let occupancy = places.occupancy();
        assert_eq!((occupancy.taken, occupancy.refused), (3, refused));
        own.pop();
        drop(places.take(&a).unwrap());
        drop((own, other));
        assert_eq!(places.occupancy().taken, 0);
        assert!(places.0.taken.lock().by_holder.is_empty());
    }

    #[test]
    fn all_tokens_of_an_account_leave_room_for_another_account() {
        let places = Places::with_accounts(Occupation::Stream, 4, 50, 75);
        let other = Grant {
            account: AccountId::new(2).unwrap(),
            ..grant(2, 9)
        };
        let take = |serial| places.take(&grant(1, serial));
        let mut own = vec![take(1).unwrap(), take(1).unwrap(), take(2).unwrap()];
        let over = take(2).unwrap_err();
        assert_eq!(
            (over.status.as_u16(), &over.details["limit"]),
            (429, &3.into())
        );
        let theirs = places.take(&other).unwrap();
        assert_eq!(places.occupancy().refused, Refused { full: 0, share: 1 });
        own.pop();
        own.push(take(3).unwrap());
        drop((own, theirs));
        assert!(places.0.taken.lock().by_account.is_empty());
    }

    #[test]
    fn a_share_is_rounded_up_and_never_nothing() {
        let share = |most, percent| Places::new(Occupation::Batch, most, percent).0.share;
        assert_eq!((share(64, 50), share(3, 50), share(64, 1)), (32, 2, 1));
        assert_eq!((share(0, 50), share(7, 100)), (1, 7));
        let none = Places::new(Occupation::Batch, 0, 50);
        assert_eq!(none.take(&grant(1, 1)).unwrap_err().status.as_u16(), 503);
    }
}
