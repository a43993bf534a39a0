//! The index of vectors in memory: a sketch of each, by which a search finds the few that are worth a look
//! at the real ones.
//!
//! It only proposes: what was changed or deleted since may still be proposed, and is sorted out where the
//! vectors are read. It is filled from the database in the order of revisions, so it misses nothing that
//! was visible when it was last brought up to date.

use crate::sketch::{SKETCH_WORDS, Sketch, distance};
use framewell_catalog::meta::SketchRow;
use framewell_catalog::{Catalog, Error, Revisions};
use framewell_model::{AccountId, ChannelId, WallTime};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Rows read at once.
const ROWS_AT_ONCE: u64 = 5_000;
/// Revisions looked through at once: most documents may have no vector, and a search waits for it.
const REVISIONS_AT_ONCE: i64 = 100_000;
/// Vectors of one chunk: the newest is copied when it grows while somebody searches it.
const CHUNK: usize = 8_192;
/// Memory of one entry: sketch, number, channel and time.
pub(crate) const ENTRY_BYTES: usize = SKETCH_WORDS * 8 + 3 * 8;

/// Vectors in the order in which they came.
#[derive(Debug, Clone, Default)]
struct Chunk {
    sketches: Vec<Sketch>,
    numbers: Vec<i64>,
    channels: Vec<i64>,
    times: Vec<i64>,
}

/// The index; behind a lock.
#[derive(Debug)]
pub(crate) struct Index {
    chunks: Chunks,
    /// Owners of the channels that have vectors.
    accounts: HashMap<i64, AccountId>,
    /// Revision up to which everything is in it, once it is loaded.
    revision: i64,
    loading: Loading,
    /// Revisions looked through at once.
    pub(crate) stride: i64,
    entries: usize,
    most_entries: usize,
    /// How many more may come before changed documents, which are there twice, are looked for.
    until_dedupe: usize,
}

/// How far the first load has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loading {
    NotBegun,
    /// The number of the last document.
    Behind(i64),
    Done,
}

/// Chunks by the account that owns them, and by how many numbers their vectors have.
type Chunks = HashMap<(AccountId, usize), Vec<Arc<Chunk>>>;

/// What a search may propose.
#[derive(Debug, Clone)]
pub(crate) struct Within {
    pub(crate) channels: HashSet<i64>,
    pub(crate) start: Option<WallTime>,
    pub(crate) end: Option<WallTime>,
}

/// The vectors of one length at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    chunks: Vec<Arc<Chunk>>,
}

impl Chunk {
    /// `place`: number, channel and time.
    fn push(&mut self, sketch: Sketch, place: (i64, i64, i64)) {
        self.sketches.push(sketch);
        self.numbers.push(place.0);
        self.channels.push(place.1);
        self.times.push(place.2);
    }
}

impl Index {
    /// An empty one that grows to so many bytes.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self {
            chunks: HashMap::new(),
            accounts: HashMap::new(),
            revision: 0,
            loading: Loading::NotBegun,
            stride: REVISIONS_AT_ONCE,
            entries: 0,
            most_entries: most_bytes / ENTRY_BYTES,
            until_dedupe: (2 * CHUNK).min(most_bytes / ENTRY_BYTES),
        }
    }

    /// Forgets everything; it is read again when it is needed.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.most_entries * ENTRY_BYTES);
    }

    /// Reads what was stored since. Stopped in between, it goes on from there the next time.
    pub(crate) async fn catch_up(&mut self, catalog: &Catalog) -> Result<(), Error> {
        let newest = catalog.newest_document_revision().await?;
        self.load(catalog, newest).await?;
        while self.revision < newest {
            let until = newest.min(self.revision + self.stride);
            let revisions = Revisions {
                after: self.revision,
                until,
            };
            let rows = catalog.sketches_after(revisions, ROWS_AT_ONCE).await?;
            let is_cut = rows.len() as u64 == ROWS_AT_ONCE;
            let last = rows.last().map(|(revision, _)| *revision);
            self.dedupe_for(rows.len()).await;
            rows.into_iter().for_each(|(_, row)| self.push(row));
            self.revision = last.filter(|_| is_cut).unwrap_or(until);
        }
        Ok(())
    }

    /// Reads everything for the first time, without a look at documents that have no vector. What is
    /// changed meanwhile has a revision above `newest`, and comes again.
    async fn load(&mut self, catalog: &Catalog, newest: i64) -> Result<(), Error> {
        if self.loading == Loading::NotBegun {
            self.revision = newest;
            self.loading = Loading::Behind(0);
        }
        while let Loading::Behind(number) = self.loading {
            let rows = catalog.sketches_from(number, ROWS_AT_ONCE).await?;
            let is_cut = rows.len() as u64 == ROWS_AT_ONCE;
            let last = rows.last().map(|row| row.number);
            self.dedupe_for(rows.len()).await;
            rows.into_iter().for_each(|row| self.push(row));
            let next = last.filter(|_| is_cut).map(Loading::Behind);
            self.loading = next.unwrap_or(Loading::Done);
        }
        Ok(())
    }

    /// Before so many come: drops what newer entries of the same documents have replaced, or it would push
    /// out others that still count. Done again when the index has doubled or is full, but not for a few.
    async fn dedupe_for(&mut self, coming: usize) {
        if self.until_dedupe < coming {
            let chunks = self.chunks.clone();
            // Hundreds of milliseconds for millions. If the caller goes meanwhile, nothing has changed.
            if let Ok(kept) = tokio::task::spawn_blocking(move || deduped(&chunks)).await {
                let chunks = kept.values().flatten();
                self.entries = chunks.map(|chunk| chunk.numbers.len()).sum();
                self.chunks = kept;
            }
            let room = self.most_entries.saturating_sub(self.entries);
            let doubled = self.entries.max(2 * CHUNK).min(room);
            self.until_dedupe = doubled.max(self.most_entries / 16);
        }
        self.until_dedupe = self.until_dedupe.saturating_sub(coming);
    }

    fn push(&mut self, row: SketchRow) {
        let Some(sketch) = read(&row.sketch) else {
            tracing::warn!(
                document.number = row.number,
                "a stored sketch has another length"
            );
            return;
        };
        while self.entries >= self.most_entries && self.drop_oldest() {}
        if self.most_entries == 0 {
            return;
        }
        self.accounts.insert(row.channel.get(), row.account);
        let of = (row.account, row.dimensions);
        let chunks = self.chunks.entry(of).or_default();
        if chunks
            .last()
            .is_none_or(|chunk| chunk.numbers.len() >= CHUNK)
        {
            chunks.push(Arc::default());
        }
        if let Some(chunk) = chunks.last_mut() {
            let place = (row.number, row.channel.get(), row.timestamp.micros());
            Arc::make_mut(chunk).push(sketch, place);
            self.entries += 1;
        }
    }

    /// Drops the oldest chunk of the account that has most vectors, of whatever lengths; false if there is
    /// none. So nobody pushes out what is another's while he has more.
    fn drop_oldest(&mut self) -> bool {
        let mut totals: HashMap<AccountId, usize> = HashMap::new();
        for ((account, _), chunks) in &self.chunks {
            let entries: usize = chunks.iter().map(|chunk| chunk.numbers.len()).sum();
            *totals.entry(*account).or_default() += entries;
        }
        let most = totals.into_iter().max_by_key(|(_, entries)| *entries);
        let oldest = most.and_then(|(account, _)| {
            let own = self.chunks.iter().filter(|((of, _), _)| *of == account);
            let first = |chunks: &[Arc<Chunk>]| chunks.first()?.numbers.first().copied();
            own.min_by_key(|(_, chunks)| first(chunks))
                .map(|(of, _)| *of)
        });
        let Some(of) = oldest else {
            return false;
        };
        let chunks = self.chunks.entry(of).or_default();
        if !chunks.is_empty() {
            self.entries -= chunks.remove(0).numbers.len();
        }
        if chunks.is_empty() {
            self.chunks.remove(&of);
        }
        true
    }

    /// The vectors of so many numbers, of those who own channels of `within`.
    pub(crate) fn snapshot(&self, dimensions: usize, within: &Within) -> Snapshot {
        let owners = within.channels.iter();
        let owners: HashSet<AccountId> = owners
            .filter_map(|channel| self.accounts.get(channel).copied())
            .collect();
        let chunks = owners
            .into_iter()
            .filter_map(|account| self.chunks.get(&(account, dimensions)))
            .flatten();
        Snapshot {
            chunks: chunks.cloned().collect(),
        }
    }
}

/// The same without entries that newer ones of the same document and length have replaced, in the same
/// order. A document whose vector got another length stays with both: nothing says which is the newer.
fn deduped(chunks: &Chunks) -> Chunks {
    let of_length = |(of, chunks): (&(AccountId, usize), &Vec<Arc<Chunk>>)| {
        let mut seen = HashSet::new();
        let mut newest: Vec<Vec<bool>> = Vec::with_capacity(chunks.len());
        for chunk in chunks.iter().rev() {
            let numbers = chunk.numbers.iter().rev();
            let mut is_newest: Vec<bool> = numbers.map(|number| seen.insert(*number)).collect();
            is_newest.reverse();
            newest.push(is_newest);
        }
        newest.reverse();
        (*of, without_old(chunks, &newest))
    };
    chunks.iter().map(of_length).collect()
}

/// Chunks of which nothing goes are shared, not copied: there may be much memory in them.
fn without_old(chunks: &[Arc<Chunk>], newest: &[Vec<bool>]) -> Vec<Arc<Chunk>> {
    let mut kept = Vec::with_capacity(chunks.len());
    let mut filling = Chunk::default();
    for (chunk, newest) in chunks.iter().zip(newest) {
        let is_whole = newest.iter().all(|is_newest| *is_newest);
        if (is_whole && !filling.numbers.is_empty()) || filling.numbers.len() >= CHUNK {
            kept.push(Arc::new(std::mem::take(&mut filling)));
        }
        if is_whole {
            kept.push(Arc::clone(chunk));
            continue;
        }
        for (n, _) in newest.iter().enumerate().filter(|(_, newest)| **newest) {
            let place = (chunk.numbers[n], chunk.channels[n], chunk.times[n]);
            filling.push(chunk.sketches[n], place);
        }
    }
    if !filling.numbers.is_empty() {
        kept.push(Arc::new(filling));
    }
    kept
}

fn read(bytes: &[u8]) -> Option<Sketch> {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    if !rest.is_empty() {
        return None;
    }
    words.try_into().ok()
}

impl Within {
    /// Of these channels, at or after `start`, before `end`.
    pub(crate) fn new(
        channels: &[ChannelId],
        start: Option<WallTime>,
        end: Option<WallTime>,
    ) -> Self {
        Self {
            channels: channels.iter().map(|channel| channel.get()).collect(),
            start,
            end,
        }
    }

    fn holds(&self, channel: i64, time: i64) -> bool {
        self.start.is_none_or(|start| time >= start.micros())
            && self.end.is_none_or(|end| time < end.micros())
            && self.channels.contains(&channel)
    }
}

impl Snapshot {
    /// Numbers of the documents whose sketches differ least, about `most` of them: all of the distance at
    /// which the number is reached, so that no order of arrival matters. Takes about 20 ms of a core for a
    /// million.
    pub(crate) fn nearest(&self, sketch: &Sketch, within: &Within, most: usize) -> Vec<i64> {
        let mut found = [0_usize; SKETCH_WORDS * 64 + 1];
        let mut distances: Vec<Vec<u16>> = Vec::with_capacity(self.chunks.len());
        for chunk in &self.chunks {
            let of = chunk.sketches.iter().enumerate().map(|(n, other)| {
                if !within.holds(chunk.channels[n], chunk.times[n]) {
                    return u16::MAX;
                }
                let bits = distance(sketch, other);
                found[bits as usize] += 1;
                u16::try_from(bits).unwrap_or(u16::MAX)
            });
            distances.push(of.collect());
        }
        let mut reached = 0;
        let limit = found.iter().position(|count| {
            reached += count;
            reached >= most
        });
        let limit = limit.unwrap_or(SKETCH_WORDS * 64);
        let mut numbers = Vec::with_capacity(reached);
        for (chunk, distances) in self.chunks.iter().zip(&distances) {
            let near = distances.iter().zip(&chunk.numbers);
            let near = near.filter(|(bits, _)| usize::from(**bits) <= limit);
            numbers.extend(near.map(|(_, number)| *number));
        }
        // A document that was changed is there twice.
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Whether there are more than so many, the changed ones counted twice. Looks no further than it has to.
    pub(crate) fn has_more_than(&self, most: usize, within: &Within) -> bool {
        let places = self
            .chunks
            .iter()
            .flat_map(|chunk| chunk.channels.iter().zip(&chunk.times));
        let mut counted = places.filter(|(channel, time)| within.holds(**channel, **time));
        counted.nth(most).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: i64, channel: i64, word: u64) -> SketchRow {
        let sketch: Sketch = [word; SKETCH_WORDS];
        SketchRow {
            number,
            account: AccountId::new(channel.div_euclid(10) + 1).unwrap(),
            channel: ChannelId::new(channel).unwrap(),
            timestamp: WallTime::from_secs(number),
            dimensions: 3,
            sketch: sketch.iter().flat_map(|word| word.to_le_bytes()).collect(),
        }
    }

    fn everywhere() -> Within {
        Within::new(
            &[ChannelId::new(1).unwrap(), ChannelId::new(2).unwrap()],
            None,
            None,
        )
    }

    #[test]
    fn the_nearest_come_with_all_of_their_distance() {
        let mut index = Index::new(1 << 20);
        for (number, word) in [(1, 0), (2, 1), (3, 3), (4, 2), (5, u64::MAX)] {
            index.push(row(number, 1 + number % 2, word));
        }
        let near = |most, within: &Within| {
            index
                .snapshot(3, within)
                .nearest(&[0; SKETCH_WORDS], within, most)
        };
        assert_eq!(near(1, &everywhere()), [1]);
        assert_eq!(near(2, &everywhere()), [1, 2, 4], "two at one distance");
        assert_eq!(near(100, &everywhere()), [1, 2, 3, 4, 5]);
        let some = Within {
            start: Some(WallTime::from_secs(2)),
            end: Some(WallTime::from_secs(5)),
            channels: HashSet::from([1]),
        };
        assert_eq!(near(100, &some), [2, 4]);
        let has_more_than = |most| index.snapshot(3, &some).has_more_than(most, &some);
        assert_eq!([0, 1, 2, 9].map(has_more_than), [true, true, false, false]);
        assert!(
            index
                .snapshot(4, &everywhere())
                .nearest(&[0; SKETCH_WORDS], &everywhere(), 9)
                .is_empty()
        );
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go() {
        let mut index = Index::new(2 * CHUNK * ENTRY_BYTES);
        let count = i64::try_from(3 * CHUNK).unwrap();
        (1..=count).for_each(|number| index.push(row(number, 1, 0)));
        assert!(index.entries <= 2 * CHUNK);
        let kept = index
            .snapshot(3, &everywhere())
            .nearest(&[0; SKETCH_WORDS], &everywhere(), 1);
        assert_eq!((kept.last(), kept.contains(&1)), (Some(&count), false));
        let mut none = Index::new(0);
        none.push(row(1, 1, 0));
        assert_eq!(none.entries, 0);
    }

    #[test]
    fn an_account_with_many_vectors_pushes_out_its_own() {
        let mut index = Index::new(3 * CHUNK * ENTRY_BYTES);
        let count = i64::try_from(CHUNK).unwrap();
        (1..=count).for_each(|number| index.push(row(number, 1, 0)));
        // Vectors of many lengths are still one account's.
        for number in 1..=5 * count {
            let dimensions = usize::try_from(number % 8).unwrap() + 3;
            index.push(SketchRow {
                dimensions,
                ..row(count + number, 11, 0)
            });
        }
        let seen = |channel: i64| {
            let within = Within::new(&[ChannelId::new(channel).unwrap()], None, None);
            let lengths = (3..11).map(|dimensions| {
                let snapshot = index.snapshot(dimensions, &within);
                snapshot.nearest(&[0; SKETCH_WORDS], &within, 1).len()
            });
            lengths.sum::<usize>()
        };
        assert_eq!(seen(1), CHUNK);
        assert!((CHUNK..=2 * CHUNK).contains(&seen(11)), "{}", seen(11));
        assert!(index.entries <= 3 * CHUNK);
    }

    #[tokio::test]
    async fn changes_do_not_push_out_what_is_not_changed() {
        let mut index = Index::new(3 * CHUNK * ENTRY_BYTES);
        let write = async |index: &mut Index, numbers: &[i64], word: u64| {
            index.dedupe_for(numbers.len()).await;
            let rows = numbers.iter().map(|number| row(*number, 1, word));
            rows.for_each(|row| index.push(row));
        };
        let all: Vec<i64> = (1..=6_000).collect();
        write(&mut index, &all, 0).await;
        for round in 1..=20 {
            write(&mut index, &all[..3_000], round).await;
        }
        let near = |word: u64| {
            let snapshot = index.snapshot(3, &everywhere());
            snapshot.nearest(&[word; SKETCH_WORDS], &everywhere(), 1)
        };
        assert_eq!(near(0), all[3_000..], "they are still there, as they were");
        assert_eq!(near(20), all[..3_000], "the newest of what was changed");
        assert!(index.entries <= 3 * CHUNK);
        let chunks = index.snapshot(3, &everywhere()).chunks;
        let counted: usize = chunks.iter().map(|chunk| chunk.numbers.len()).sum();
        assert_eq!(counted, index.entries);
    }

    #[test]
    fn chunks_without_changes_are_shared() {
        let mut index = Index::new(1 << 24);
        let count = i64::try_from(2 * CHUNK).unwrap();
        (1..=count).for_each(|number| index.push(row(number, 1, 0)));
        (1..=10).for_each(|number| index.push(row(number, 1, 1)));
        let before = index.snapshot(3, &everywhere()).chunks;
        let after = &deduped(&index.chunks)[&(AccountId::new(1).unwrap(), 3)];
        let lengths: Vec<usize> = after.iter().map(|chunk| chunk.numbers.len()).collect();
        assert_eq!(lengths, [CHUNK - 10, CHUNK, 10]);
        assert!(Arc::ptr_eq(&before[1], &after[1]) && Arc::ptr_eq(&before[2], &after[2]));
    }
}
