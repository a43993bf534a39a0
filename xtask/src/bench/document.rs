//! `docs/benchmarks.md`: each benchmark owns the part between its two markers.

use anyhow::Context as _;

use crate::{term, workspace};

/// Replaces the part of one benchmark and says so.
pub(super) fn replace(bench: &str, text: &str) -> anyhow::Result<()> {
    let path = workspace::root().join("docs/benchmarks.md");
    let old = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    std::fs::write(&path, replaced(&old, bench, text)?)?;
    term::note("written to docs/benchmarks.md");
    Ok(())
}

fn replaced(old: &str, bench: &str, text: &str) -> anyhow::Result<String> {
    let (begin, end) = (
        format!("<!-- {bench}: begin -->"),
        format!("<!-- {bench}: end -->"),
    );
    let (head, rest) = old
        .split_once(&begin)
        .with_context(|| format!("docs/benchmarks.md has no {begin}"))?;
    let (_, tail) = rest
        .split_once(&end)
        .with_context(|| format!("docs/benchmarks.md has no {end}"))?;
    Ok(format!("{head}{begin}\n\n{}\n\n{end}{tail}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_between_the_markers_changes() {
        let old =
            "# B\n<!-- a: begin -->old<!-- a: end -->\n<!-- b: begin -->kept<!-- b: end -->\n";
        let new = replaced(old, "a", "\nnew\n").unwrap();
        assert_eq!(
            new,
            "# B\n<!-- a: begin -->\n\nnew\n\n<!-- a: end -->\n<!-- b: begin -->kept<!-- b: end -->\n"
        );
        assert!(replaced(old, "c", "x").is_err());
    }
}
