//! How a clip is rendered.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Playing speeds, in parts of the true one.
const SPEEDS: RangeInclusive<f64> = 0.1..=100.0;
/// Widths, in pixels.
const WIDTHS: RangeInclusive<u32> = 64..=4_096;

/// How a clip is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RenderOptions {
    /// Playing speed, 0.1 to 100; sound is kept at 1 only.
    pub speed: f64,
    /// Width in pixels, 64 to 4096, and at most that of the first picture; the height follows. `None`: that of
    /// the first picture.
    pub width: Option<u32>,
    /// The time of capture stands in the upper left corner.
    pub burn_time: bool,
    /// The boxes of metadata documents are drawn.
    pub burn_boxes: bool,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            speed: 1.0,
            width: None,
            burn_time: false,
            burn_boxes: false,
        }
    }
}

impl RenderOptions {
    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !SPEEDS.contains(&self.speed) {
            let (least, most) = (SPEEDS.start(), SPEEDS.end());
            return Err(Error::Invalid(format!("speed is not {least} to {most}")));
        }
        if self.width.is_some_and(|width| !WIDTHS.contains(&width)) {
            let (least, most) = (WIDTHS.start(), WIDTHS.end());
            return Err(Error::Invalid(format!("width is not {least} to {most}")));
        }
        Ok(())
    }

    /// Even sides for pictures of this size.
    pub(crate) fn size(&self, width: u32, height: u32) -> (u32, u32) {
        let even = |side: u64| u32::try_from(side.max(16) & !1).unwrap_or(*WIDTHS.end());
        let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
        // Larger pictures than those of the camera show nothing more.
        let target = u64::from(self.width.unwrap_or(*WIDTHS.end())).min(width);
        (even(target), even(height * target / width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_even_and_keep_their_shape() {
        let size = |width| {
            RenderOptions {
                width,
                ..RenderOptions::default()
            }
            .size(1_921, 1_081)
        };
        assert_eq!(size(None), (1_920, 1_080));
        assert_eq!(size(Some(640)), (640, 360));
        assert_eq!(size(Some(65)), (64, 36));
        assert_eq!(size(Some(4_096)), (1_920, 1_080), "never larger");
        assert_eq!(RenderOptions::default().size(7_680, 4_320), (4_096, 2_304));
    }

    #[test]
    fn speeds_and_widths_have_limits() {
        let check = |speed, width| {
            RenderOptions {
                speed,
                width,
                ..RenderOptions::default()
            }
            .check()
        };
        assert!(check(0.1, Some(64)).is_ok() && check(100.0, None).is_ok());
        for (speed, width) in [
            (0.0, None),
            (f64::NAN, None),
            (101.0, None),
            (1.0, Some(20)),
        ] {
            assert!(check(speed, width).is_err(), "{speed} {width:?}");
        }
    }
}
