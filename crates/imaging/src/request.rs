//! What can be asked, and what comes back.

use bytes::Bytes;
use framewell_decode::{Output, PictureFormat};
use framewell_model::{ChannelId, ClockSource, FrameId, WallTime};
use sha2::{Digest, Sha256};
use std::fmt;

/// Which instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The newest picture of the live stream.
    Now,
    /// A moment, live or recorded; it may not lie in the future.
    At(WallTime),
}

/// Which picture of those around an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Match {
    /// The one on screen at that instant: the last one captured at or before it. An error in a gap.
    #[default]
    Exact,
    /// The last one captured at or before it, however long before.
    Before,
    /// The first one captured at or after it, however long after.
    After,
    /// Of [`Match::Before`] and [`Match::After`] the one nearer in time; the earlier one if they are
    /// equally near.
    Nearest,
    /// The last key frame captured at or before it, within the same GOP as the exact one: the cheapest
    /// picture. An error in a gap.
    Keyframe,
}

/// Which picture, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The channel.
    pub channel: ChannelId,
    /// The instant.
    pub when: When,
    /// Which picture of those around it; means nothing for [`When::Now`] but [`Match::Keyframe`].
    pub matching: Match,
    /// Size, format, crop.
    pub output: Output,
}

/// SHA-256 of a picture's bytes, cut to 16 bytes; lower-case hexadecimal as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 16]);

impl ContentHash {
    /// Hashes the bytes.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        let digest = Sha256::digest(data);
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        Self(hash)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// A finished picture with the truth about its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The encoded file, or raw pixels.
    pub data: Bytes,
    /// Its encoding, with the quality used.
    pub format: PictureFormat,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The instant asked for, or now.
    pub requested: WallTime,
    /// Capture time of the picture.
    pub captured: WallTime,
    /// Where that time comes from.
    pub clock: ClockSource,
    /// Which picture of the channel it is.
    pub frame: FrameId,
    /// Whether it is a key frame.
    pub is_key: bool,
    /// Whether the picture came from the live ring.
    pub is_live: bool,
}
