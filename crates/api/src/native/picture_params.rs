//! The form of a picture in a query.

use crate::error::ApiError;
use crate::params::Params;
use crate::picture::DEFAULT_QUALITY;
use axum::http::{HeaderMap, header};
use framewell_imaging::{Crop, Fit, Match, Output, PictureFormat, Rectangle};

/// Which picture of those around an instant, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) matching: Match,
    pub(crate) output: Output,
}

/// The parameters that [`read`] reads.
pub(crate) const NAMES: [&str; 8] = [
    "match",
    "width",
    "height",
    "fit",
    "crop",
    "format",
    "quality",
    "max_bytes",
];

/// Reads the form.
pub(crate) fn read(params: &Params) -> Result<Form, ApiError> {
    read_as(params, None)
}

/// Reads the form; without `format`, the one type of picture that the client says it accepts. A client
/// that accepts several, or anything, gets JPEG.
pub(crate) fn read_accepting(params: &Params, headers: &HeaderMap) -> Result<Form, ApiError> {
    let accept = headers.get(header::ACCEPT);
    read_as(params, accept.and_then(|value| value.to_str().ok()))
}

fn read_as(params: &Params, accept: Option<&str>) -> Result<Form, ApiError> {
    let named = params.get("format").filter(|name| !name.is_empty());
    let accepted = accept.map(|types| types.split(';').next().unwrap_or_default().trim());
    let quality = params.number::<u8>("quality")?.unwrap_or(DEFAULT_QUALITY);
    let format = match named.or(accepted) {
        Some("png" | "image/png") => PictureFormat::Png,
        Some("webp" | "image/webp") => PictureFormat::WebP { quality },
        Some("jpg" | "jpeg") | None => PictureFormat::Jpeg { quality },
        Some(_) if named.is_none() => PictureFormat::Jpeg { quality },
        Some(_) => return Err(ApiError::invalid("format is not jpg, png or webp")),
    };
    let output = Output {
        width: params.number("width")?,
        height: params.number("height")?,
        fit: fit(params)?,
        crop: crop(params)?,
        max_bytes: params.number("max_bytes")?,
        ..Output::new(format)
    };
    output.check().map_err(ApiError::invalid)?;
    Ok(Form {
        matching: matching(params)?,
        output,
    })
}

fn matching(params: &Params) -> Result<Match, ApiError> {
    Ok(match params.get("match") {
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
    })
}

fn fit(params: &Params) -> Result<Fit, ApiError> {
    Ok(match params.get("fit") {
        None | Some("" | "contain") => Fit::Contain,
        Some("cover") => Fit::Cover,
        Some("fill") => Fit::Fill,
        Some("pad") => Fit::Pad,
        Some(_) => return Err(ApiError::invalid("fit is not contain, cover, fill or pad")),
    })
}

/// `x,y,width,height`: pixels of the full picture if all four are whole numbers; if any has a decimal
/// point, all are fractions of its width and height, 0 to 1.
fn crop(params: &Params) -> Result<Option<Crop>, ApiError> {
    let Some(text) = params.get("crop").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let bad = || {
        let shown: String = text.chars().take(40).collect();
        ApiError::invalid(format!(
            "crop {shown:?} is not x,y,width,height: four whole numbers of pixels such as 100,50,640,360, or four fractions with a decimal point such as 0.25,0.0,0.5,1.0"
        ))
    };
    let is_fraction = text.contains('.');
    let numbers: Option<Vec<u32>> = text
        .split(',')
        .map(|number| {
            if is_fraction {
                millionths(number)
            } else {
                number.parse().ok()
            }
        })
        .collect();
    let Some(&[x, y, width, height]) = numbers.as_deref() else {
        return Err(bad());
    };
    let area = Rectangle {
        x,
        y,
        width,
        height,
    };
    Ok(Some(if is_fraction {
        Crop::Fractions(area)
    } else {
        Crop::Pixels(area)
    }))
}

/// A fraction from 0 to 1, in millionths.
fn millionths(text: &str) -> Option<u32> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let fraction: f64 = text.parse().ok().filter(|_| is_plain)?;
    if !(0.0..=1.0).contains(&fraction) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1,000,000"
    )]
    let millionths = (fraction * 1e6).round() as u32;
    Some(millionths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn output(query: &str) -> Result<Output, ApiError> {
        read(&Params::parse(Some(query))).map(|form| form.output)
    }

    #[test]
    fn a_crop_is_in_pixels_unless_a_number_has_a_point() {
        let crop = |text: &str| output(&format!("crop={text}")).map(|output| output.crop);
        let area = |x, y, width, height| Rectangle {
            x,
            y,
            width,
            height,
        };
        assert_eq!(
            crop("100,50,640,360").unwrap(),
            Some(Crop::Pixels(area(100, 50, 640, 360)))
        );
        assert_eq!(
            crop("0.25,0,0.5,1").unwrap(),
            Some(Crop::Fractions(area(250_000, 0, 500_000, 1_000_000)))
        );
        assert_eq!(
            crop("0,0,1,1").unwrap(),
            Some(Crop::Pixels(area(0, 0, 1, 1)))
        );
        assert_eq!(crop("").unwrap(), None);
        for text in [
            "1,2,3",
            "1,2,3,4,5",
            "a,0,1,1",
            "-1,0,5,5",
            "0.5,0,0.6,1",
            "0,0,0,5",
            "0.0,0,1.5,1",
            "1e1.,0,1,1",
            "NaN,0.,1,1",
            "0,0,99999,99999",
        ] {
            assert!(crop(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (query, word) in [
            ("width=0", "width"),
            ("height=-3", "height"),
            ("width=100000", "8192"),
            ("quality=0", "quality"),
            ("quality=101", "quality"),
            ("quality=300", "quality"),
            ("format=gif", "format"),
            ("fit=stretch", "fit"),
            ("match=soon", "match"),
            ("max_bytes=10", "1024"),
            ("max_bytes=x", "max_bytes"),
        ] {
            let error = output(query).unwrap_err();
            assert!(error.message.contains(word), "{query}: {}", error.message);
        }
    }

    #[test]
    fn a_client_that_accepts_one_type_gets_it() {
        let format = |query: &str, accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            let form = read_accepting(&Params::parse(Some(query)), &headers).unwrap();
            form.output.format.name()
        };
        assert_eq!(format("", "image/png"), "png");
        assert_eq!(format("", "image/webp;q=0.9"), "webp");
        assert_eq!(format("", "image/avif,image/webp,*/*;q=0.8"), "jpg");
        assert_eq!(format("", "*/*"), "jpg");
        assert_eq!(format("format=png", "image/webp"), "png");
    }
}
