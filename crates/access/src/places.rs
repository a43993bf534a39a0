//! Places for what runs long: pushes, batches, streams, uploads. So many of a kind run at a time, and one token
//! has a share of them, so that an engine which opens too many leaves room for the others. So has one account,
//! which may have any number of tokens.

use framewell_model::{AccountId, ErrorKind, HasKind, Holder};
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
    /// Files of footage that are received and stored.
    Upload,
    /// Archives of the footage of several cameras.
    Export,
    /// Signed manifests of clips.
    Manifest,
    /// Clips whose footage is waited for.
    Wait,
    /// Video: readers and publishers of all protocols.
    Session,
    /// Processes that make Opus of other sound.
    Transcoder,
}

impl Occupation {
    /// The label `kind` of the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Batch => "batch",
            Self::Stream => "stream",
            Self::Upload => "upload",
            Self::Export => "export",
            Self::Manifest => "manifest",
            Self::Wait => "wait",
            Self::Session => "session",
            Self::Transcoder => "transcoder",
        }
    }

    /// For people, in the plural.
    const fn words(self) -> &'static str {
        match self {
            Self::Push => "pushes of pictures",
            Self::Batch => "batches of pictures",
            Self::Stream => "streams of events or documents",
            Self::Upload => "uploads",
            Self::Export => "exports",
            Self::Manifest => "manifests",
            Self::Wait => "clips that wait for footage",
            Self::Session => "sessions of video",
            Self::Transcoder => "transcoders of sound",
        }
    }
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// The token or account has its share; others have nothing to do with it.
    #[error("this {who} has {limit} {what}, as many of the {most} as one {who} may")]
    Share {
        /// `token` or `account`.
        who: &'static str,
        /// Its share.
        limit: usize,
        /// Of what.
        what: &'static str,
        /// All places.
        most: usize,
    },
    /// All are taken, which passes without this client.
    #[error("{limit} {what} are running, as many as may")]
    Full {
        /// All places.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
}

impl NoPlace {
    /// The number that was the limit.
    #[must_use]
    pub const fn limit(&self) -> usize {
        match self {
            Self::Share { limit, .. } | Self::Full { limit, .. } => *limit,
        }
    }
}

impl HasKind for NoPlace {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Share { .. } => ErrorKind::ResourceExhausted,
            Self::Full { .. } => ErrorKind::Unavailable,
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
pub struct Refused {
    /// All were taken.
    pub full: u64,
    /// The token or its account had its share.
    pub share: u64,
}

/// What is taken at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// How many there are.
    pub most: u64,
    /// How many are taken.
    pub taken: u64,
    /// How often there was none.
    pub refused: Refused,
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

    /// A place, until it is dropped.
    ///
    /// # Errors
    /// The token or its account has its share, or all are taken.
    pub fn take(&self, holder: impl Into<Holder>) -> Result<Place, NoPlace> {
        let shared = &self.0;
        let holder = holder.into();
        let mut taken = shared.taken.lock();
        let own = taken.by_holder.get(&holder).copied().unwrap_or(0);
        if own >= shared.share {
            taken.refused.share += 1;
            return Err(shared.over_share("token", shared.share));
        }
        let of_account = taken.by_account.get(&holder.account).copied().unwrap_or(0);
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
        taken.by_account.insert(holder.account, of_account + 1);
        Ok(Place {
            shared: Arc::clone(shared),
            holder,
        })
    }

    /// The label `kind` of the metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.0.occupation.label()
    }

    /// What is taken now.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
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
    const fn over_share(&self, who: &'static str, limit: usize) -> NoPlace {
        let (most, what) = (self.most, self.occupation.words());
        NoPlace::Share {
            who,
            limit,
            what,
            most,
        }
    }

    const fn full(&self) -> NoPlace {
        let (limit, what) = (self.most, self.occupation.words());
        NoPlace::Full { limit, what }
    }
}

/// One place; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    holder: Holder,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock();
        taken.total -= 1;
        release(&mut taken.by_holder, &self.holder);
        release(&mut taken.by_account, &self.holder.account);
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
    use framewell_model::TokenSerial;

    fn holder(account: i64, serial: i64) -> Holder {
        Holder {
            account: AccountId::new(account).unwrap(),
            serial: TokenSerial::new(serial),
        }
    }

    #[test]
    fn a_token_gets_its_share_and_the_others_the_rest() {
        let places = Places::new(Occupation::Push, 3, 50);
        let (a, b) = (holder(1, 1), holder(1, 2));
        let mut own = vec![places.take(a).unwrap(), places.take(a).unwrap()];
        let over = places.take(a).unwrap_err();
        assert_eq!(
            (over.kind(), over.limit()),
            (ErrorKind::ResourceExhausted, 2)
        );
        let other = places.take(b).unwrap();
        let full = places.take(b).unwrap_err();
        assert_eq!((full.kind(), full.limit()), (ErrorKind::Unavailable, 3));
        let refused = Refused { full: 1, share: 1 };
        let occupancy = places.occupancy();
        assert_eq!((occupancy.taken, occupancy.refused), (3, refused));
        own.pop();
        drop(places.take(a).unwrap());
        drop((own, other));
        assert_eq!(places.occupancy().taken, 0);
        assert!(places.0.taken.lock().by_holder.is_empty());
    }

    #[test]
    fn all_tokens_of_an_account_leave_room_for_another_account() {
        let places = Places::with_accounts(Occupation::Stream, 4, 50, 75);
        let take = |serial| places.take(holder(1, serial));
        let mut own = vec![take(1).unwrap(), take(1).unwrap(), take(2).unwrap()];
        let over = take(2).unwrap_err();
        assert_eq!(
            (over.kind(), over.limit()),
            (ErrorKind::ResourceExhausted, 3)
        );
        let theirs = places.take(holder(2, 9)).unwrap();
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
        let refused = none.take(holder(1, 1)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
    }
}
