//! What each worker may use.

use crate::protocol::setup::{Hwaccel, SandboxMode};

/// Limits and hardware of a worker; its command line is described at [`crate::protocol::setup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOptions {
    /// Most address space, in MiB (default 2,048: room for an 8K H.265 picture buffer, and far from
    /// what would push the server out of memory).
    pub memory_mib: u64,
    /// How it locks itself in.
    pub sandbox: SandboxMode,
    /// What it decodes with.
    pub hwaccel: Hwaccel,
    /// Which device of several; `None`: the first.
    pub device: Option<String>,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            memory_mib: 2_048,
            sandbox: SandboxMode::default(),
            hwaccel: Hwaccel::default(),
            device: None,
        }
    }
}

impl WorkerOptions {
    /// The command line; what a worker does anyway is not said.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let mut args = vec!["--memory-mib".to_owned(), self.memory_mib.to_string()];
        let mut add = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
        if self.sandbox != SandboxMode::default() {
            add("--sandbox", self.sandbox.as_str());
        }
        if self.hwaccel != Hwaccel::default() {
            add("--hwaccel", self.hwaccel.as_str());
        }
        if let Some(device) = &self.device {
            add("--hw-device", device);
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_told_what_differs_from_its_defaults() {
        let all = WorkerOptions {
            memory_mib: 512,
            sandbox: SandboxMode::Require,
            hwaccel: Hwaccel::Vaapi,
            device: Some("/dev/dri/renderD129".into()),
        };
        assert_eq!(
            all.to_args().join(" "),
            "--memory-mib 512 --sandbox require --hwaccel vaapi --hw-device /dev/dri/renderD129"
        );
        let args = WorkerOptions::default().to_args();
        assert_eq!(args.join(" "), "--memory-mib 2048");
    }
}
