//! Who may have playlists made, and how much text may be on its way. A playlist of a week is large, takes
//! thousands of index entries to make, and one ticket can ask for any number of them.

use super::Error;
use bytes::Bytes;
use framewell_model::Holder;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Playlists that are made at a time; others wait.
const MAX_AT_ONCE: usize = 4;
/// The same of one holder, so that others do not wait for all that it asks for.
const MAX_OF_HOLDER: usize = 2;
/// Longest wait for a playlist to be begun.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Text that is on its way to slow clients, in KiB.
const MAX_KIB: usize = 256 << 10;
/// The same of one holder: some ten playlists of a week.
const MAX_KIB_OF_HOLDER: usize = 64 << 10;
/// Text is handed out in pieces of this size, so that it stays here until the client has taken it.
const PIECE_BYTES: usize = 64 << 10;

/// What one holder, or all of them, may have.
#[derive(Debug)]
struct Share {
    making: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

impl Share {
    fn new(making: usize, kib: usize) -> Arc<Self> {
        Arc::new(Self {
            making: Arc::new(Semaphore::new(making)),
            kib: Arc::new(Semaphore::new(kib)),
        })
    }
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    all: Arc<Share>,
    /// Of those who have something here.
    holders: Arc<Mutex<HashMap<Holder, Arc<Share>>>>,
    max_wait: Duration,
    max_kib_of_holder: usize,
}

/// The right to make one playlist.
#[derive(Debug)]
pub(super) struct Turn {
    all: Arc<Share>,
    own: Arc<Share>,
    _making: [OwnedSemaphorePermit; 2],
}

/// The text of a playlist, which counts as on its way until it is dropped.
#[derive(Debug)]
pub struct PlaylistText {
    text: String,
    /// Keeps what its holder has in the list.
    _own: Arc<Share>,
    _kib: [OwnedSemaphorePermit; 2],
}

impl Desk {
    pub(super) fn new() -> Self {
        Self::with_limits(MAX_WAIT, MAX_KIB, MAX_KIB_OF_HOLDER)
    }

    fn with_limits(max_wait: Duration, max_kib: usize, max_kib_of_holder: usize) -> Self {
        Self {
            all: Share::new(MAX_AT_ONCE, max_kib),
            holders: Arc::default(),
            max_wait,
            max_kib_of_holder,
        }
    }

    /// Waits until a playlist may be made for this holder.
    pub(super) async fn turn(&self, holder: Holder) -> Result<Turn, Error> {
        let own = self.share_of(holder);
        let until = tokio::time::Instant::now() + self.max_wait;
        // First in the own queue: a holder waits in the common one with no more than its share.
        let of_own = Arc::clone(&own.making).acquire_owned();
        let of_own = tokio::time::timeout_at(until, of_own).await;
        let of_own = of_own.ok().and_then(Result::ok).ok_or(Error::Share)?;
        let of_all = Arc::clone(&self.all.making).acquire_owned();
        let of_all = tokio::time::timeout_at(until, of_all).await;
        let of_all = of_all.ok().and_then(Result::ok).ok_or(Error::Busy)?;
        Ok(Turn {
            all: Arc::clone(&self.all),
            own,
            _making: [of_own, of_all],
        })
    }

    fn share_of(&self, holder: Holder) -> Arc<Share> {
        let mut holders = self.holders.lock();
        // Whoever has nothing here is not kept.
        holders.retain(|_, share| Arc::strong_count(share) > 1);
        let share = holders
            .entry(holder)
            .or_insert_with(|| Share::new(MAX_OF_HOLDER, self.max_kib_of_holder));
        Arc::clone(share)
    }
}

impl Turn {
    /// The playlist is made.
    pub(super) fn finish(self, text: String) -> Result<PlaylistText, Error> {
        let kib = u32::try_from(text.len().div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let of_own = Arc::clone(&self.own.kib).try_acquire_many_owned(kib);
        let of_own = of_own.map_err(|_| Error::Share)?;
        let of_all = Arc::clone(&self.all.kib).try_acquire_many_owned(kib);
        let of_all = of_all.map_err(|_| Error::Busy)?;
        Ok(PlaylistText {
            text,
            _own: self.own,
            _kib: [of_own, of_all],
        })
    }
}

impl PlaylistText {
    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// In pieces that are copied as they are asked for; what is left counts until the last is.
    pub fn into_pieces(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let mut at = 0;
        std::iter::from_fn(move || {
            // All of it, or the closure takes the text and lets go of the permits.
            let whole = &self;
            let rest = whole.text.as_bytes().get(at..)?;
            let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
            at += piece.len();
            (!piece.is_empty()).then(|| Bytes::copy_from_slice(piece))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::{AccountId, TokenSerial};

    fn holder(serial: i64) -> Holder {
        Holder {
            account: AccountId::new(1).unwrap(),
            serial: TokenSerial::new(serial),
        }
    }

    #[tokio::test]
    async fn a_holder_has_its_share_of_what_is_made_and_others_have_the_rest() {
        let desk = Desk::with_limits(Duration::ZERO, 0, 0);
        let one = [
            desk.turn(holder(1)).await.unwrap(),
            desk.turn(holder(1)).await.unwrap(),
        ];
        let refused = desk.turn(holder(1)).await.unwrap_err();
        assert!(matches!(refused, Error::Share), "{refused}");
        let other = desk.turn(holder(2)).await.unwrap();
        let _third = desk.turn(holder(3)).await.unwrap();
        let refused = desk.turn(holder(2)).await.unwrap_err();
        assert!(matches!(refused, Error::Busy), "{refused}");
        drop((one, other));
        desk.turn(holder(2)).await.unwrap();
        desk.turn(holder(1)).await.unwrap();
        assert_eq!(desk.holders.lock().len(), 2, "who is gone is forgotten");
    }

    #[tokio::test]
    async fn text_counts_until_it_is_taken() {
        let desk = Desk::with_limits(Duration::ZERO, 16 << 10, 4 << 10);
        let make = async |serial| {
            let turn = desk.turn(holder(serial)).await.unwrap();
            turn.finish("x".repeat(1 << 20))
        };
        let mut slow = Vec::new();
        for serial in [1, 2, 3] {
            for _ in 0..4 {
                slow.push(make(serial).await.unwrap());
            }
        }
        let refused = make(1).await.unwrap_err();
        assert!(matches!(refused, Error::Share), "{refused}");
        let mut pieces = slow.remove(0).into_pieces();
        assert_eq!(pieces.next().unwrap().len(), PIECE_BYTES);
        assert!(make(1).await.is_err(), "most of it is still here");
        assert_eq!(pieces.count(), 15);
        slow.push(make(1).await.unwrap());
        for _ in 0..4 {
            slow.push(make(4).await.unwrap());
        }
        let refused = make(5).await.unwrap_err();
        assert!(matches!(refused, Error::Busy), "{refused}");
    }
}
