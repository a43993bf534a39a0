//! Synthetic stamped camera, scripted RTSP camera, fixtures, database and process helpers for tests.
//!
//! What belongs here: everything that stands in for the world outside (cameras above all) and tells
//! the truth about what it did. What does not: fakes of our own parts.
//! Entry points: [`camera::Camera::start`], [`encode::ClipSpec::encode`], [`stamp::read_stamp_jpeg`].

pub mod account;
pub mod camera;
pub mod clock;
pub mod encode;
pub mod footage;
pub mod load;
pub mod m3u8;
pub mod mark;
pub mod multipart;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod s3;
pub mod small_disk;
pub mod soak;
pub mod stamp;
