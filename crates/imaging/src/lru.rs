//! A map with a budget of bytes: what was used longest ago goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

/// Values that are cheap to clone, by key.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    budget: usize,
    bytes: usize,
    /// Counts uses.
    uses: u64,
    entries: HashMap<K, Entry<V>>,
    by_use: BTreeMap<u64, K>,
}

impl<K: Copy + Eq + Hash, V: Clone> Lru<K, V> {
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            budget,
            bytes: 0,
            uses: 0,
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        self.by_use.remove(&entry.used);
        entry.used = self.uses;
        self.by_use.insert(entry.used, *key);
        Some(entry.value.clone())
    }

    /// Keeps a value, in place of one with the same key, unless it is larger than the whole budget.
    pub(crate) fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        if bytes > self.budget {
            return;
        }
        while self.bytes + bytes > self.budget {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
        self.uses += 1;
        self.bytes += bytes;
        let used = self.uses;
        self.by_use.insert(used, key);
        self.entries.insert(key, Entry { value, bytes, used });
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
            self.by_use.remove(&entry.used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut lru = Lru::new(10);
        lru.insert(1, "a", 4);
        lru.insert(2, "b", 4);
        assert_eq!(lru.get(&1), Some("a"));
        lru.insert(3, "c", 4);
        assert_eq!(
            [1, 2, 3].map(|key| lru.get(&key)),
            [Some("a"), None, Some("c")]
        );
        assert_eq!(lru.bytes(), 8);
    }

    #[test]
    fn a_value_is_replaced_and_one_beyond_the_budget_is_not_kept() {
        let mut lru = Lru::new(10);
        lru.insert(1, "a", 4);
        lru.insert(1, "b", 6);
        assert_eq!((lru.get(&1), lru.bytes()), (Some("b"), 6));
        lru.insert(2, "c", 11);
        assert_eq!((lru.get(&1), lru.get(&2)), (Some("b"), None));
        lru.remove(&1);
        assert_eq!((lru.bytes(), lru.by_use.len()), (0, 0));
    }
}
