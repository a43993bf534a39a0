//! CPU time and memory of whole process trees, from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// What a set of process trees used in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// User and system time, in seconds.
    pub(super) cpu_s: f64,
    /// Length of the window, in seconds.
    pub(super) wall_s: f64,
    /// Proportional set size at the end: pages shared by n processes count for one nth each. In MiB.
    pub(super) pss_mib: f64,
    /// Resident set size at the end, shared pages counted in every process. In MiB.
    pub(super) rss_mib: f64,
}

/// Measures several groups of processes over one window. `tick` is called now and then and can end it with an error.
pub(super) fn window<const N: usize>(
    groups: [&[u32]; N],
    length: Duration,
    mut tick: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<[Usage; N]> {
    let before = groups.map(cpu_seconds);
    let start = Instant::now();
    while start.elapsed() < length {
        std::thread::sleep(Duration::from_millis(200));
        tick()?;
    }
    let after = groups.map(cpu_seconds);
    let wall_s = start.elapsed().as_secs_f64();
    let mut usages = [Usage::default(); N];
    for (index, usage) in usages.iter_mut().enumerate() {
        let (pss_mib, rss_mib) = memory(groups[index]);
        *usage = Usage {
            cpu_s: after[index] - before[index],
            wall_s,
            pss_mib,
            rss_mib,
        };
    }
    Ok(usages)
}

/// Processor seconds that the machine spent on anything but idling since it started, and on how many cores.
pub(super) fn busy_seconds() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|word| word.parse().ok())
        .collect();
    anyhow::ensure!(ticks.len() == 8, "/proc/stat has an unknown form");
    // The fourth and fifth are idle and waiting for the disk.
    let idle = ticks[3] + ticks[4];
    Ok((ticks.iter().sum::<f64>() - idle) / ticks_per_second())
}

fn ticks_per_second() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is 100")]
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    ticks
}

/// CPU seconds of the trees so far, children that have ended included.
pub(super) fn cpu_seconds(roots: &[u32]) -> f64 {
    tree(roots)
        .iter()
        .filter_map(|pid| stat(*pid))
        .map(|stat| stat.cpu_s)
        .sum()
}

fn memory(roots: &[u32]) -> (f64, f64) {
    let mut total = (0.0, 0.0);
    for pid in tree(roots) {
        // A process that ended a moment ago uses nothing.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
            continue;
        };
        total.0 += mib(&text, "Pss:");
        total.1 += mib(&text, "Rss:");
    }
    total
}

fn mib(rollup: &str, key: &str) -> f64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| {
        rest.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<f64>()
            .ok()
    })
    .unwrap_or(0.0)
        / 1024.0
}

/// The roots and all their descendants.
fn tree(roots: &[u32]) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some((pid, stat)) = pid.and_then(|pid| Some((pid, stat(pid)?))) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = roots.to_vec();
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.get(pid).into_iter().flatten().copied());
        next += 1;
    }
    found
}

#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    cpu_s: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in parentheses may itself hold parentheses and spaces.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // proc(5): after the name come state, ppid, ...; utime, stime, cutime, cstime are the 14th to 17th field overall.
    let ticks: f64 = fields
        .get(11..15)?
        .iter()
        .map(|field| field.parse::<f64>())
        .sum::<Result<f64, _>>()
        .ok()?;
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        cpu_s: ticks / ticks_per_second(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b (c)) S 42 7 7 0 -1 4194304 1 2 3 4 100 50 20 30 20 0 1 0 5 6 7";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                parent: 42,
                cpu_s: 200.0 / ticks_per_second()
            })
        );
    }

    #[test]
    fn the_work_of_a_child_is_charged_to_the_tree() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let measured = window([&[child.id()]], Duration::from_millis(600), || Ok(())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(measured[0].cpu_s > 0.05, "{measured:?}");
        assert!(
            measured[0].rss_mib > 0.1 && measured[0].pss_mib > 0.0,
            "{measured:?}"
        );
        assert!(measured[0].wall_s >= 0.6);
    }

    #[test]
    fn our_own_tree_holds_ourselves_and_our_children() {
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .spawn()
            .unwrap();
        let found = tree(&[std::process::id()]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&std::process::id()) && found.contains(&child.id()));
    }
}
