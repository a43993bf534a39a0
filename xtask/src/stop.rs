//! Ctrl-C and SIGTERM set a flag; whoever waits looks at it, so that children and folders are cleaned up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;

/// How often a wait looks at the flag and at its own condition.
pub(crate) const POLL: Duration = Duration::from_millis(100);

fn flag() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(|| Arc::new(AtomicBool::new(false)))
}

/// Installs the handlers. A second signal ends the process at once, with nothing cleaned up.
pub(crate) fn listen() -> anyhow::Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag()))
            .context("signal handler")?;
        signal_hook::flag::register(signal, Arc::clone(flag())).context("signal handler")?;
    }
    Ok(())
}

/// Whether the user asked to stop.
pub(crate) fn requested() -> bool {
    flag().load(Ordering::SeqCst)
}

/// An error once the user asked to stop.
pub(crate) fn check() -> anyhow::Result<()> {
    anyhow::ensure!(!requested(), "stopped by a signal");
    Ok(())
}

/// Blocks until the user asks to stop or `until` answers true.
pub(crate) fn wait_unless(mut until: impl FnMut() -> bool) {
    while !requested() && !until() {
        std::thread::sleep(POLL);
    }
}
