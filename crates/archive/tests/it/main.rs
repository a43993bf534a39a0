//! Catalog and store compared, rebuilt and proved, on a folder and on a bucket.

#![expect(clippy::unwrap_used, reason = "a failed helper fails the test")]

mod check;
mod proof;
mod rebuild;
mod rig;
