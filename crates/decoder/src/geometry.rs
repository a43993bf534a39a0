//! Which part of a picture is wanted, and how big it gets.

use framewell_decode::protocol::{MAX_PIXELS, SIDE, WHOLE};
use framewell_decode::{Crop, Fit, Output, Rectangle};

/// From the upright picture to the finished one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The part that is used.
    pub(crate) area: Rectangle,
    /// The size that it is scaled to.
    pub(crate) inner: (u32, u32),
    /// The size of the finished picture; black around the inner one.
    pub(crate) outer: (u32, u32),
}

impl Plan {
    /// For a picture of `source` pixels.
    pub(crate) fn new(source: (u32, u32), output: &Output) -> Result<Self, String> {
        let area = cropped(source, output.crop)?;
        let (width, height) = (area.width, area.height);
        let same = |size| Self {
            area,
            inner: size,
            outer: size,
        };
        let plan = match (output.width, output.height) {
            (None, None) => return Ok(same((width, height))),
            (Some(asked), None) => same((asked, scaled(height, asked, width))),
            (None, Some(asked)) => same((scaled(width, asked, height), asked)),
            (Some(asked_width), Some(asked_height)) => {
                let asked = (asked_width, asked_height);
                match output.fit {
                    Fit::Fill => same(asked),
                    Fit::Contain => same(contained((width, height), asked)),
                    Fit::Pad => Self {
                        inner: contained((width, height), asked),
                        ..same(asked)
                    },
                    Fit::Cover => Self {
                        area: covering(area, asked),
                        ..same(asked)
                    },
                }
            }
        };
        let (to_width, to_height) = plan.outer;
        if pixels(plan.outer) > MAX_PIXELS.max(pixels((width, height))) {
            return Err(format!(
                "{width}x{height} scaled up to {to_width}x{to_height} is more than {MAX_PIXELS} pixels"
            ));
        }
        if is_allowed(plan.outer) {
            return Ok(plan);
        }
        Err(format!(
            "{width}x{height} scaled to {to_width}x{to_height} is outside {} to {} pixels a side",
            SIDE.start(),
            SIDE.end()
        ))
    }

    /// The same, smaller by this factor (below 1); `None` when a side gets too short.
    pub(crate) fn shrunk(&self, factor: f64) -> Option<Self> {
        let shorter = |(width, height): (u32, u32)| (times(width, factor), times(height, factor));
        let plan = Self {
            area: self.area,
            inner: shorter(self.inner),
            outer: shorter(self.outer),
        };
        is_allowed(plan.outer).then_some(plan)
    }
}

fn pixels((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

fn is_allowed((width, height): (u32, u32)) -> bool {
    SIDE.contains(&width) && SIDE.contains(&height)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a side times a factor between 0 and 1"
)]
fn times(side: u32, factor: f64) -> u32 {
    ((f64::from(side) * factor) as u32).max(1)
}

/// `side * numerator / denominator`, rounded to nearest, at least 1.
fn scaled(side: u32, numerator: u32, denominator: u32) -> u32 {
    let denominator = u64::from(denominator.max(1));
    let product = u64::from(side) * u64::from(numerator);
    let scaled = u32::try_from((product + denominator / 2) / denominator);
    scaled.unwrap_or(u32::MAX).max(1)
}

/// The wanted part in pixels.
fn cropped((width, height): (u32, u32), crop: Option<Crop>) -> Result<Rectangle, String> {
    let area = match crop {
        None => Rectangle {
            x: 0,
            y: 0,
            width,
            height,
        },
        Some(Crop::Pixels(area)) => area,
        Some(Crop::Fractions(part)) => {
            let (x, to_x) = span(part.x, part.width, width);
            let (y, to_y) = span(part.y, part.height, height);
            Rectangle {
                x,
                y,
                width: to_x - x,
                height: to_y - y,
            }
        }
    };
    let ends_inside = |from: u32, length: u32, side: u32| {
        length > 0 && from.checked_add(length).is_some_and(|end| end <= side)
    };
    if ends_inside(area.x, area.width, width) && ends_inside(area.y, area.height, height) {
        return Ok(area);
    }
    Err(format!(
        "the crop rectangle {}x{} at {},{} reaches outside the picture of {width}x{height}",
        area.width, area.height, area.x, area.y
    ))
}

/// Start and end of a part of a side, rounded to nearest, one pixel long at least.
fn span(from: u32, length: u32, side: u32) -> (u32, u32) {
    let pixel = |fraction: u32| {
        let millionths = u64::from(fraction) * u64::from(side);
        u32::try_from((millionths + u64::from(WHOLE) / 2) / u64::from(WHOLE)).unwrap_or(u32::MAX)
    };
    let start = pixel(from).min(side.saturating_sub(1));
    (start, pixel(from.saturating_add(length)).max(start + 1))
}

/// The largest size of the shape of `source` inside `asked`.
fn contained(source: (u32, u32), asked: (u32, u32)) -> (u32, u32) {
    if is_wider(source, asked) {
        (asked.0, scaled(source.1, asked.0, source.0).min(asked.1))
    } else {
        (scaled(source.0, asked.1, source.1).min(asked.0), asked.1)
    }
}

/// The largest part of `area`, in its middle, of the shape of `asked`.
fn covering(area: Rectangle, asked: (u32, u32)) -> Rectangle {
    // Even, so that a crop that starts at a chroma sample still does.
    let margin = |side: u32, used: u32| ((side - used) / 2) & !1;
    if is_wider((area.width, area.height), asked) {
        let width = scaled(area.height, asked.0, asked.1).min(area.width);
        Rectangle {
            x: area.x + margin(area.width, width),
            width,
            ..area
        }
    } else {
        let height = scaled(area.width, asked.1, asked.0).min(area.height);
        Rectangle {
            y: area.y + margin(area.height, height),
            height,
            ..area
        }
    }
}

/// Whether `one` is wider than `other` for its height.
fn is_wider(one: (u32, u32), other: (u32, u32)) -> bool {
    u64::from(one.0) * u64::from(other.1) > u64::from(other.0) * u64::from(one.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: (u32, u32) = (1920, 1080);

    fn sized(width: Option<u32>, height: Option<u32>, fit: Fit) -> Result<Plan, String> {
        let output = Output {
            width,
            height,
            fit,
            ..Output::jpeg(80)
        };
        Plan::new(HD, &output)
    }

    fn crop(crop: Crop) -> Result<Rectangle, String> {
        cropped(HD, Some(crop))
    }

    fn area(x: u32, y: u32, width: u32, height: u32) -> Rectangle {
        Rectangle {
            x,
            y,
            width,
            height,
        }
    }

    #[test]
    fn one_side_keeps_the_aspect_ratio() {
        let size = |width, height| sized(width, height, Fit::Contain).unwrap().outer;
        assert_eq!(size(None, None), HD);
        assert_eq!(size(Some(640), None), (640, 360));
        assert_eq!(size(None, Some(333)), (592, 333));
    }

    #[test]
    fn each_fit_puts_the_picture_into_the_box_in_its_way() {
        let plan = |fit| sized(Some(400), Some(400), fit).unwrap();
        let whole = area(0, 0, 1920, 1080);
        let plan_of = |area, inner, outer| Plan { area, inner, outer };
        let square = (400, 400);
        assert_eq!(plan(Fit::Contain), plan_of(whole, (400, 225), (400, 225)));
        assert_eq!(plan(Fit::Fill), plan_of(whole, square, square));
        assert_eq!(plan(Fit::Pad), plan_of(whole, (400, 225), square));
        let middle = area(420, 0, 1080, 1080);
        assert_eq!(plan(Fit::Cover), plan_of(middle, square, square));
        let wide = sized(Some(400), Some(100), Fit::Cover).unwrap();
        assert_eq!(wide.area, area(0, 300, 1920, 480));
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        let why = |width, height| sized(width, height, Fit::Contain).unwrap_err();
        assert!(why(None, Some(8000)).contains("14222x8000"));
        assert!(why(Some(20), None).contains("20x11"));
        assert!(why(Some(8_000), None).contains("scaled up to 8000x4500"));
    }

    #[test]
    fn a_big_picture_is_scaled_to_any_size_but_not_up() {
        let size = |width| {
            let output = Output {
                width,
                ..Output::jpeg(80)
            };
            Plan::new((7_680, 4_320), &output).map(|plan| plan.outer)
        };
        assert_eq!(size(None), Ok((7_680, 4_320)));
        assert_eq!(size(Some(7_000)), Ok((7_000, 3_938)));
        assert!(size(Some(7_700)).unwrap_err().contains("scaled up"));
    }

    #[test]
    fn a_crop_is_in_pixels_or_fractions_and_stays_inside() {
        let inside = area(1800, 1000, 120, 80);
        assert_eq!(crop(Crop::Pixels(inside)), Ok(inside));
        let outside = crop(Crop::Pixels(area(1801, 0, 120, 80))).unwrap_err();
        assert!(outside.contains("120x80 at 1801,0"), "{outside}");
        let quarter = Crop::Fractions(area(500_000, 500_000, 500_000, 500_000));
        assert_eq!(crop(quarter), Ok(area(960, 540, 960, 540)));
        let sliver = Crop::Fractions(area(999_999, 0, 1, WHOLE));
        assert_eq!(crop(sliver), Ok(area(1919, 0, 1, 1080)));
    }

    #[test]
    fn shrinking_ends_at_the_smallest_side() {
        let plan = sized(Some(400), Some(400), Fit::Pad).unwrap();
        let half = plan.shrunk(0.5).unwrap();
        assert_eq!((half.inner, half.outer), ((200, 112), (200, 200)));
        assert_eq!(plan.shrunk(0.03), None);
    }
}
