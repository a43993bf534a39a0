//! The cage around a worker, entered when its libraries are loaded and before its first job.
//!
//! Landlock takes away files and TCP, [`crate::seccomp`] all system calls that decoding does not need;
//! [`crate::limits`] has set the rest before. What is open stays open: the socket, the memory shared
//! with the pool, standard error.
//!
//! With hardware decoding both are wider: drivers open devices and libraries, and start threads, at
//! any time. Landlock then leaves devices for reading and writing and the system's libraries for
//! reading, and seccomp forbids what no driver needs instead of allowing what decoding needs.

use crate::seccomp;
use anyhow::{Context, ensure};
use framewell_decode::protocol::setup::{self, Hwaccel, SandboxMode, SandboxReport};
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

/// What is asked for: no file (ABI 3 has all ways to change one), no TCP (ABI 4).
const WANTED: ABI = ABI::V4;
/// What is taken along where it exists: no signals and no abstract sockets of others (ABI 6).
const WELCOME: ABI = ABI::V6;

/// Directories that drivers read libraries and descriptions of devices from.
const READ_BY_DRIVERS: [&str; 12] = [
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    // Of the configuration only what tells them where they are: the rest of it has secrets of others.
    "/etc/ld.so.cache",
    "/etc/OpenCL",
    "/etc/vulkan",
    "/etc/glvnd",
    "/etc/nvidia",
    "/etc/drirc",
    "/etc/libva.conf",
];
/// Where their devices are, and where NVIDIA's keeps compiled code.
const WRITTEN_BY_DRIVERS: [&str; 2] = ["/dev", "/dev/shm"];

/// Locks this process up for good; says how far that went. `Err` if it had to be entirely and is not.
pub(crate) fn enter(mode: SandboxMode, hwaccel: Hwaccel) -> anyhow::Result<SandboxReport> {
    if mode == SandboxMode::Off {
        return Ok(SandboxReport::default());
    }
    let mut report = landlock(hwaccel).map(report_of).unwrap_or_default();
    if mode == SandboxMode::Require {
        ensure!(
            report.landlock == setup::Landlock::Full,
            "the sandbox is required and this kernel does not offer all of it: {report}"
        );
    }
    match seccomp::enter(hwaccel) {
        Ok(()) => report.has_seccomp = true,
        Err(error) if mode == SandboxMode::Require => {
            return Err(error).context("the sandbox is required and seccomp fails");
        }
        Err(_) => {}
    }
    Ok(report)
}

fn landlock(hwaccel: Hwaccel) -> Result<RestrictionStatus, RulesetError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .create()?;
    let ruleset = if hwaccel == Hwaccel::None {
        ruleset
    } else {
        let read = AccessFs::from_read(WANTED);
        ruleset
            .add_rules(path_beneath_rules(READ_BY_DRIVERS, read))?
            .add_rules(path_beneath_rules(
                WRITTEN_BY_DRIVERS,
                read | AccessFs::WriteFile,
            ))?
    };
    let status = ruleset.restrict_self()?;
    // A ruleset of its own: an older kernel that lacks only this still counts as complete.
    Ruleset::default()
        .scope(Scope::from_all(WELCOME))?
        .create()?
        .restrict_self()?;
    Ok(status)
}

fn report_of(status: RestrictionStatus) -> SandboxReport {
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as i32,
        _ => 0,
    };
    SandboxReport {
        landlock: match status.ruleset {
            RulesetStatus::FullyEnforced => setup::Landlock::Full,
            RulesetStatus::PartiallyEnforced => setup::Landlock::Partial,
            RulesetStatus::NotEnforced => setup::Landlock::None,
        },
        landlock_abi: u8::try_from(abi).unwrap_or(u8::MAX),
        has_seccomp: false,
    }
}
