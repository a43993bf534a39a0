//! The layers of the workspace: each crate uses only lower ones.
//!
//! The table below is the one in `docs/architecture.md`. An arrow that goes up, or sideways without being listed with
//! its reason, is an error. Only normal and build dependencies count: tests may use the test kit and each other.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::Value;

use crate::{term, workspace};

/// Level of each crate of the workspace.
const LEVELS: &[(&str, u8)] = &[
    ("framewell-model", 0),
    ("framewell-media", 1),
    ("framewell-fmp4", 1),
    ("framewell-token", 1),
    ("framewell-wire", 1),
    ("framewell-live", 2),
    ("framewell-blob", 2),
    ("framewell-catalog", 2),
    ("framewell-footage", 2),
    ("framewell-decode", 2),
    ("framewell-jobs", 2),
    ("framewell-access", 3),
    ("framewell-archive", 3),
    ("framewell-ingest", 3),
    ("framewell-recorder", 3),
    ("framewell-imaging", 3),
    ("framewell-clips", 3),
    ("framewell-gallery", 3),
    ("framewell-motion", 3),
    ("framewell-playback", 3),
    ("framewell-insight", 3),
    ("framewell-notify", 4),
    ("framewell-streaming", 4),
    ("framewell-api", 4),
    ("framewell-server", 5),
    ("framewell-decoder", 5),
    ("framewell-testkit", DEV),
    ("xtask", DEV),
];

/// Level of what exists for development only; nothing that ships may depend on it.
const DEV: u8 = 9;

/// Arrows inside one level: from, to, and why they may be.
const SIDEWAYS: &[(&str, &str, &str)] = &[
    (
        "framewell-fmp4",
        "framewell-media",
        "boxes are written from access units and codec parameters",
    ),
    (
        "framewell-wire",
        "framewell-media",
        "packets and messages become access units and codec parameters",
    ),
    (
        "framewell-footage",
        "framewell-blob",
        "recorded pictures are found by a row and read from an object",
    ),
    ("framewell-footage", "framewell-catalog", "the same"),
    (
        "framewell-jobs",
        "framewell-catalog",
        "a job is a row, taken and saved by its runner",
    ),
    (
        "framewell-gallery",
        "framewell-imaging",
        "stored pictures are made by the one service that makes pictures, so that all share its decodes",
    ),
    (
        "framewell-clips",
        "framewell-playback",
        "a stored clip is the virtual clip of its range, written into an object",
    ),
    (
        "framewell-clips",
        "framewell-imaging",
        "the thumbnail of a clip is made by the one service that makes pictures",
    ),
    (
        "framewell-motion",
        "framewell-imaging",
        "motion is looked for in pictures that are decoded for whoever wants them",
    ),
];

/// Crates that may use only these of the workspace, whatever their level allows.
const CLOSED: &[(&str, &[&str])] = &[(
    "framewell-decoder",
    &["framewell-decode", "framewell-media", "framewell-model"],
)];

/// Levels that do no I/O and know no clock.
const PURE_UP_TO: u8 = 1;
const IMPURE: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "mio",
    "reqwest",
    "sqlx",
    "object_store",
];

/// C libraries for media, which live in the decoder's process only.
const C_MEDIA: &[&str] = &[
    "ffmpeg-next",
    "ffmpeg-sys-next",
    "rusty_ffmpeg",
    "turbojpeg",
    "turbojpeg-sys",
    "mozjpeg",
    "libwebp-sys",
];
const C_MEDIA_HOME: &str = "framewell-decoder";

/// Package name to the names that it depends on for its normal or build targets.
type Graph = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check() -> anyhow::Result<()> {
    let metadata = workspace::dependency_graph()?;
    let members = members(&metadata)?;
    let graph = graph(&metadata)?;
    let faults = faults(&members, &graph);
    for fault in &faults {
        eprintln!("    {fault}");
    }
    anyhow::ensure!(
        faults.is_empty(),
        "{} arrows against the layers",
        faults.len()
    );
    term::note(&format!("{} crates keep to their layers", members.len()));
    Ok(())
}

/// Everything that is wrong, one sentence each.
fn faults(members: &BTreeSet<String>, graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    for from in members {
        let Some(level) = level(from) else {
            faults.push(format!(
                "{from} has no level: put it into the table of xtask/src/check/layers.rs"
            ));
            continue;
        };
        let used = graph
            .get(from)
            .into_iter()
            .flatten()
            .filter(|name| members.contains(*name));
        faults.extend(used.filter_map(|to| arrow_fault(from, to)));
        let reached = reachable(graph, from);
        if level <= PURE_UP_TO {
            faults.extend(named(&reached, IMPURE, |name| {
                format!("{from} (level {level}) reaches {name}: levels 0 and 1 do no I/O and have no runtime")
            }));
        }
        if from != C_MEDIA_HOME {
            faults.extend(named(&reached, C_MEDIA, |name| {
                format!("{from} reaches {name}: C media libraries belong to {C_MEDIA_HOME} alone")
            }));
        }
    }
    faults
}

/// What is wrong with one arrow between crates of the workspace.
fn arrow_fault(from: &str, to: &str) -> Option<String> {
    if let Some((_, allowed)) = CLOSED.iter().find(|(name, _)| *name == from)
        && !allowed.contains(&to)
    {
        return Some(format!(
            "{from} -> {to}: {from} may use only {}",
            allowed.join(", ")
        ));
    }
    let (low, high) = (level(to)?, level(from)?);
    if low < high {
        return None;
    }
    if low > high {
        return Some(format!(
            "{from} (level {high}) -> {to} (level {low}) goes up"
        ));
    }
    let listed = SIDEWAYS.iter().any(|(a, b, _)| *a == from && *b == to);
    (!listed).then(|| format!("{from} -> {to} goes sideways in level {low}"))
}

fn level(name: &str) -> Option<u8> {
    LEVELS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, level)| *level)
}

fn named(reached: &BTreeSet<String>, names: &[&str], say: impl Fn(&str) -> String) -> Vec<String> {
    names
        .iter()
        .filter(|name| reached.contains(**name))
        .map(|name| say(name))
        .collect()
}

fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![from.to_owned()];
    while let Some(name) = todo.pop() {
        for next in graph.get(&name).into_iter().flatten() {
            if seen.insert(next.clone()) {
                todo.push(next.clone());
            }
        }
    }
    seen
}

fn members(metadata: &Value) -> anyhow::Result<BTreeSet<String>> {
    let ids: BTreeSet<&str> = array(metadata, "workspace_members")?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let packages = array(metadata, "packages")?.iter();
    Ok(packages
        .filter(|package| ids.contains(text(package, "id")))
        .map(|p| text(p, "name").to_owned())
        .collect())
}

/// The resolved graph by package name. Two versions of one crate fall together, which is what the rules want.
fn graph(metadata: &Value) -> anyhow::Result<Graph> {
    let names: BTreeMap<&str, &str> = array(metadata, "packages")?
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let mut graph = Graph::new();
    for node in array(&metadata["resolve"], "nodes")? {
        let from = names
            .get(text(node, "id"))
            .context("a node without a package")?;
        let edges = graph.entry((*from).to_owned()).or_default();
        for dep in array(node, "deps")?.iter().filter(|dep| counts(dep)) {
            let to = names
                .get(text(dep, "pkg"))
                .context("a dependency without a package")?;
            edges.insert((*to).to_owned());
        }
    }
    Ok(graph)
}

/// Whether an edge is more than a dev-dependency. In cargo's answer a normal dependency has the kind null.
fn counts(dep: &Value) -> bool {
    dep["dep_kinds"]
        .as_array()
        .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"] != "dev"))
}

fn array<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a Vec<Value>> {
    value[key]
        .as_array()
        .with_context(|| format!("cargo metadata has no list {key}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn graph_of(edges: &[(&str, &[&str])]) -> (BTreeSet<String>, Graph) {
        let members = edges
            .iter()
            .map(|(from, _)| (*from).to_owned())
            .filter(|n| level(n).is_some())
            .collect();
        let graph = edges
            .iter()
            .map(|(from, to)| {
                (
                    (*from).to_owned(),
                    to.iter().map(|name| (*name).to_owned()).collect(),
                )
            })
            .collect();
        (members, graph)
    }

    fn faults_of(edges: &[(&str, &[&str])]) -> Vec<String> {
        let (members, graph) = graph_of(edges);
        faults(&members, &graph)
    }

    #[test]
    fn an_arrow_down_is_fine() {
        let edges: &[(&str, &[&str])] = &[
            ("framewell-recorder", &["framewell-live", "framewell-model"]),
            ("framewell-live", &[]),
            ("framewell-model", &[]),
        ];
        assert_eq!(faults_of(edges), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_up_is_a_fault() {
        let found = faults_of(&[
            ("framewell-live", &["framewell-recorder"]),
            ("framewell-recorder", &[]),
        ]);
        assert_eq!(
            found,
            ["framewell-live (level 2) -> framewell-recorder (level 3) goes up"]
        );
    }

    #[test]
    fn an_arrow_between_two_services_is_a_fault() {
        let found = faults_of(&[
            ("framewell-imaging", &["framewell-recorder"]),
            ("framewell-recorder", &[]),
        ]);
        assert_eq!(
            found,
            ["framewell-imaging -> framewell-recorder goes sideways in level 3"]
        );
    }

    #[test]
    fn a_sideways_arrow_is_fine_only_in_the_listed_direction() {
        assert_eq!(arrow_fault("framewell-footage", "framewell-catalog"), None);
        assert!(arrow_fault("framewell-catalog", "framewell-footage").is_some());
    }

    #[test]
    fn what_ships_does_not_depend_on_the_test_kit() {
        let found = faults_of(&[
            ("framewell-server", &["framewell-testkit"]),
            ("framewell-testkit", &[]),
        ]);
        assert_eq!(
            found,
            ["framewell-server (level 5) -> framewell-testkit (level 9) goes up"]
        );
    }

    #[test]
    fn the_decoder_uses_the_protocol_and_nothing_of_the_services() {
        assert_eq!(arrow_fault("framewell-decoder", "framewell-decode"), None);
        let fault = arrow_fault("framewell-decoder", "framewell-live").unwrap();
        assert!(fault.contains("may use only"), "{fault}");
    }

    #[test]
    fn a_pure_crate_that_reaches_tokio_through_another_is_a_fault() {
        let found = faults_of(&[
            ("framewell-media", &["helper"]),
            ("helper", &["tokio"]),
            ("tokio", &[]),
        ]);
        assert!(
            found[0].contains("framewell-media (level 1) reaches tokio"),
            "{found:?}"
        );
    }

    #[test]
    fn only_the_decoder_links_c_media_libraries() {
        let ffmpeg: &[&str] = &["ffmpeg-next"];
        assert_eq!(
            faults_of(&[("framewell-decoder", ffmpeg)]),
            Vec::<String>::new()
        );
        assert!(faults_of(&[("framewell-server", ffmpeg)])[0].contains("framewell-decoder alone"));
    }

    #[test]
    fn a_crate_without_a_level_is_a_fault() {
        let members = BTreeSet::from(["framewell-new".to_owned()]);
        assert!(faults(&members, &Graph::new())[0].contains("has no level"));
    }

    #[test]
    fn dev_dependencies_do_not_count() {
        assert!(!counts(&json!({"dep_kinds": [{"kind": "dev"}]})));
        assert!(counts(
            &json!({"dep_kinds": [{"kind": "dev"}, {"kind": null}]})
        ));
        assert!(counts(&json!({"dep_kinds": [{"kind": "build"}]})));
    }

    #[test]
    fn the_workspace_as_it_is_keeps_its_layers() {
        check().unwrap();
    }
}
