//! The tables.

use super::outcome::Outcome;

/// Pictures asked for one by one, in several ways; the first outcome of each is ours.
pub(super) struct Singles {
    pub(super) random: Vec<Outcome>,
    pub(super) key: Vec<Outcome>,
    /// Ours only: one frame after the other.
    pub(super) next: Outcome,
    /// Ours only: the random ones again.
    pub(super) again: Outcome,
}

impl Singles {
    pub(super) fn table(&self) -> String {
        let mut text = String::from(
            "| one picture | tool | p50 ms | p99 ms | CPU ms each | ours / theirs, p50 | CPU |\n\
             | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for (what, outcomes) in [
            ("exact, random instant", &self.random),
            ("key frame, random instant", &self.key),
        ] {
            for outcome in outcomes {
                text.push_str(&row(what, outcome, &outcomes[0]));
            }
        }
        let own = [
            ("exact, frame after frame", &self.next),
            ("exact, asked for before", &self.again),
        ];
        for (what, outcome) in own {
            text.push_str(&row(what, outcome, outcome));
        }
        text
    }
}

fn row(what: &str, outcome: &Outcome, ours: &Outcome) -> String {
    format!(
        "| {what} | {} | {:.0} | {:.0} | {:.1} | {:.2} | {:.2} |\n",
        outcome.tool,
        outcome.percentile(50),
        outcome.percentile(99),
        outcome.cpu_ms(),
        ours.percentile(50) / outcome.percentile(50),
        ours.cpu_ms() / outcome.cpu_ms(),
    )
}

/// Jobs of many pictures, with their names.
pub(super) fn many(jobs: &[(&str, Vec<Outcome>)]) -> String {
    let mut text = String::from(
        "| many pictures | tool | pictures | CPU ms each | pictures per CPU second | pictures per second | ours / theirs, CPU |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (what, outcomes) in jobs {
        for outcome in outcomes {
            text.push_str(&format!(
                "| {what} | {} | {} | {:.1} | {:.1} | {:.1} | {:.2} |\n",
                outcome.tool,
                outcome.pictures,
                outcome.cpu_ms(),
                1000.0 / outcome.cpu_ms(),
                outcome.rate(),
                outcomes[0].cpu_ms() / outcome.cpu_ms(),
            ));
        }
    }
    text
}
