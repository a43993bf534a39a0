//! Links between the Markdown files of the checkout: the file must exist, and so must the heading.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::{run, term, workspace};

pub(super) fn check() -> anyhow::Result<()> {
    // Tracked files and new ones that are not ignored.
    let mut list = run::program("git");
    list.args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
        "*.md",
    ]);
    let listing = run::output(&mut list)?;
    let files: Vec<PathBuf> = listing
        .lines()
        .map(|line| workspace::root().join(line))
        .filter(|p| p.exists())
        .collect();
    let mut broken = 0_usize;
    for file in &files {
        for fault in faults(file)? {
            eprintln!(
                "    {}: {fault}",
                file.strip_prefix(workspace::root())
                    .unwrap_or(file)
                    .display()
            );
            broken += 1;
        }
    }
    anyhow::ensure!(broken == 0, "{broken} broken links");
    term::note(&format!(
        "links of {} Markdown files lead somewhere",
        files.len()
    ));
    Ok(())
}

/// The links of one file that lead nowhere.
fn faults(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut faults = Vec::new();
    for link in links(&text) {
        if is_elsewhere(&link) {
            continue;
        }
        let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
        let target = if path.is_empty() {
            file.to_path_buf()
        } else {
            folder.join(path)
        };
        if !target.exists() {
            faults.push(format!("{link}: no such file"));
        } else if !heading.is_empty() && target.extension().is_some_and(|e| e == "md") {
            let headings = headings(&std::fs::read_to_string(&target)?);
            if !headings.contains(heading) {
                faults.push(format!("{link}: no such heading"));
            }
        }
    }
    Ok(faults)
}

/// A link that leaves the checkout: nothing here may ask the network.
fn is_elsewhere(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

/// The targets of inline links, outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let mut rest = line.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, tail)) = after.split_once(')') else {
                break;
            };
            // A title may follow the target.
            found.extend(
                target
                    .split_whitespace()
                    .next()
                    .map(|word| word.trim_matches(['<', '>']).to_owned()),
            );
            rest = tail;
        }
    }
    found
}

/// The lines outside fenced code, without their inline code.
fn prose(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            // Every second piece between backticks is code.
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join("`"));
        }
    }
    lines
}

/// The anchors of the headings, formed the way the usual forges and mdBook do.
fn headings(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.starts_with('#') {
            anchors.insert(anchor(line.trim_start_matches('#').trim()));
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_code_are_not_links() {
        let text =
            "see [a](a.md) and `[b](b.md)`\n```text\n[c](c.md)\n```\n![d](d.svg \"a picture\")";
        assert_eq!(links(text), ["a.md", "d.svg"]);
    }

    #[test]
    fn a_heading_becomes_its_anchor() {
        assert_eq!(
            anchor("2. The house: who uses `whom`?"),
            "2-the-house-who-uses-whom"
        );
    }

    #[test]
    fn missing_files_and_headings_are_found_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("b.md"), "# Title\n\n## Next step\n").unwrap();
        let text = "[1](b.md) [2](b.md#next-step) [3](b.md#gone) [4](c.md) [5](https://example.org/x) [6](#here)\n# Here";
        std::fs::write(path("a.md"), text).unwrap();
        let found = faults(&path("a.md")).unwrap();
        assert_eq!(found, ["b.md#gone: no such heading", "c.md: no such file"]);
    }
}
