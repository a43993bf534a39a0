//! One job in progress.

use crate::changes::Detector;
use crate::decoded::Decoded;
use crate::ffi_hw;
use crate::finish::{File, Finisher};
use crate::position::Position;
use crate::samples::{self, Content};
use ffmpeg_next::Error;
use ffmpeg_next::codec::packet::Packet;
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::frame::Video;
use framewell_decode::protocol::wire::{Exit, Failure, Reply, Request};
use framewell_decode::{CHANGED, Change, Output, Pick, Want};
use std::io::{self, Read};

/// Sends a finished picture.
pub(crate) type Emit<'a> = dyn FnMut(&Reply, &[u8]) -> io::Result<()> + 'a;

/// Why a job ended early.
#[derive(Debug)]
pub(crate) enum JobError {
    /// The job cannot be done.
    Failed(Failure),
    /// The pool is gone, or out of step.
    Socket(io::Error),
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// One job in progress.
pub(crate) struct Run<'a, 'e> {
    pub(crate) request: &'a Request,
    pub(crate) position: &'a mut Position,
    /// Chooses pictures for [`Request::changes`].
    pub(crate) detector: Option<Detector>,
    pub(crate) finisher: &'a mut Finisher,
    pub(crate) emit: &'a mut Emit<'e>,
}

impl Run<'_, '_> {
    /// Does the job. Wants that stay open are left in the position.
    pub(crate) fn decode(mut self, payload: &mut impl Read) -> Result<(), JobError> {
        let keeps = self
            .request
            .session
            .is_some_and(|session| session.exit == Exit::Keep);
        self.position.open.extend(&self.request.wanted);
        self.serve_again()?;
        for (pts, len) in &self.request.samples {
            if !keeps && self.position.open.is_empty() && self.detector.is_none() {
                self.position.is_drained = true;
                return Ok(());
            }
            let packet = samples::read_packet(payload, *pts, *len)?;
            let content = samples::content(self.request.codec, packet.data().unwrap_or_default());
            if content != Content::Nothing {
                self.feed(&packet, *pts, content)?;
            }
        }
        if !keeps {
            self.position.is_drained = true;
            if let Err(error) = self.position.decoder.send_eof() {
                self.position
                    .damage
                    .note(|| format!("end of stream: {error}"));
            }
            self.drain()?;
        }
        if self.detector.is_some() && !keeps {
            // Pictures that never came out were not looked at.
            self.position.damage.check()?;
        }
        self.finish_newest()?;
        self.check_open(keeps)
    }

    /// A job may ask once more for the pictures that came out last.
    fn serve_again(&mut self) -> Result<(), JobError> {
        let shown = std::mem::take(&mut self.position.shown);
        shown
            .into_iter()
            .try_for_each(|picture| self.offer(picture))
    }

    fn feed(&mut self, packet: &Packet, pts: i64, content: Content) -> Result<(), JobError> {
        self.position.sample_sent(pts, content);
        let mut sent = self.position.decoder.send_packet(packet);
        if sent == Err(Error::Other { errno: EAGAIN }) {
            self.drain()?;
            sent = self.position.decoder.send_packet(packet);
        }
        if let Err(error) = sent {
            let what = || format!("the sample at presentation time {pts}: {error}");
            self.position.damage.note(what);
        }
        self.drain()
    }

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

    fn take(&mut self, picture: Video) -> Result<(), JobError> {
        let picture = match ffi_hw::in_system_memory(picture) {
            Ok(picture) => picture,
            Err(error) => {
                self.position.damage.note(|| error.to_string());
                return Ok(());
            }
        };
        let is_damaged = picture.is_corrupt() || picture.has_decode_errors();
        let picture = Decoded::new(picture, self.position.orientation);
        self.position.orientation = picture.orientation;
        self.position.picture_out(picture.pts, is_damaged);
        self.look(&picture)?;
        self.offer(picture)
    }

    /// Finishes the picture if it changed enough.
    fn look(&mut self, picture: &Decoded) -> Result<(), JobError> {
        let (Some(detector), Some(changes)) = (&mut self.detector, &self.request.changes) else {
            return Ok(());
        };
        if !detector.looks_at(picture.pts) {
            return Ok(());
        }
        self.position.damage.check()?;
        if let Some(change) = self.finisher.look(picture, detector)? {
            let file = self.finisher.finish(picture, &changes.output)?;
            self.send(CHANGED, picture.pts, &file, Some(change))?;
        }
        Ok(())
    }

    /// Finishes the picture for all who want it by its time, and keeps it as the newest.
    fn offer(&mut self, picture: Decoded) -> Result<(), JobError> {
        let is_meant = |want: &Want| want.pick == Pick::Pts(picture.pts);
        self.finish(&picture, is_meant)?;
        self.position.keep(picture);
        Ok(())
    }

    fn finish_newest(&mut self) -> Result<(), JobError> {
        if let Some(picture) = self.position.shown.pop_back() {
            self.finish(&picture, |want| want.pick == Pick::Newest)?;
            self.position.keep(picture);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        picture: &Decoded,
        is_meant: impl Fn(&Want) -> bool,
    ) -> Result<(), JobError> {
        let now: Vec<Want> = self
            .position
            .open
            .extract_if(.., |want| is_meant(want))
            .collect();
        if !now.is_empty() {
            self.position.damage.check()?;
        }
        let mut last: Option<(Output, File)> = None;
        for want in now {
            let file = match last.take() {
                Some((output, file)) if output == want.output => file,
                _ => match self.finisher.finish(picture, &want.output) {
                    // The form is one caller's; the others and the decoder go on.
                    Err(Failure::Invalid(why)) => {
                        let tag = want.tag;
                        (self.emit)(&Reply::Refused { tag, why }, &[])?;
                        continue;
                    }
                    file => file?,
                },
            };
            self.send(want.tag, picture.pts, &file, None)?;
            last = Some((want.output, file));
        }
        Ok(())
    }

    fn send(
        &mut self,
        tag: u64,
        pts: i64,
        file: &File,
        change: Option<Change>,
    ) -> Result<(), JobError> {
        let reply = Reply::Picture {
            tag,
            pts,
            width: file.width,
            height: file.height,
            format: file.format,
            change,
            shared: file.payload.shared(),
        };
        (self.emit)(&reply, file.payload.bytes())?;
        Ok(())
    }

    /// Whether everything wanted came, or can still come if the decoder goes on.
    fn check_open(&self, keeps: bool) -> Result<(), JobError> {
        let shown = self.position.shown.back().map(|picture| picture.pts);
        let can_come = |want: &Want| match want.pick {
            Pick::Pts(pts) => {
                shown.is_none_or(|shown| shown < pts) && self.position.damage.spares(pts)
            }
            Pick::Newest => self.position.damage.check().is_ok(),
        };
        let lost = self
            .position
            .open
            .iter()
            .find(|want| !(keeps && can_come(want)));
        let Some(lost) = lost else {
            return Ok(());
        };
        self.position.damage.check()?;
        let text = format!("the decoder gives no picture for {:?}", lost.pick);
        Err(Failure::Bitstream(text).into())
    }
}
