//! The report of a soak, for people.

use crate::account::Account;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What became of the pictures of one camera.
#[derive(Debug, Clone)]
pub struct CameraReport {
    /// Its name.
    pub name: String,
    /// The comparison.
    pub account: Account,
    /// Missing pictures in gaps whose reason nothing explains, by that reason.
    pub wrong: BTreeMap<String, usize>,
}

/// What became of all of them.
#[derive(Debug, Clone)]
pub struct Report {
    /// A row for each camera.
    pub rows: Vec<CameraReport>,
    /// How often what was broken.
    pub faults: BTreeMap<&'static str, usize>,
}

impl Report {
    /// Whether every picture is accounted for, with a reason that fits.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.rows
            .iter()
            .all(|row| row.account.is_settled() && row.wrong.is_empty())
    }

    fn reasons(&self) -> BTreeSet<&str> {
        let reasons = self.rows.iter().flat_map(|row| row.account.in_gaps.keys());
        reasons.map(String::as_str).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken: Vec<String> = self
            .faults
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        writeln!(f, "Broken: {}.\n", broken.join(", "))?;
        let reasons = self.reasons();
        let mut head = vec!["camera", "taken", "stored"];
        head.extend(&reasons);
        head.extend(["wrong reason", "twice", "unaccounted"]);
        writeln!(f, "| {} |", head.join(" | "))?;
        writeln!(f, "|{}", " --- |".repeat(head.len()))?;
        let mut sums = vec![0; head.len() - 1];
        for row in &self.rows {
            let account = &row.account;
            let mut cells = vec![account.sent, account.kept];
            cells.extend(reasons.iter().map(|reason| account.missing(reason)));
            cells.push(row.wrong.values().sum());
            cells.push(account.doubled.len());
            cells.push(account.unaccounted.len() + account.invented.len());
            line(f, &row.name, &cells)?;
            for (sum, cell) in sums.iter_mut().zip(&cells) {
                *sum += cell;
            }
        }
        line(f, "all", &sums)?;
        for row in self.rows.iter().filter(|row| !row.account.is_settled()) {
            writeln!(f, "\n{}: {}", row.name, row.account)?;
        }
        for row in self.rows.iter().filter(|row| !row.wrong.is_empty()) {
            writeln!(f, "\n{}: no fault explains {:?}", row.name, row.wrong)?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, cells: &[usize]) -> fmt::Result {
    write!(f, "| {name} |")?;
    for cell in cells {
        write!(f, " {cell} |")?;
    }
    writeln!(f)
}
