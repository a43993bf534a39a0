//! How much of clips is open: each holds its sample tables in memory until its body is sent, however slowly
//! that is read.

use crate::ClipError;
use framewell_model::{AccountId, Holder};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

const DAY_S: usize = 24 * 3_600;
/// All open clips together, in seconds: eight of the longest, 400 MiB of sample tables.
const MOST_S: usize = 8 * DAY_S;
/// Of those, what requests may take; jobs, which store clips, have the rest for themselves.
const REQUESTS_S: usize = 7 * DAY_S;
/// Of one account.
const ACCOUNT_S: usize = 6 * DAY_S;
/// Of one token: the longest export, whose cameras are each counted in full seconds.
const TOKEN_S: usize = 4 * DAY_S + 128;

#[derive(Debug, Clone, Default)]
pub(crate) struct ClipBudget(Arc<Mutex<Taken>>);

/// Seconds; nobody has zero.
#[derive(Debug, Default)]
struct Taken {
    total: usize,
    requests: usize,
    by_holder: HashMap<Holder, usize>,
    by_account: HashMap<AccountId, usize>,
}

/// Seconds of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct ClipPlace {
    budget: ClipBudget,
    /// `None` for a job.
    holder: Option<Holder>,
    seconds: usize,
}

impl ClipBudget {
    pub(crate) fn take(
        &self,
        holder: Option<Holder>,
        seconds: usize,
    ) -> Result<ClipPlace, ClipError> {
        let mut place = ClipPlace {
            budget: self.clone(),
            holder,
            seconds: 0,
        };
        place.grow(seconds)?;
        Ok(place)
    }
}

impl ClipPlace {
    /// Takes more, so that it has `seconds`.
    pub(crate) fn grow(&mut self, seconds: usize) -> Result<(), ClipError> {
        let more = seconds.saturating_sub(self.seconds);
        let mut taken = self.budget.0.lock();
        if taken.total + more > MOST_S {
            return Err(ClipError::Busy);
        }
        if let Some(holder) = self.holder {
            let of_token = taken.by_holder.get(&holder).copied().unwrap_or(0);
            let of_account = taken.by_account.get(&holder.account).copied().unwrap_or(0);
            if of_token + more > TOKEN_S {
                return Err(ClipError::Share("token"));
            }
            if of_account + more > ACCOUNT_S {
                return Err(ClipError::Share("account"));
            }
            if taken.requests + more > REQUESTS_S {
                return Err(ClipError::Busy);
            }
            taken.requests += more;
            taken.by_holder.insert(holder, of_token + more);
            taken.by_account.insert(holder.account, of_account + more);
        }
        taken.total += more;
        drop(taken);
        self.seconds += more;
        Ok(())
    }

    /// Gives back what it has beyond `seconds`.
    pub(crate) fn shrink(&mut self, seconds: usize) {
        let less = self.seconds.saturating_sub(seconds);
        self.seconds -= less;
        let mut taken = self.budget.0.lock();
        taken.total -= less;
        if let Some(holder) = self.holder {
            taken.requests -= less;
            if let Some(own) = taken.by_holder.get_mut(&holder) {
                *own -= less;
            }
            if let Some(own) = taken.by_account.get_mut(&holder.account) {
                *own -= less;
            }
            taken.by_holder.retain(|_, own| *own > 0);
            taken.by_account.retain(|_, own| *own > 0);
        }
    }
}

impl Drop for ClipPlace {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_model::TokenSerial;

    fn holder(account: i64, serial: i64) -> Option<Holder> {
        Some(Holder {
            account: AccountId::new(account).unwrap(),
            serial: TokenSerial::new(serial),
        })
    }

    #[test]
    fn slow_readers_of_one_token_leave_room_for_others_and_for_jobs() {
        let budget = ClipBudget::default();
        let take = |holder| budget.take(holder, DAY_S);
        let mut places: Vec<_> = (0..4).map(|_| take(holder(1, 1)).unwrap()).collect();
        assert!(matches!(take(holder(1, 1)), Err(ClipError::Share("token"))));
        places.extend((0..2).map(|_| take(holder(1, 2)).unwrap()));
        let over = take(holder(1, 2));
        assert!(matches!(over, Err(ClipError::Share("account"))));
        places.push(take(holder(2, 3)).unwrap());
        assert!(matches!(take(holder(3, 4)), Err(ClipError::Busy)));
        places.push(take(None).unwrap());
        assert!(matches!(take(None), Err(ClipError::Busy)));
        places[0].shrink(60);
        assert!(budget.take(holder(1, 1), DAY_S / 2).is_ok());
        places.clear();
        let taken = budget.0.lock();
        assert_eq!((taken.total, taken.requests), (0, 0));
        assert!(taken.by_holder.is_empty() && taken.by_account.is_empty());
    }
}
