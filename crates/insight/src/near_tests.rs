//! Nearest neighbours out of a real store, beside a plain comparison of all.

use super::*;
use crate::{Insight, parse_native_document};
use framewell_catalog::meta::{Field, Filter, Test, Value};
use framewell_catalog::{Catalog, CatalogConfig};
use framewell_model::{ChannelId, NewChannel, RecMode, Secret, WallTime};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const DIMENSIONS: usize = 48;
const VECTORS: usize = 3_000;
const CLUSTERS: usize = 30;

struct Store {
    insight: Insight,
    channels: Vec<ChannelId>,
    vectors: Vec<Vec<f32>>,
    _folder: tempfile::TempDir,
}

/// Numbers that look random, the same every time.
struct Random(u64);

impl Random {
    /// Between -1 and 1.
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // The upper bits are the better ones.
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn vector(&mut self, around: Option<&Vec<f32>>) -> Vec<f32> {
        (0..DIMENSIONS)
            .map(|n| around.map_or(0.0, |center| 2.0 * center[n]) + self.next())
            .collect()
    }
}

impl Store {
    /// Clustered vectors, in turn on two channels, one a second.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let config = CatalogConfig {
            url: Secret::new(url),
            max_connections: 2,
        };
        let catalog = Catalog::open(&config).await.unwrap();
        let account = catalog
            .create_account("owner", WallTime::from_secs(0))
            .await
            .unwrap()
            .id;
        let mut channels = Vec::new();
        for name in ["a", "b"] {
            let new = NewChannel {
                name: name.into(),
                rec_mode: RecMode::On,
                timezone: "UTC".into(),
                source: None,
                retention_s: None,
                meta: BTreeMap::new(),
            };
            channels.push(
                catalog
                    .create_channel(account, &new, WallTime::from_secs(0))
                    .await
                    .unwrap()
                    .id,
            );
        }
        let insight = Insight::new(catalog).with_compared_always(100);
        let mut random = Random(7);
        let centers: Vec<Vec<f32>> = (0..CLUSTERS).map(|_| random.vector(None)).collect();
        let vectors = (0..VECTORS)
            .map(|n| random.vector(Some(&centers[n % CLUSTERS])))
            .collect();
        let store = Self {
            insight,
            channels,
            vectors,
            _folder: folder,
        };
        for (n, channel) in store.channels.iter().enumerate() {
            let documents = (n..VECTORS).step_by(2).map(|n| {
                let at = WallTime::from_secs(n as i64);
                let document = json!({"id": n.to_string(), "timestamp": at.to_string(), "vector": store.vectors[n], "long": {"n": n}});
                Ok(parse_native_document(&document, |text| text.parse().ok())?.at(at, None))
            });
            store
                .insight
                .post(*channel, documents.collect())
                .await
                .unwrap();
        }
        store
    }

    /// Ids of the nearest, by comparing all that are wanted.
    fn nearest(
        &self,
        vector: &[f32],
        most: usize,
        is_wanted: impl Fn(usize) -> bool,
    ) -> BTreeSet<String> {
        let mut scored: Vec<(f64, usize)> = (0..VECTORS)
            .filter(|n| is_wanted(*n))
            .map(|n| (cosine(vector, &self.vectors[n]), n))
            .collect();
        scored.sort_by(|one, other| other.0.total_cmp(&one.0));
        scored
            .into_iter()
            .take(most)
            .map(|(_, n)| n.to_string())
            .collect()
    }

    async fn near(
        &self,
        filter: &Filter,
        channels: &[ChannelId],
        vector: &[f32],
        is_exact: bool,
    ) -> Neighbours {
        let scope = Scope {
            channels,
            filter,
            start: None,
            end: None,
        };
        let query = NearQuery {
            vector: vector.to_vec(),
            most: 10,
            min_score: None,
            is_exact,
        };
        self.insight.near(scope, &query).await.unwrap()
    }
}

fn ids(neighbours: &Neighbours) -> BTreeSet<String> {
    neighbours
        .found
        .iter()
        .map(|(_, document)| document.id.clone())
        .collect()
}

fn everything() -> Filter {
    Filter::And(Vec::new())
}

#[tokio::test]
async fn neighbours_are_those_of_a_plain_comparison() {
    let store = Store::new().await;
    let mut random = Random(99);
    let all = store.channels.clone();
    let (mut same, mut wanted) = (0, 0);
    for n in 0..20 {
        let vector = random.vector(Some(&store.vectors[n]));
        let expected = store.nearest(&vector, 10, |_| true);
        let exact = store.near(&everything(), &all, &vector, true).await;
        assert!(exact.is_exact && exact.compared == VECTORS);
        assert_eq!(ids(&exact), expected);
        assert!(exact.found.is_sorted_by(|one, other| one.0 >= other.0));
        let fast = store.near(&everything(), &all, &vector, false).await;
        assert!(
            !fast.is_exact && fast.compared < VECTORS,
            "{}",
            fast.compared
        );
        same += ids(&fast).intersection(&expected).count();
        wanted += expected.len();
        // One channel, and a filter that leaves few, which are all compared.
        let few = Filter::Leaf(Field::Long("n".into()), Test::Lt(Value::Long(60)));
        let found = store.near(&few, &all[..1], &vector, false).await;
        assert_eq!((found.is_exact, found.compared), (true, 30));
        assert_eq!(
            ids(&found),
            store.nearest(&vector, 10, |n| n < 60 && n % 2 == 0)
        );
    }
    assert!(same * 100 >= wanted * 98, "recall {same} of {wanted}");
}

#[tokio::test]
async fn what_is_changed_or_deleted_is_found_as_it_is_now() {
    let store = Store::new().await;
    let all = store.channels.clone();
    let vector = store.vectors[0].clone();
    let first = store.near(&everything(), &all, &vector, false).await;
    assert_eq!(first.found[0].1.id, "0");
    assert!((first.found[0].0 - 1.0).abs() < 1e-9);
    // What is new is read in more than one step.
    store.insight.index.lock().await.stride = 1;
    store
        .insight
        .delete(all[0], vec![Ok("0".into())])
        .await
        .unwrap();
    let opposite: Vec<f32> = vector.iter().map(|value| -value).collect();
    let moved = json!({"id": "2", "timestamp": "2024-05-01T10:00:00Z", "vector": opposite});
    let moved = parse_native_document(&moved, |text| text.parse().ok()).unwrap();
    let at = moved.timestamp.unwrap();
    store
        .insight
        .post(all[0], vec![Ok(moved.at(at, None))])
        .await
        .unwrap();
    let second = store.near(&everything(), &all, &vector, false).await;
    assert!(!ids(&second).contains("0") && !ids(&second).contains("2"));
    let far = store.near(&everything(), &all, &opposite, false).await;
    assert_eq!(
        (far.found[0].1.id.as_str(), far.found[0].1.timestamp),
        ("2", at)
    );
    let short = store.near(&everything(), &all, &[1.0], false).await;
    assert_eq!(
        (short.found.len(), short.is_exact),
        (0, true),
        "no vector of that length"
    );
}
