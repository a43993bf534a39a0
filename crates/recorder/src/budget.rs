//! How much footage may go for a disk that is short of room.
//!
//! Deleting makes room where it is our footage that fills the disk. Where something else does, everything would go
//! and the disk be as full as before. While a disk is short, what is free is what was free when it began, less what
//! was recorded since, less what others wrote, plus what was deleted: so more has to go than was missing and has been
//! recorded only if others write. That much they get from us, and [`Shortage::slack`] more. Sans-IO.

use std::time::Duration;
use tokio::time::Instant;

/// What is deleted within this time is one account, though there may have been room in between.
const CALM: Duration = Duration::from_secs(600);
/// Until deleting is tried again, doubling up to [`LONGEST_PAUSE`]: what filled the disk may have stopped.
const FIRST_PAUSE: Duration = Duration::from_secs(600);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3_600);
/// It is tried again in so much less than the pause if nobody writes any more.
const STILL_PART: u32 = 60;

/// A disk that is short, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shortage {
    /// What has to be freed.
    pub(crate) missing: u64,
    pub(crate) free: u64,
    /// What waits in the spool on another disk, and is on its way to this one.
    pub(crate) arriving: u64,
    /// What we wrote since the recorder was made: footage, and other objects of the store.
    pub(crate) written: u64,
    /// What others may take of our footage.
    pub(crate) slack: u64,
}

/// Whether footage may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// So many bytes at most.
    Delete(u64),
    /// It makes no room; the first time, with the bytes that went in vain.
    GivenUp(Option<u64>),
}

/// The account of what was deleted to make room.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    episode: Option<Episode>,
    tries: u32,
}

#[derive(Debug)]
struct Episode {
    begun: Instant,
    /// What may go, were nothing recorded.
    allowed: u64,
    written_before: u64,
    gone: u64,
    given_up: Option<GivenUp>,
}

#[derive(Debug)]
struct GivenUp {
    next_try: Instant,
    pause: Duration,
    /// Since when others write nothing.
    still_since: Instant,
    /// What is free, and was recorded: it falls when others write.
    level: u64,
}

impl GivenUp {
    fn new(disk: &Shortage, now: Instant, pause: Duration) -> Self {
        Self {
            next_try: now + pause,
            pause,
            still_since: now,
            level: disk.level(),
        }
    }

    /// Whether to try again: after the pause, or when others have written nothing for a while. On a disk that is
    /// full to the end they may only wait for room.
    fn is_over(&mut self, disk: &Shortage, now: Instant) -> bool {
        let level = disk.level();
        if disk.free <= disk.slack / 16 || level.saturating_add(disk.slack / 64) < self.level {
            self.still_since = now;
            self.level = level;
        }
        self.level = self.level.max(level);
        now >= self.next_try || now.duration_since(self.still_since) >= self.pause / STILL_PART
    }
}

impl Shortage {
    const fn level(&self) -> u64 {
        self.free.saturating_add(self.written)
    }
}

impl Budget {
    /// The disk is short: whether footage may go.
    pub(crate) fn ask(&mut self, disk: Shortage, now: Instant) -> Verdict {
        let first = disk
            .missing
            .saturating_add(disk.arriving)
            .saturating_add(disk.slack);
        let episode = self.episode.get_or_insert(Episode {
            begun: now,
            allowed: first,
            written_before: disk.written,
            gone: 0,
            given_up: None,
        });
        let recorded = disk.written.saturating_sub(episode.written_before);
        let allowed = episode.allowed.saturating_add(recorded);
        if episode.gone < allowed {
            return Verdict::Delete(disk.missing.min(allowed - episode.gone));
        }
        match &mut episode.given_up {
            Some(given_up) => {
                if !given_up.is_over(&disk, now) {
                    return Verdict::GivenUp(None);
                }
                // As much as is missing now.
                episode.given_up = None;
                episode.allowed =
                    (episode.gone - recorded.min(episode.gone)).saturating_add(disk.missing);
                Verdict::Delete(disk.missing)
            }
            None => {
                let pause = FIRST_PAUSE
                    .saturating_mul(1 << self.tries.min(10))
                    .min(LONGEST_PAUSE);
                episode.given_up = Some(GivenUp::new(&disk, now, pause));
                self.tries = self.tries.saturating_add(1);
                Verdict::GivenUp(Some(episode.gone))
            }
        }
    }

    /// So much was deleted.
    pub(crate) fn spend(&mut self, bytes: u64) {
        if let Some(episode) = &mut self.episode {
            episode.gone = episode.gone.saturating_add(bytes);
        }
    }

    /// The disk is not short.
    pub(crate) fn rest(&mut self, now: Instant) {
        let is_over = |episode: &Episode| {
            // Room that came while nothing was deleted any more was not ours to make.
            episode.given_up.is_some() || now.duration_since(episode.begun) >= CALM
        };
        if self.episode.as_ref().is_some_and(is_over) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(missing: u64, written: u64) -> Shortage {
        Shortage {
            missing,
            free: 0,
            arriving: 0,
            written,
            slack: 1_000,
        }
    }

    #[test]
    fn what_is_recorded_may_push_out_as_much_for_ever() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        for round in 0..10_000 {
            assert_eq!(
                budget.ask(short(100, round * 100), now),
                Verdict::Delete(100)
            );
            budget.spend(100);
        }
    }

    #[test]
    fn what_makes_no_room_is_given_up_and_tried_again_less_and_less_often() {
        let (mut budget, mut now) = (Budget::default(), Instant::now());
        let mut gone = 0;
        while budget.ask(short(100, 0), now) == Verdict::Delete(100) {
            budget.spend(100);
            gone += 100;
        }
        assert_eq!(gone, 1_100, "what was missing, and the slack");
        assert_eq!(budget.ask(short(100, 0), now), Verdict::GivenUp(None));
        for minutes in [10, 20, 40, 80, 160, 320, 360, 360] {
            now += Duration::from_secs(minutes * 60 - 1);
            assert_eq!(budget.ask(short(100, 0), now), Verdict::GivenUp(None));
            now += Duration::from_secs(1);
            assert_eq!(budget.ask(short(100, 0), now), Verdict::Delete(100));
            budget.spend(100);
            gone += 100;
            let verdict = budget.ask(short(100, 0), now);
            assert_eq!(verdict, Verdict::GivenUp(Some(gone)));
        }
        // Somebody made room: the next shortage is another one.
        budget.rest(now);
        assert_eq!(budget.ask(short(100, 0), now), Verdict::Delete(100));
    }

    #[test]
    fn room_for_a_moment_begins_no_new_account() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let mut gone = 0;
        while budget.ask(short(100, 0), now) == Verdict::Delete(100) {
            budget.spend(100);
            gone += 100;
            budget.rest(now);
        }
        assert_eq!(gone, 1_100);
        budget.episode.as_mut().unwrap().allowed += 30;
        assert_eq!(budget.ask(short(100, 0), now), Verdict::Delete(30));
        let (mut budget, later) = (Budget::default(), now + CALM);
        budget.ask(short(100, 0), now);
        budget.spend(1_100);
        budget.rest(later);
        assert_eq!(budget.ask(short(100, 0), later), Verdict::Delete(100));
    }

    #[test]
    fn when_others_have_stopped_it_is_tried_again_before_the_pause_is_over() {
        let (mut budget, mut now) = (Budget::default(), Instant::now());
        let disk = |free, written| Shortage {
            free,
            ..short(100, written)
        };
        budget.ask(disk(900, 0), now);
        budget.spend(1_100);
        let given_up = budget.ask(disk(900, 0), now);
        assert_eq!(given_up, Verdict::GivenUp(Some(1_100)));
        // Others write, then there is nothing left for them, then they have stopped. We have not.
        let falling = (1..=16).map(|second| 900 - second * 50);
        for free in falling.chain([60; 60]) {
            now += Duration::from_secs(1);
            assert_eq!(budget.ask(disk(free, 0), now), Verdict::GivenUp(None));
        }
        budget.spend(500);
        for second in 0..9 {
            now += Duration::from_secs(1);
            let still = disk(310 - second * 10, second * 10);
            assert_eq!(budget.ask(still, now), Verdict::GivenUp(None));
        }
        now += Duration::from_secs(1);
        assert_eq!(budget.ask(disk(220, 90), now), Verdict::Delete(100));
    }
}
