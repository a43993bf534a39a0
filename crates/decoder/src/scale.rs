//! Decoded pictures made upright, and scaled; with what was made for one form kept for the next.

use crate::decoded::Decoded;
use crate::ffi;
use crate::ffi_scale::{Scaler, planar};
use crate::geometry::Plan;
use crate::planes::{Canvas, Planes, starts_at_chroma};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::Flags;
use framewell_decode::Rectangle;
use framewell_decode::protocol::wire::Failure;

/// Scalers with their canvases that are kept.
const MAX_SCALERS: usize = 8;
/// What their canvases may take together, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// Makes pictures upright, 8-bit and 4:2:0 (or grey).
#[derive(Default)]
pub(crate) struct Base {
    converter: Option<(Pixel, (u32, u32), Scaler)>,
    converted: Canvas,
    turned: Canvas,
    /// The picture that the canvases have.
    serial: Option<u64>,
}

impl Base {
    /// The planes to go on with; in most cases those that the decoder wrote.
    pub(crate) fn planes<'a>(&'a mut self, decoded: &'a Decoded) -> Result<Planes<'a>, Failure> {
        let is_new = self.serial.replace(decoded.serial) != Some(decoded.serial);
        let direct = ffi::planes(&decoded.frame);
        if direct.is_none() && is_new {
            self.convert(decoded).inspect_err(|_| self.serial = None)?;
        }
        let planes = direct.unwrap_or_else(|| self.converted.planes());
        if decoded.orientation.is_upright() {
            return Ok(planes);
        }
        if is_new {
            decoded.orientation.turn(planes, &mut self.turned);
        }
        Ok(self.turned.planes())
    }

    fn convert(&mut self, decoded: &Decoded) -> Result<(), Failure> {
        let picture = &decoded.frame;
        let (format, size) = (picture.format(), (picture.width(), picture.height()));
        let missing = || Failure::Bitstream(format!("the picture has no samples ({format:?})"));
        if size.0 == 0 || size.1 == 0 {
            return Err(missing());
        }
        let is_kept = |kept: &(Pixel, (u32, u32), Scaler)| (kept.0, kept.1) == (format, size);
        if !self.converter.as_ref().is_some_and(is_kept) {
            let is_grey = matches!(format, Pixel::GRAY8 | Pixel::GRAY10LE | Pixel::GRAY12LE);
            let flags = Flags::BICUBIC | Flags::ACCURATE_RND;
            let to = (planar(is_grey), size.0, size.1);
            let scaler = Scaler::new((format, size.0, size.1), to, flags).ok_or_else(missing)?;
            self.converter = Some((format, size, scaler));
        }
        let (_, _, scaler) = self.converter.as_mut().expect("put there above");
        scaler
            .run_picture(picture, &mut self.converted)
            .ok_or_else(missing)
    }
}

/// Parts of pictures at sizes asked for.
#[derive(Default)]
pub(crate) struct Stages {
    /// The one used longest ago first.
    scaled: Vec<Stage>,
    cut: Canvas,
    framed: Canvas,
}

struct Stage {
    from: (u32, u32),
    to: (u32, u32),
    is_grey: bool,
    scaler: Scaler,
    canvas: Canvas,
    /// What the canvas has: picture and part.
    content: Option<(u64, Rectangle)>,
}

impl Stages {
    /// The part of `base` that the plan wants, at its size; `black` is the luma of black.
    pub(crate) fn make<'a>(
        &'a mut self,
        serial: u64,
        base: Planes<'a>,
        plan: &Plan,
        black: u8,
    ) -> Result<Planes<'a>, Failure> {
        let area = plan.area;
        let cut = if starts_at_chroma(area) || base.chroma.is_none() {
            base.crop(area)
        } else {
            self.cut.cut(base, area);
            self.cut.planes()
        };
        let inner = if plan.inner == cut.size() {
            cut
        } else {
            scale(&mut self.scaled, cut, plan, (serial, area))?
        };
        if plan.outer == plan.inner {
            return Ok(inner);
        }
        self.framed.frame(inner, plan.outer, black);
        Ok(self.framed.planes())
    }
}

fn scale<'a>(
    stages: &'a mut Vec<Stage>,
    source: Planes<'_>,
    plan: &Plan,
    content: (u64, Rectangle),
) -> Result<Planes<'a>, Failure> {
    let (from, to, is_grey) = (source.size(), plan.inner, source.chroma.is_none());
    let fits = |stage: &Stage| (stage.from, stage.to, stage.is_grey) == (from, to, is_grey);
    let failed = || {
        Failure::Invalid(format!(
            "scaling {}x{} to {}x{} failed",
            from.0, from.1, to.0, to.1
        ))
    };
    let mut stage = match stages.iter().position(fits) {
        Some(index) => stages.remove(index),
        None => open(from, to, is_grey).ok_or_else(failed)?,
    };
    if stage.content != Some(content) {
        stage
            .scaler
            .run(source, &mut stage.canvas)
            .ok_or_else(failed)?;
        stage.content = Some(content);
    }
    stages.push(stage);
    let mut bytes = 0;
    let fitting = stages.iter().rev().take(MAX_SCALERS).take_while(|stage| {
        bytes += stage.canvas.len();
        bytes <= MAX_BYTES
    });
    let fitting = fitting.count().max(1);
    stages.drain(..stages.len() - fitting);
    Ok(stages.last().expect("one was pushed").canvas.planes())
}

fn open(from: (u32, u32), to: (u32, u32), is_grey: bool) -> Option<Stage> {
    let shrinks = to.0 <= from.0 && to.1 <= from.1;
    let kernel = if shrinks { Flags::AREA } else { Flags::BICUBIC };
    let format = planar(is_grey);
    let flags = kernel | Flags::ACCURATE_RND;
    Some(Stage {
        from,
        to,
        is_grey,
        scaler: Scaler::new((format, from.0, from.1), (format, to.0, to.1), flags)?,
        canvas: Canvas::default(),
        content: None,
    })
}
