//! Which slots the reader holds. Each channel has slots of its own, so that one cannot take all.

/// The slots of one channel.
#[derive(Debug)]
pub(super) struct Slots {
    first: u64,
    /// Whether the reader holds it.
    is_held: Vec<bool>,
    /// Where the search for a free one begins: slots are used in turn.
    next: usize,
}

impl Slots {
    /// `count` slots, all free.
    pub(super) fn new(first: u64, count: usize) -> Self {
        Self {
            first,
            is_held: vec![false; count],
            next: 0,
        }
    }

    /// A slot that the reader does not hold; it counts as held from now on.
    pub(super) fn take(&mut self) -> Option<u64> {
        let count = self.is_held.len();
        let place = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|place| !self.is_held[*place])?;
        self.is_held[place] = true;
        self.next = (place + 1) % count;
        Some(self.first + place as u64)
    }

    /// Whether [`Slots::take`] would give one.
    pub(super) fn has_free(&self) -> bool {
        self.is_held.contains(&false)
    }

    /// The reader gives a slot back; false if it did not hold it.
    pub(super) fn release(&mut self, slot: u64) -> bool {
        let place = slot
            .checked_sub(self.first)
            .and_then(|p| usize::try_from(p).ok());
        let held = place.and_then(|place| self.is_held.get_mut(place));
        held.is_some_and(|held| std::mem::replace(held, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_slot_is_never_given_again() {
        let mut slots = Slots::new(8, 3);
        assert_eq!(
            [(); 4].map(|()| slots.take()),
            [Some(8), Some(9), Some(10), None]
        );
        assert!(!slots.has_free());
        assert!(slots.release(9));
        assert_eq!((slots.take(), slots.take()), (Some(9), None));
    }

    #[test]
    fn slots_are_used_in_turn() {
        let mut slots = Slots::new(0, 3);
        let mut order = Vec::new();
        for _ in 0..4 {
            let slot = slots.take().unwrap();
            order.push(slot);
            slots.release(slot);
        }
        assert_eq!(order, [0, 1, 2, 0]);
    }

    #[test]
    fn what_is_not_held_cannot_be_released() {
        let mut slots = Slots::new(8, 3);
        for slot in [0, 7, 8, 11, u64::MAX] {
            assert!(!slots.release(slot));
        }
    }
}
