//! Nearest neighbours: documents whose vectors point the same way.
//!
//! Few vectors are all compared. Of many, the index in memory proposes some thousands and those are
//! compared; a filter that leaves few of them makes it propose more. The answer says which it was.

use crate::sketch::sketch;
use crate::vectors::{Snapshot, Within};
use crate::{Error, Insight, matches_everything};
use framewell_catalog::Error as CatalogError;
use framewell_catalog::meta::{Document, Scope};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Vectors that are all compared without being asked to: 30 MB of the usual length.
pub(crate) const COMPARED_ALWAYS: usize = 20_000;
/// Most vectors that are all compared.
pub const MOST_COMPARED: usize = 200_000;
/// Most documents of one answer.
pub const MAX_NEIGHBOURS: usize = 1_000;
/// Vectors read at once.
const READ_AT_ONCE: usize = 1_000;
/// Fewest proposals, and how many for each document that is wanted.
const FEWEST_PROPOSALS: usize = 2_000;
const PROPOSALS_EACH: usize = 40;
/// How many times as many the next round proposes, if a filter left too few.
const MORE_EACH_ROUND: usize = 8;
/// Longest search, as of all searches.
const LIMIT: Duration = Duration::from_secs(10);

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NearQuery {
    /// The direction: finite numbers, not all of them zero.
    pub vector: Vec<f32>,
    /// Most documents.
    pub most: usize,
    /// Smallest cosine.
    pub min_score: Option<f64>,
    /// Compare every vector. [`Error::Invalid`] if there are more than [`MOST_COMPARED`].
    pub is_exact: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Nearest first, with the cosine of the angle.
    pub found: Vec<(f64, Document)>,
    /// Whether every vector in scope was compared.
    pub is_exact: bool,
    /// How many were compared.
    pub compared: usize,
    /// Whether the farthest ones were left out, because all of them together are too long.
    pub is_cut: bool,
}

/// A document's number and its cosine.
type Scored = (i64, f64);

impl Insight {
    /// Documents in scope whose vectors have the same length and are nearest by the angle.
    pub async fn near(&self, scope: Scope<'_>, query: &NearQuery) -> Result<Neighbours, Error> {
        let work = async {
            let (scored, is_exact, compared) = self.score(scope, query).await?;
            let (most, min_score) = (query.most, query.min_score);
            let best = beside(move || best(scored, most, min_score)).await?;
            let numbers: Vec<i64> = best.iter().map(|(number, _)| *number).collect();
            let loaded = self.catalog.documents_by_number(scope, &numbers).await?;
            let is_cut = loaded.next.is_some();
            let mut documents: HashMap<i64, Document> = loaded.documents.into_iter().collect();
            let found = best
                .into_iter()
                .filter_map(|(number, score)| Some((score, documents.remove(&number)?)));
            Ok(Neighbours {
                found: found.collect(),
                is_exact,
                compared,
                is_cut,
            })
        };
        match tokio::time::timeout(LIMIT, work).await {
            Ok(done) => done,
            Err(_) => Err(Error::Refused(CatalogError::TooSlow {
                operation: "search for vectors",
                limit: LIMIT,
            })),
        }
    }

    /// Scores of everything that may be among the nearest; whether that is everything, and how much.
    async fn score(
        &self,
        scope: Scope<'_>,
        query: &NearQuery,
    ) -> Result<(Vec<Scored>, bool, usize), Error> {
        if scope.channels.is_empty() {
            return Ok((Vec::new(), true, 0));
        }
        let dimensions = query.vector.len();
        let within = Within::new(scope.channels, scope.start, scope.end);
        let is_plain = matches_everything(scope.filter);
        let snapshot = self.snapshot(dimensions, &within).await?;
        let most = match query.is_exact {
            true => MOST_COMPARED,
            false => self.compared_always,
        };
        // The index knows without asking the database that there are many, unless a filter leaves few.
        let may_be_few = query.is_exact || !is_plain || {
            let (snapshot, within) = (snapshot.clone(), within.clone());
            let many = 2 * self.compared_always;
            !beside(move || snapshot.has_more_than(many, &within)).await?
        };
        if may_be_few {
            let limit = most as u64 + 1;
            let numbers = self.catalog.numbers_with_vectors(scope, dimensions, limit);
            let numbers = numbers.await?;
            if numbers.len() <= most {
                let scored = self.compare(scope, &numbers, &query.vector).await?;
                let compared = scored.len();
                return Ok((scored, true, compared));
            }
            if query.is_exact {
                return Err(Error::Invalid(format!(
                    "there are more than {MOST_COMPARED} vectors to compare; ask about less time, fewer channels, or not exactly"
                )));
            }
        }
        let scored = self.propose(scope, query, &snapshot, within).await?;
        let compared = scored.len();
        Ok((scored, false, compared))
    }

    async fn snapshot(&self, dimensions: usize, within: &Within) -> Result<Snapshot, Error> {
        let mut index = self.index.lock().await;
        index.catch_up(&self.catalog).await?;
        Ok(index.snapshot(dimensions, within))
    }

    async fn propose(
        &self,
        scope: Scope<'_>,
        query: &NearQuery,
        snapshot: &Snapshot,
        within: Within,
    ) -> Result<Vec<Scored>, Error> {
        let sketch = sketch(&query.vector);
        let mut most = FEWEST_PROPOSALS.max(PROPOSALS_EACH * query.most);
        loop {
            let (snapshot, within) = (snapshot.clone(), within.clone());
            let look = move || snapshot.nearest(&sketch, &within, most);
            let numbers = beside(look).await?;
            let scored = self.compare(scope, &numbers, &query.vector).await?;
            if scored.len() * 2 < numbers.len() && matches_everything(scope.filter) {
                // Most of what it proposes is gone: time to read it anew.
                self.index.lock().await.clear();
            }
            let is_all = numbers.len() < most;
            if is_all || scored.len() >= query.most * PROPOSALS_EACH / 4 || most >= MOST_COMPARED {
                return Ok(scored);
            }
            most = (most * MORE_EACH_ROUND).min(MOST_COMPARED);
        }
    }

    /// The cosine of each that is still in scope.
    async fn compare(
        &self,
        scope: Scope<'_>,
        numbers: &[i64],
        vector: &[f32],
    ) -> Result<Vec<Scored>, Error> {
        let mut scored = Vec::with_capacity(numbers.len());
        let vector: Arc<[f32]> = vector.into();
        for some in numbers.chunks(READ_AT_ONCE) {
            let vectors = self.catalog.vectors(scope, some).await?;
            let vector = Arc::clone(&vector);
            let cosines = move || -> Vec<Scored> {
                let of_length = vectors
                    .iter()
                    .filter(|(_, other)| other.len() == vector.len());
                let scored = of_length.map(|(number, other)| (*number, cosine(&vector, other)));
                scored.collect()
            };
            scored.extend(beside(cosines).await?);
        }
        Ok(scored)
    }
}

/// Milliseconds of pure computing, on a thread that nothing else waits for.
async fn beside<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(compute).await;
    done.map_err(|_| Error::Invalid("the search broke off".to_owned()))
}

/// The nearest first; of equal ones the newer.
fn best(mut scored: Vec<Scored>, most: usize, min_score: Option<f64>) -> Vec<Scored> {
    scored.retain(|(_, score)| min_score.is_none_or(|least| *score >= least));
    let order = |one: &Scored, other: &Scored| match other.1.total_cmp(&one.1) {
        Ordering::Equal => other.0.cmp(&one.0),
        ordering => ordering,
    };
    scored.sort_unstable_by(order);
    scored.truncate(most);
    scored
}

/// The cosine of the angle between two vectors of one length; 0 if one has no length.
fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let [mut dot, mut left, mut right] = [[0.0_f64; 4]; 3];
    // Sums of every fourth number, which the processor adds side by side. In doubles, no square of a
    // finite float overflows.
    let (ones, one_rest) = one.as_chunks::<4>();
    let (others, other_rest) = other.as_chunks::<4>();
    let mut add = |lane: usize, a: f32, b: f32| {
        let (a, b) = (f64::from(a), f64::from(b));
        dot[lane] += a * b;
        left[lane] += a * a;
        right[lane] += b * b;
    };
    for (a, b) in ones.iter().zip(others) {
        (0..4).for_each(|lane| add(lane, a[lane], b[lane]));
    }
    for (lane, (a, b)) in one_rest.iter().zip(other_rest).enumerate() {
        add(lane, *a, *b);
    }
    let sum = |lanes: [f64; 4]| lanes.iter().sum::<f64>();
    let length = (sum(left) * sum(right)).sqrt();
    if length == 0.0 {
        return 0.0;
    }
    (sum(dot) / length).clamp(-1.0, 1.0)
}

#[cfg(test)]
#[path = "near_tests.rs"]
mod on_a_store;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_of_the_angle_alone() {
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, -7.0]), 0.0);
        assert_eq!(cosine(&[1.0; 7], &[-2.0; 7]), -1.0);
        assert_eq!(cosine(&[f32::MAX; 5], &[f32::MAX; 5]), 1.0);
        assert_eq!(cosine(&[0.0], &[1.0]), 0.0);
        assert!((cosine(&[1.0, 1.0, 0.0], &[1.0, 0.0, 0.0]) - 0.5_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn the_best_come_first_and_no_worse_than_wanted() {
        let scored = vec![(1, 0.5), (2, 0.9), (3, 0.4), (4, 0.9)];
        let two = best(scored.clone(), 2, Some(0.5));
        assert_eq!(two, [(4, 0.9), (2, 0.9)]);
        assert_eq!(best(scored, 9, Some(0.5)), [(4, 0.9), (2, 0.9), (1, 0.5)]);
    }

    #[tokio::test]
    async fn computing_leaves_the_thread_of_other_tasks() {
        let here = std::thread::current().id();
        assert_ne!(beside(|| std::thread::current().id()).await.unwrap(), here);
    }
}
