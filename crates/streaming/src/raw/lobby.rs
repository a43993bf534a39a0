//! Connections that have not asked for anything yet.
//!
//! They take no reader's place, so whoever connects and says nothing keeps no reader out. There is room
//! for [`MOST`]; one more, and the oldest of the user that has the most is shown out: a user that floods
//! the socket loses connections of its own, and of those the ones that were silent longest. A program that
//! means it sends its request with the connection, and is gone from here within milliseconds.
//! Rejected: a limit for each process (a flood comes from as many processes as it likes), and only a
//! shorter wait (a flood connects again).

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Most connections without a request: each costs a file descriptor and a task.
const MOST: usize = 64;

/// The room; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Lobby(Arc<Mutex<Guests>>);

#[derive(Debug, Default)]
struct Guests {
    /// Oldest first.
    waiting: VecDeque<Guest>,
    next: u64,
}

#[derive(Debug)]
struct Guest {
    number: u64,
    /// User id of the process.
    user: u32,
    leave: CancellationToken,
}

impl Lobby {
    /// Lets a connection of this user in, and shows another one out if that makes too many.
    pub(super) fn enter(&self, user: u32) -> Seat {
        let leave = CancellationToken::new();
        let mut guests = self.0.lock();
        let number = guests.next;
        guests.next += 1;
        guests.waiting.push_back(Guest {
            number,
            user,
            leave: leave.clone(),
        });
        if guests.waiting.len() > MOST {
            guests.show_out();
        }
        Seat {
            lobby: self.clone(),
            number,
            leave,
        }
    }
}

impl Guests {
    /// The oldest connection of the user that has the most.
    fn show_out(&mut self) {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        for guest in &self.waiting {
            *counts.entry(guest.user).or_default() += 1;
        }
        let most = counts.values().copied().max();
        let is_theirs = |guest: &Guest| counts.get(&guest.user).copied() == most;
        if let Some(at) = self.waiting.iter().position(is_theirs)
            && let Some(guest) = self.waiting.remove(at)
        {
            guest.leave.cancel();
        }
    }
}

/// A connection's seat in the lobby; it leaves by dropping it.
#[derive(Debug)]
pub(super) struct Seat {
    lobby: Lobby,
    number: u64,
    leave: CancellationToken,
}

impl Seat {
    /// Resolves when the connection is shown out.
    pub(super) async fn shown_out(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut guests = self.lobby.0.lock();
        guests.waiting.retain(|guest| guest.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_floods_the_lobby_loses_its_own_oldest_connection() {
        let lobby = Lobby::default();
        let honest = lobby.enter(1);
        let flood: Vec<Seat> = (0..MOST + 5).map(|_| lobby.enter(2)).collect();
        assert!(!honest.leave.is_cancelled());
        let gone: Vec<bool> = flood.iter().map(|seat| seat.leave.is_cancelled()).collect();
        assert!(gone[..6].iter().all(|gone| *gone), "{gone:?}");
        assert!(gone[6..].iter().all(|gone| !gone), "{gone:?}");
        assert_eq!(lobby.0.lock().waiting.len(), MOST);
        drop(flood);
        assert_eq!(lobby.0.lock().waiting.len(), 1);
    }

    #[test]
    fn among_equals_the_oldest_goes() {
        let lobby = Lobby::default();
        let seats: Vec<Seat> = (0..MOST)
            .map(|n| lobby.enter(u32::from(n % 2 == 0)))
            .collect();
        let _new = lobby.enter(7);
        assert!(seats[0].leave.is_cancelled());
        assert!(!seats[1].leave.is_cancelled());
    }
}
