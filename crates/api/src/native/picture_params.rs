//! The form of a picture in a query.

use crate::error::ApiError;
use crate::params::Params;
use crate::picture::DEFAULT_QUALITY;
use framewell_imaging::{Match, Output, PictureFormat};

/// Which picture of those around an instant, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) matching: Match,
    pub(crate) output: Output,
}

/// Reads `match`, `width`, `height`, `format`, `quality`.
pub(crate) fn read(params: &Params) -> Result<Form, ApiError> {
    let quality = params.number::<u8>("quality")?.unwrap_or(DEFAULT_QUALITY);
    let format = match params.get("format") {
        None | Some("" | "jpg" | "jpeg") => PictureFormat::Jpeg { quality },
        Some("png") => PictureFormat::Png,
        Some("webp") => PictureFormat::WebP { quality },
        Some(_) => return Err(ApiError::invalid("format is not jpg, png or webp")),
    };
    let matching = match params.get("match") {
        None | Some("" | "exact") => Match::Exact,
        Some("before") => Match::Before,
        Some("after") => Match::After,
        Some("nearest") => Match::Nearest,
        Some("keyframe") => Match::Keyframe,
        Some(_) => {
            return Err(ApiError::invalid(
                "match is not exact, before, after, nearest or keyframe",
            ));
        }
    };
    let output = Output {
        width: params.number("width")?,
        height: params.number("height")?,
        ..Output::new(format)
    };
    output.check().map_err(ApiError::invalid)?;
    Ok(Form { matching, output })
}
