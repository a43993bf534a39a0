//! Segments, pictures and clips as objects, in a local folder or an S3-compatible store.
//!
//! Keys come from [`ObjectKey`] and nowhere else. Nothing here knows what an object contains.

mod key;
mod list;
mod local;
mod s3;
mod store;
mod writer;

pub use key::ObjectKey;
pub use list::StoredObject;
pub use s3::S3Config;
pub use store::{BlobStore, Error};
pub use writer::ObjectWriter;
