//! What each worker may use.

use crate::protocol::setup::{DEFAULT_MEMORY_MIB, Hwaccel, SandboxMode};

/// Limits and hardware of a worker; its command line is described at [`crate::protocol::setup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOptions {
    /// Most address space, in MiB (default [`DEFAULT_MEMORY_MIB`]).
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
            memory_mib: DEFAULT_MEMORY_MIB,
            sandbox: SandboxMode::default(),
            hwaccel: Hwaccel::default(),
            device: None,
        }
    }
}

impl WorkerOptions {
    /// The command line of a worker that transcodes sound: no hardware does that.
    pub(crate) fn to_sound_args(&self) -> Vec<String> {
        let in_software = Self {
            hwaccel: Hwaccel::None,
            device: None,
            ..self.clone()
        };
        let mut args = in_software.to_args();
        args.extend(["--sound".to_owned(), "yes".to_owned()]);
        args
    }

    /// The command line; what a worker does anyway is not said.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        let mut add = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
        if self.memory_mib != DEFAULT_MEMORY_MIB {
            add("--memory-mib", &self.memory_mib.to_string());
        }
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
        assert_eq!(WorkerOptions::default().to_args(), [""; 0]);
        assert_eq!(
            all.to_sound_args().join(" "),
            "--memory-mib 512 --sandbox require --sound yes"
        );
    }
}
