//! Jobs that encode pictures anew.

use crate::decoded::Decoded;
use crate::draw::draw;
use crate::ffi_hw::{self, HwDevice};
use crate::geometry::Plan;
use crate::h264::{Colours, Encoder};
use crate::orientation::Orientation;
use crate::position::{Parameters, Position};
use crate::run::{Emit, JobError};
use crate::samples::{self, Content};
use crate::scale::{Base, Stages};
use ffmpeg_next::Error;
use ffmpeg_next::color::Space;
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::frame::Video;
use framewell_decode::protocol::wire::{Failure, Reply, Request};
use framewell_decode::{Coded, Render, RenderFrame};
use std::collections::VecDeque;
use std::io::Read;

/// One job in progress.
struct Rendering<'a> {
    render: &'a Render,
    position: Position,
    orientation: Orientation,
    /// What is still to come, in presentation order.
    open: VecDeque<&'a RenderFrame>,
    base: Base,
    stages: Stages,
    /// Opened with the first picture, which says what the colours are.
    encoder: Option<Encoder>,
    coded: Vec<Coded>,
    /// Whether any picture was encoded.
    has_any: bool,
}

/// Decodes the payload, encodes the wanted pictures, and emits what comes out.
pub(crate) fn run(
    request: &Request,
    render: &Render,
    parameters: Parameters,
    device: Option<&HwDevice>,
    payload: &mut impl Read,
    emit: &mut Emit<'_>,
) -> Result<(), JobError> {
    let mut job = Rendering {
        render,
        position: Position::open(parameters, device)?,
        orientation: Orientation::default(),
        open: render.frames.iter().collect(),
        base: Base::default(),
        stages: Stages::default(),
        encoder: None,
        coded: Vec::new(),
        has_any: false,
    };
    for (pts, len) in &request.samples {
        let packet = samples::read_packet(payload, *pts, *len)?;
        let content = samples::content(request.codec, packet.data().unwrap_or_default());
        if content != Content::Nothing {
            job.position.sample_sent(*pts, content);
            let sent = job.position.decoder.send_packet(&packet);
            if let Err(error) = sent {
                let what = || format!("the sample at presentation time {pts}: {error}");
                job.position.damage.note(what);
            }
            job.drain()?;
        }
        job.emit(emit)?;
    }
    if let Err(error) = job.position.decoder.send_eof() {
        job.position
            .damage
            .note(|| format!("end of stream: {error}"));
    }
    job.drain()?;
    if let Some(encoder) = job.encoder.take() {
        encoder.finish(&mut job.coded)?;
    }
    job.emit(emit)?;
    job.check_any()
}

impl Rendering<'_> {
    /// Takes all pictures that are ready.
    fn drain(&mut self) -> Result<(), JobError> {
        loop {
            let mut picture = Video::empty();
            match self.position.decoder.receive_frame(&mut picture) {
                Ok(()) => self.take(picture)?,
                Err(Error::Eof | Error::Other { errno: EAGAIN }) => break,
                Err(error) => {
                    self.position.damage.note(|| error.to_string());
                    break;
                }
            }
        }
        self.position.all_out();
        Ok(())
    }

    /// A damaged picture of a clip is shown as the decoder conceals it: the clip is a whole, and what
    /// comes next is well again.
    fn take(&mut self, picture: Video) -> Result<(), JobError> {
        let picture = match ffi_hw::in_system_memory(picture) {
            Ok(picture) => picture,
            Err(error) => {
                self.position.damage.note(|| error.to_string());
                return Ok(());
            }
        };
        let is_damaged = picture.is_corrupt() || picture.has_decode_errors();
        let decoded = Decoded::new(picture, self.orientation);
        self.orientation = decoded.orientation;
        self.position.picture_out(decoded.pts, is_damaged);
        // Pictures that never came out are passed over.
        while self
            .open
            .front()
            .is_some_and(|frame| frame.pts < decoded.pts)
        {
            self.open.pop_front();
        }
        match self.open.front() {
            Some(frame) if frame.pts == decoded.pts => {
                let frame = *frame;
                self.open.pop_front();
                Ok(self.encode(&decoded, frame)?)
            }
            _ => Ok(()),
        }
    }

    fn encode(&mut self, decoded: &Decoded, frame: &RenderFrame) -> Result<(), Failure> {
        let encoding = decoded.encoding()?;
        let base = self.base.planes(decoded)?;
        let output = self.render.output();
        let plan = Plan::new(base.size(), &output).map_err(Failure::Invalid)?;
        let planes = self
            .stages
            .make(decoded.serial, base, &plan, encoding.black())?;
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let colours = Colours {
                    is_full_range: encoding.is_full_range,
                    space: space(decoded.frame.color_space()),
                };
                let (width, height) = (self.render.width, self.render.height);
                none.insert(Encoder::open(width, height, colours)?)
            }
        };
        self.has_any = true;
        let paint = |picture: &mut Video| draw(picture, frame);
        encoder.encode(planes, frame.out_pts, paint, &mut self.coded)
    }

    fn emit(&mut self, emit: &mut Emit<'_>) -> Result<(), JobError> {
        for Coded { pts, is_key, data } in self.coded.drain(..) {
            emit(&Reply::Coded { pts, is_key }, &data)?;
        }
        Ok(())
    }

    /// A picture that did not come out is left out; a job without any failed.
    fn check_any(&self) -> Result<(), JobError> {
        if self.has_any {
            return Ok(());
        }
        self.position.damage.check()?;
        let text = "the decoder gives none of the wanted pictures".to_owned();
        Err(Failure::Bitstream(text).into())
    }
}

/// Planes of RGB were converted; see [`Decoded::encoding`].
fn space(space: Space) -> Space {
    match space {
        Space::RGB => Space::BT470BG,
        other => other,
    }
}
