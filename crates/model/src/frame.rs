//! Identity of one picture of a channel.

use crate::RunId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Names one picture for good: the unbroken run it belongs to, and its presentation time there. The
/// same whether the picture is taken from the live stream or from the recording.
///
/// As text: the run without hyphens, a point, the ticks: `0190…c1.270000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId {
    /// The unbroken piece of the stream.
    pub run: RunId,
    /// Presentation time in 90 kHz ticks of the run.
    pub ticks: i64,
}

/// A text that names no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid frame id")]
pub struct FrameIdError(String);

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.run.uuid().simple(), self.ticks)
    }
}

impl FromStr for FrameId {
    type Err = FrameIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (run, ticks) = text.split_once('.')?;
            Some(Self {
                run: run.parse().ok()?,
                ticks: ticks.parse().ok()?,
            })
        };
        parse().ok_or_else(|| FrameIdError(text.chars().take(80).collect()))
    }
}

impl Serialize for FrameId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FrameId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_id_survives_its_text() {
        let id = FrameId {
            run: "01900000-0000-7000-8000-000000000007".parse().unwrap(),
            ticks: -3_600,
        };
        assert_eq!(id.to_string(), "01900000000070008000000000000007.-3600");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn what_is_no_frame_id_is_refused() {
        for text in [
            "",
            "7.1",
            "01900000000070008000000000000007",
            "01900000000070008000000000000007.x",
        ] {
            assert!(text.parse::<FrameId>().is_err(), "{text}");
        }
    }
}
