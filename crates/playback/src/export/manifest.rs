//! What an export says about itself: its last file.

use crate::{Clip, ClipError, Holes};
use framewell_footage::FootageGap;
use framewell_model::{ChannelId, GapReason, HasKind, StreamKind, TimeRange, WallTime};
use serde::{Deserialize, Serialize};

/// Name of the manifest among the files of an export.
pub const MANIFEST_NAME: &str = "manifest.json";

/// Everything that is in an export, and what is not. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportManifest {
    /// `framewell-export`.
    pub format: String,
    /// Of this layout: 1.
    pub version: u32,
    /// When it was made.
    pub created: String,
    /// First moment that was asked for.
    pub start: String,
    /// First moment that was not.
    pub end: String,
    /// What becomes of holes: `collapse` or `keep`.
    pub gaps_mode: String,
    /// In the order of the files.
    pub cameras: Vec<ExportedCamera>,
}

/// A camera of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedCamera {
    /// Its number.
    pub channel: i64,
    /// Which stream of it: `main` or `sub`.
    #[serde(default = "main_stream")]
    pub stream: String,
    /// What people call it.
    pub name: String,
    /// Its footage; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<ExportedFile>,
    /// Why there is no footage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ExportError>,
}

fn main_stream() -> String {
    StreamKind::Main.as_str().to_owned()
}

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFile {
    /// Name in the archive.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Of all bytes, in hexadecimal digits.
    pub sha256: String,
    /// Capture time of the first picture.
    pub presented_start: String,
    /// End of the last picture.
    pub presented_end: String,
    /// What of the time that was asked for is not there.
    pub gaps: Vec<ExportedGap>,
}

/// A stretch without footage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedGap {
    /// First moment without footage.
    pub start: String,
    /// First moment with footage again.
    pub end: String,
    /// Why, if that was written down.
    pub reason: Option<GapReason>,
}

/// Why a camera has no file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportError {
    /// Stable word for programs: `not_found` where nothing is recorded, `data_loss` where all is lost.
    pub code: String,
    /// Sentence for people.
    pub message: String,
}

impl ExportManifest {
    /// Of an export without cameras so far.
    pub(super) fn new(range: TimeRange, holes: Holes, created: WallTime) -> Self {
        Self {
            format: "framewell-export".to_owned(),
            version: 1,
            created: created.to_rfc3339(),
            start: range.start.to_rfc3339(),
            end: range.end.to_rfc3339(),
            gaps_mode: match holes {
                Holes::Collapse => "collapse",
                Holes::Keep => "keep",
            }
            .to_owned(),
            cameras: Vec::new(),
        }
    }

    /// The text of the file.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("texts and numbers can be written");
        text.push(b'\n');
        text
    }
}

impl ExportedCamera {
    /// With a hash of zeros until the file has been sent: as long as the real one.
    pub(super) fn new(channel: ChannelId, name: String, clip: Result<&Clip, &ClipError>) -> Self {
        let file = clip.ok().map(|clip| ExportedFile {
            name: format!("channel-{channel}.mp4"),
            size: clip.len,
            sha256: "0".repeat(64),
            presented_start: clip.range.start.to_rfc3339(),
            presented_end: clip.range.end.to_rfc3339(),
            gaps: clip.gaps.iter().map(ExportedGap::from).collect(),
        });
        let error = clip.err().map(|error| ExportError {
            code: error.kind().label().to_owned(),
            message: error.to_string(),
        });
        Self {
            channel: channel.main().get(),
            stream: channel.stream().as_str().to_owned(),
            name,
            file,
            error,
        }
    }
}

impl From<&FootageGap> for ExportedGap {
    fn from(gap: &FootageGap) -> Self {
        Self {
            start: gap.range.start.to_rfc3339(),
            end: gap.range.end.to_rfc3339(),
            reason: gap.reason,
        }
    }
}
