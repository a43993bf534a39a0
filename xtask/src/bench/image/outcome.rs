//! What one tool needed for one job.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    pub(super) tool: String,
    pub(super) pictures: usize,
    pub(super) wall_s: f64,
    /// User and system time of all its processes.
    pub(super) cpu_s: f64,
    /// Of each picture, where they are asked for one by one.
    pub(super) latencies_s: Vec<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
impl Outcome {
    pub(super) fn cpu_ms(&self) -> f64 {
        self.cpu_s * 1000.0 / self.pictures.max(1) as f64
    }

    pub(super) fn rate(&self) -> f64 {
        self.pictures as f64 / self.wall_s
    }

    /// In milliseconds.
    pub(super) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.latencies_s.clone();
        sorted.sort_by(f64::total_cmp);
        let index = (sorted.len().saturating_sub(1) * percent).div_ceil(100);
        sorted.get(index).copied().unwrap_or(f64::NAN) * 1000.0
    }

    pub(super) fn line(&self) -> String {
        format!(
            "{:<10} {} pictures, {:.1} CPU-ms each, {:.1} a second",
            self.tool,
            self.pictures,
            self.cpu_ms(),
            self.rate()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let latencies_s = (1..=101).rev().map(|ms| f64::from(ms) / 1000.0).collect();
        let outcome = Outcome {
            tool: String::new(),
            pictures: 101,
            wall_s: 1.0,
            cpu_s: 2.02,
            latencies_s,
        };
        assert!((outcome.percentile(50) - 51.0).abs() < 1e-6);
        assert!((outcome.percentile(99) - 100.0).abs() < 1e-6);
        assert!((outcome.cpu_ms() - 20.0).abs() < 1e-6);
    }
}
