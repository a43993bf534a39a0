//! How big a finished picture gets.

use framewell_decode::Output;
use framewell_decode::protocol::SIDE;

/// Width and height of the picture made from one of `source`: as asked; the missing side keeps the
/// aspect ratio of the coded pixels, rounded to nearest; with neither, the source's size.
pub(crate) fn output_size(source: (u32, u32), output: &Output) -> Result<(u32, u32), String> {
    let (width, height) = source;
    let size = match (output.width, output.height) {
        (None, None) => return Ok(source),
        (Some(asked), None) => (asked, scaled(height, asked, width)),
        (None, Some(asked)) => (scaled(width, asked, height), asked),
        (Some(asked_width), Some(asked_height)) => (asked_width, asked_height),
    };
    if SIDE.contains(&size.0) && SIDE.contains(&size.1) {
        Ok(size)
    } else {
        Err(format!(
            "{width}x{height} scaled to {}x{} is outside {} to {} pixels a side",
            size.0,
            size.1,
            SIDE.start(),
            SIDE.end()
        ))
    }
}

/// `side * numerator / denominator`, rounded to nearest.
fn scaled(side: u32, numerator: u32, denominator: u32) -> u32 {
    let denominator = u64::from(denominator.max(1));
    let product = u64::from(side) * u64::from(numerator);
    u32::try_from((product + denominator / 2) / denominator).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: Option<u32>, height: Option<u32>) -> Result<(u32, u32), String> {
        let output = Output {
            width,
            height,
            ..Output::jpeg(80)
        };
        output_size((1920, 1080), &output)
    }

    #[test]
    fn one_side_keeps_the_aspect_ratio() {
        assert_eq!(size(None, None), Ok((1920, 1080)));
        assert_eq!(size(Some(640), None), Ok((640, 360)));
        assert_eq!(size(None, Some(333)), Ok((592, 333)));
        assert_eq!(size(Some(100), Some(100)), Ok((100, 100)));
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        assert!(size(None, Some(8000)).unwrap_err().contains("14222x8000"));
        assert!(size(Some(20), None).unwrap_err().contains("20x11"));
    }
}
