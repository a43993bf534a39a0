//! How a worker is set up, and what it reports about that in its first message.
//!
//! The command line of `framewell-decoder`, every option optional:
//!
//! - `--memory-mib N`: address space of the process;
//! - `--sandbox auto|require|off`: see [`SandboxMode`];
//! - `--hwaccel none|vaapi|cuda` and `--hw-device PATH`: see [`Hwaccel`];
//! - `--sound yes`: transcodes sound ([`super::sound`]) and does nothing else.
//!
//! Standard input is the socket. Standard output may be a memory file (`memfd_create`) of fixed size,
//! sealed with `F_SEAL_SHRINK` and `F_SEAL_GROW`; then raw pictures come through it, see
//! [`super::wire::SharedRange`]. Anything else there, such as `/dev/null`, is not touched.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Address space of a worker, in MiB, unless it is told otherwise: room for an 8K H.265 picture buffer,
/// and far from what would push the server out of memory.
pub const DEFAULT_MEMORY_MIB: u64 = 2_048;

/// Whether a worker locks itself up before its first job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxMode {
    /// As far as the kernel offers it.
    #[default]
    Auto,
    /// Entirely, or the worker ends with a message on standard error.
    Require,
    /// Not at all: for debuggers and profilers.
    Off,
}

/// Hardware that decodes. What cannot be had is replaced by software, and [`Hardware`] says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hwaccel {
    /// Software.
    #[default]
    None,
    /// VA-API: Intel and AMD, by a render node such as `/dev/dri/renderD128`.
    Vaapi,
    /// NVDEC of NVIDIA; the device is its number, such as `0`.
    Cuda,
}

/// Gives an enum its names on the command line.
macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal),+ }) => {
        impl $type {
            /// Its name on the worker's command line and in the configuration.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(format!("{text} is none of {}", [$($name),+].join(", "))),
                }
            }
        }
    };
}

named!(SandboxMode { Auto = "auto", Require = "require", Off = "off" });
named!(Hwaccel { None = "none", Vaapi = "vaapi", Cuda = "cuda" });

/// What a worker locked itself up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SandboxReport {
    /// No access to files and network.
    pub landlock: Landlock,
    /// The kernel's Landlock ABI; 0 if it has none.
    pub landlock_abi: u8,
    /// Only the system calls that decoding needs.
    pub has_seccomp: bool,
}

/// How much of Landlock is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Landlock {
    /// All that the worker asks for: no file, no TCP.
    Full,
    /// Files, but not all of the rest: the kernel is older.
    Partial,
    /// Nothing.
    #[default]
    None,
}

impl SandboxReport {
    /// Whether everything that was asked for is in force.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.landlock == Landlock::Full && self.has_seccomp
    }
}

impl fmt::Display for SandboxReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let landlock = match self.landlock {
            Landlock::Full => "full",
            Landlock::Partial => "partial",
            Landlock::None => "none",
        };
        let seccomp = if self.has_seccomp { "yes" } else { "no" };
        write!(
            f,
            "landlock {landlock} (ABI {}), seccomp {seccomp}",
            self.landlock_abi
        )
    }
}

/// What became of [`Hwaccel`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hardware {
    /// Nobody asked for it.
    #[default]
    Off,
    /// The device is open. Streams that it cannot decode are decoded in software.
    Ready,
    /// There is no such device, for this reason: all decoding is in software.
    Unavailable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for mode in [SandboxMode::Auto, SandboxMode::Require, SandboxMode::Off] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        for hwaccel in [Hwaccel::None, Hwaccel::Vaapi, Hwaccel::Cuda] {
            assert_eq!(hwaccel.to_string().parse(), Ok(hwaccel));
        }
        let unknown = "nvdec".parse::<Hwaccel>().unwrap_err();
        assert_eq!(unknown, "nvdec is none of none, vaapi, cuda");
    }

    #[test]
    fn a_report_is_one_line_for_the_log() {
        let report = SandboxReport {
            landlock: Landlock::Full,
            landlock_abi: 4,
            has_seccomp: true,
        };
        assert!(report.is_full() && !SandboxReport::default().is_full());
        assert_eq!(report.to_string(), "landlock full (ABI 4), seccomp yes");
    }
}
