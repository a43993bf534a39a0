//! From a decoded picture to a finished one: turn, cut, scale, encode.

use crate::changes::Detector;
use crate::decoded::Decoded;
use crate::encode::{Encoder, Outcome, Payload};
use crate::ffi_shared::SharedMemory;
use crate::geometry::Plan;
use crate::scale::{Base, Stages};
use framewell_decode::protocol::wire::Failure;
use framewell_decode::{Change, Output, PictureFormat};

/// Attempts to make a picture smaller until its file fits; the second one fits nearly always.
const MAX_ATTEMPTS: u32 = 12;

/// A finished picture.
pub(crate) struct File {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// With the quality that was used.
    pub(crate) format: PictureFormat,
    pub(crate) payload: Payload,
}

/// Finishes pictures; keeps scalers and buffers from one to the next.
pub(crate) struct Finisher {
    base: Base,
    stages: Stages,
    encoder: Encoder,
}

impl Finisher {
    /// Raw pictures go to `shared` while there is room.
    pub(crate) fn new(shared: Option<SharedMemory>) -> turbojpeg::Result<Self> {
        Ok(Self {
            base: Base::default(),
            stages: Stages::default(),
            encoder: Encoder::new(shared)?,
        })
    }

    /// A new job: shared memory is free again.
    pub(crate) fn begin(&mut self) {
        if let Some(shared) = &mut self.encoder.shared {
            shared.clear();
        }
    }

    /// Whether and how the picture changed.
    pub(crate) fn look(
        &mut self,
        decoded: &Decoded,
        detector: &mut Detector,
    ) -> Result<Option<Change>, Failure> {
        let encoding = decoded.encoding()?;
        Ok(detector.look(self.base.planes(decoded)?, encoding))
    }

    /// Makes the picture in this form. What several forms of one picture have in common is done once.
    pub(crate) fn finish(&mut self, decoded: &Decoded, output: &Output) -> Result<File, Failure> {
        let encoding = decoded.encoding()?;
        let base = self.base.planes(decoded)?;
        let limit = output.max_bytes.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX)
        });
        let mut plan = Plan::new(base.size(), output).map_err(Failure::Invalid)?;
        for _ in 0..MAX_ATTEMPTS {
            let planes = self
                .stages
                .make(decoded.serial, base, &plan, encoding.black())?;
            match self
                .encoder
                .encode(planes, encoding, output.format, limit)?
            {
                Outcome::Fits(format, payload) => {
                    return Ok(File {
                        width: planes.width(),
                        height: planes.height(),
                        format,
                        payload,
                    });
                }
                Outcome::TooBig(len) => {
                    let smaller = plan.shrunk(shrink_factor(limit, len));
                    plan = smaller.ok_or_else(|| too_big(limit, &plan))?;
                }
            }
        }
        Err(too_big(limit, &plan))
    }
}

/// How much shorter sides make a file of `len` bytes fit: bytes follow the area, or a little less.
#[expect(clippy::cast_precision_loss, reason = "a rough factor")]
fn shrink_factor(limit: usize, len: usize) -> f64 {
    (0.95 * (limit as f64 / len as f64).sqrt()).clamp(0.1, 0.9)
}

fn too_big(limit: usize, plan: &Plan) -> Failure {
    let (width, height) = plan.outer;
    Failure::Invalid(format!(
        "the picture does not fit into {limit} bytes: {width}x{height} at the lowest quality is too big, and the smallest that is tried"
    ))
}
