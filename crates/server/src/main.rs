//! The `framewell` server binary.
fn main() {}
