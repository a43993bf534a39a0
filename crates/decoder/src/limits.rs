//! What this process may use, from its first moment on.

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};
use std::io;

/// Dies with the pool, leaves no core file, opens few files, takes no more than this memory.
///
/// The death signal follows the thread that started this process, a long-lived one of the server's
/// runtime. A worker between jobs also ends because its socket does.
pub(crate) fn apply(memory_mib: u64) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, 64)?;
    limit(Resource::As, memory_mib.saturating_mul(1 << 20))
}

/// Lowers a limit for good; one that is lower already stays.
fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let present = getrlimit(resource);
    let lowered = present.maximum.map_or(value, |max| max.min(value));
    setrlimit(
        resource,
        Rlimit {
            current: Some(lowered),
            maximum: Some(lowered),
        },
    )?;
    Ok(())
}
