//! What a person sees: steps with the time since the start.

use std::sync::OnceLock;
use std::time::Instant;

fn started() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// Announces a step that may take a while.
pub(crate) fn step(text: &str) {
    let seconds = started().elapsed().as_secs();
    println!("\n==> [{:>3}:{:02}] {text}", seconds / 60, seconds % 60);
}

/// One line below the current step.
pub(crate) fn note(text: &str) {
    println!("    {text}");
}
