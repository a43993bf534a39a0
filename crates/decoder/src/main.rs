//! The `framewell-decoder` worker binary.
fn main() {}
