//! Segments and pictures as objects, on a local folder or (later) an S3-compatible store.
//!
//! Keys come from [`ObjectKey`] and nowhere else. Nothing here knows what an object contains.

mod key;
mod local;
mod store;

pub use key::ObjectKey;
pub use store::{BlobStore, Error};
