//! What a finished picture looks like.

use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Widths and heights that a caller may ask for, in pixels.
pub const SIDE: RangeInclusive<u32> = 16..=8192;
/// Most pixels that a caller may ask for: more than any screen has, and no burden for memory. A picture
/// at its own size, or made smaller, may have more.
pub const MAX_PIXELS: u64 = 16 << 20;
/// JPEG and WebP qualities that a caller may ask for.
pub const QUALITY: RangeInclusive<u8> = 1..=100;
/// Smallest size limit that a caller may ask for, in bytes.
pub const MIN_MAX_BYTES: u32 = 1_024;
/// The whole picture in the unit of [`Crop::Fractions`]: one millionth of a side.
pub const WHOLE: u32 = 1_000_000;

/// Encoding of finished pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureFormat {
    /// Baseline JPEG, 4:2:0, full range BT.601 (JFIF).
    Jpeg {
        /// 1 to 100.
        quality: u8,
    },
    /// PNG, 8-bit RGB (sRGB), lossless from the decoded picture on.
    Png,
    /// Lossy WebP.
    WebP {
        /// 1 to 100.
        quality: u8,
    },
    /// Raw: a plane of luma, then a plane of interleaved Cb and Cr at half the size (rounded up), in
    /// the colours of the stream (matrix and range unchanged), rows without padding.
    Nv12,
    /// Raw: three bytes a pixel, red green blue, full range sRGB, rows without padding.
    Rgb24,
}

impl PictureFormat {
    /// Media type (RFC 6838) of the finished picture.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP { .. } => "image/webp",
            Self::Nv12 | Self::Rgb24 => "application/octet-stream",
        }
    }

    /// File name extension and name of the format in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "jpg",
            Self::Png => "png",
            Self::WebP { .. } => "webp",
            Self::Nv12 => "nv12",
            Self::Rgb24 => "rgb24",
        }
    }

    /// Whether it is pixels without a file format around them.
    #[must_use]
    pub const fn is_raw(self) -> bool {
        matches!(self, Self::Nv12 | Self::Rgb24)
    }
}

/// How a picture gets into a box of another shape, when width and height are both given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// As large as fits inside; one side of the result may be smaller than asked. Never distorts.
    #[default]
    Contain,
    /// Fills the box; what sticks out on two sides is cut off evenly.
    Cover,
    /// Exactly the box, distorted if need be.
    Fill,
    /// As large as fits inside, centred, black around it ("letterbox"); exactly the box.
    Pad,
}

/// A rectangle of the upright picture, cut out before scaling. It is rounded to whole pixels and may
/// not reach outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// In pixels of the upright picture at its full size.
    Pixels(Rectangle),
    /// In millionths ([`WHOLE`]) of width and height.
    Fractions(Rectangle),
}

/// Left, top, width, height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rectangle {
    /// Distance of the left side from the picture's.
    pub x: u32,
    /// Distance of the upper side from the picture's.
    pub y: u32,
    /// At least 1.
    pub width: u32,
    /// At least 1.
    pub height: u32,
}

/// What a finished picture looks like. The picture is turned upright if the stream says how (display
/// orientation), then cropped, scaled, encoded. Pixels are those of the coded picture: a sample aspect
/// ratio other than 1:1 is not corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Output {
    /// Encoding.
    pub format: PictureFormat,
    /// Width in pixels; alone, it keeps the aspect ratio. With neither, the size of the (cropped) video.
    pub width: Option<u32>,
    /// Height in pixels; alone, it keeps the aspect ratio.
    pub height: Option<u32>,
    /// What happens if both are given and the shape differs.
    pub fit: Fit,
    /// The part of the picture that is wanted.
    pub crop: Option<Crop>,
    /// Largest file in bytes: quality goes down first, then the size. Not for raw formats.
    pub max_bytes: Option<u32>,
}

impl Output {
    /// The whole picture at its own size.
    #[must_use]
    pub const fn new(format: PictureFormat) -> Self {
        Self {
            format,
            width: None,
            height: None,
            fit: Fit::Contain,
            crop: None,
            max_bytes: None,
        }
    }

    /// The whole picture as JPEG at its own size; quality 1 to 100.
    #[must_use]
    pub const fn jpeg(quality: u8) -> Self {
        Self::new(PictureFormat::Jpeg { quality })
    }

    /// Says what is wrong with what is asked for, if anything is.
    pub fn check(&self) -> Result<(), String> {
        for (side, name) in [(self.width, "width"), (self.height, "height")] {
            if let Some(pixels) = side.filter(|pixels| !SIDE.contains(pixels)) {
                return Err(format!(
                    "{name} {pixels} is outside {} to {}",
                    SIDE.start(),
                    SIDE.end()
                ));
            }
        }
        if let (Some(width), Some(height)) = (self.width, self.height)
            && u64::from(width) * u64::from(height) > MAX_PIXELS
        {
            return Err(format!("{width}x{height} is more than {MAX_PIXELS} pixels"));
        }
        self.check_format()?;
        self.crop.map_or(Ok(()), check_crop)
    }

    fn check_format(&self) -> Result<(), String> {
        if let PictureFormat::Jpeg { quality } | PictureFormat::WebP { quality } = self.format
            && !QUALITY.contains(&quality)
        {
            return Err(format!("quality {quality} is outside 1 to 100"));
        }
        match self.max_bytes {
            Some(_) if self.format.is_raw() => Err(
                "max_bytes means nothing for raw pixels: their size follows from width and height"
                    .into(),
            ),
            Some(bytes) if bytes < MIN_MAX_BYTES => {
                Err(format!("max_bytes {bytes} is below {MIN_MAX_BYTES}"))
            }
            _ => Ok(()),
        }
    }
}

fn check_crop(crop: Crop) -> Result<(), String> {
    let (Crop::Pixels(area) | Crop::Fractions(area)) = crop;
    if area.width == 0 || area.height == 0 {
        return Err("the crop rectangle is empty".into());
    }
    let reaches = |from: u32, length: u32| u64::from(from) + u64::from(length);
    let most = match crop {
        Crop::Pixels(_) => 65_536,
        Crop::Fractions(_) => u64::from(WHOLE),
    };
    if reaches(area.x, area.width) > most || reaches(area.y, area.height) > most {
        return Err("the crop rectangle reaches outside the picture".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named() {
        let ok = Output::jpeg(80);
        assert_eq!(ok.check(), Ok(()));
        let why = |output: Output| output.check().unwrap_err();
        assert!(
            why(Output {
                width: Some(3),
                ..ok
            })
            .contains("width 3")
        );
        let sized = |width, height| Output {
            width: Some(width),
            height: Some(height),
            ..ok
        };
        assert_eq!(sized(8_192, 2_048).check(), Ok(()));
        assert!(why(sized(8_192, 2_049)).contains("8192x2049 is more than"));
        assert!(why(Output::jpeg(0)).contains("quality 0"));
        let small = Output {
            max_bytes: Some(10),
            ..ok
        };
        assert!(why(small).contains("max_bytes 10"));
        let raw = Output {
            max_bytes: Some(10_000),
            ..Output::new(PictureFormat::Nv12)
        };
        assert!(why(raw).contains("raw"));
    }

    #[test]
    fn a_crop_must_have_a_size_and_stay_inside() {
        let crop = |x, width| Output {
            crop: Some(Crop::Fractions(Rectangle {
                x,
                y: 0,
                width,
                height: WHOLE,
            })),
            ..Output::jpeg(80)
        };
        assert_eq!(crop(500_000, 500_000).check(), Ok(()));
        assert!(
            crop(500_000, 500_001)
                .check()
                .unwrap_err()
                .contains("outside")
        );
        assert!(crop(0, 0).check().unwrap_err().contains("empty"));
        assert!(crop(u32::MAX, u32::MAX).check().is_err());
    }
}
