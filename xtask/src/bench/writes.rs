//! What the server writes: bytes for the disk, bytes of footage, syncs.

use anyhow::Context as _;

use crate::server::Server;

/// Counts since the start of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writes {
    /// Bytes that were to go to the disk, of everything.
    disk_bytes: f64,
    /// Bytes of fragments.
    footage_bytes: f64,
    /// Syncs of files and folders of the store.
    pub(super) syncs: f64,
}

impl Writes {
    pub(super) fn of(server: &Server) -> anyhow::Result<Self> {
        let path = format!("/proc/{}/io", server.process.pid());
        let io = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let written = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "));
        let written = written.with_context(|| format!("no write_bytes in {path}"))?;
        let answer = server.admin.request("GET", "/metrics", None)?;
        let metrics = String::from_utf8_lossy(&answer.body).into_owned();
        Ok(Self {
            disk_bytes: written.trim().parse()?,
            footage_bytes: sum(&metrics, "framewell_recorder_bytes_total"),
            syncs: sum(&metrics, "framewell_blob_syncs_total"),
        })
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            disk_bytes: self.disk_bytes - before.disk_bytes,
            footage_bytes: self.footage_bytes - before.footage_bytes,
            syncs: self.syncs - before.syncs,
        }
    }

    /// Bytes to the disk for each byte of footage.
    pub(super) fn amplification(&self) -> f64 {
        self.disk_bytes / self.footage_bytes.max(1.0)
    }
}

/// The sum of a metric over all its labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        // Not another metric of which this name is the beginning.
        rest.starts_with(['{', ' ']).then_some(())?;
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_only() {
        let text = "# TYPE a counter\na{channel=\"1\"} 2\na{channel=\"2\"} 3.5\na_total 9\na 1\n";
        assert!((sum(text, "a") - 6.5).abs() < 1e-9);
        assert!(sum(text, "b").abs() < 1e-9);
    }
}
