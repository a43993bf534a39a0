//! Jobs of one worker, and the decoders that it keeps between them.

use crate::changes::Detector;
use crate::ffi_hw::HwDevice;
use crate::ffi_shared::SharedMemory;
use crate::finish::Finisher;
use crate::hooks;
use crate::options::Options;
use crate::position::{Parameters, Position};
use crate::render;
use crate::run::{Emit, JobError, Run};
use framewell_decode::protocol::wire::{Entry, Exit, Failure, Request, SessionUse};
use std::io::Read;

/// Most decoders that a worker keeps for sessions.
const MAX_SESSIONS: usize = 48;

/// Does jobs, one after the other.
pub(crate) struct Jobs {
    device: Option<HwDevice>,
    has_test_hooks: bool,
    /// The decoder of the last job without a session: the next one may use it if it has the same
    /// parameters.
    warm: Option<Position>,
    sessions: Sessions,
    finisher: Finisher,
}

impl Jobs {
    /// Decodes with `device` what it can decode; raw pictures go to `shared`.
    pub(crate) fn new(
        options: &Options,
        device: Option<HwDevice>,
        shared: Option<SharedMemory>,
    ) -> turbojpeg::Result<Self> {
        Ok(Self {
            device,
            has_test_hooks: options.has_test_hooks,
            warm: None,
            sessions: Sessions {
                kept: Vec::new(),
                // The other half is for libraries, the job in work, and scaled pictures.
                memory_bytes: options.memory_mib.saturating_mul(1 << 20) / 2,
            },
            finisher: Finisher::new(shared)?,
        })
    }

    /// Decodes the payload until all wanted pictures are out, and emits each as it gets ready. May
    /// leave the rest of the payload unread.
    ///
    /// A job takes its decoder out of where it is kept: one that fails drops it, so that nothing half
    /// decoded is ever gone on with.
    pub(crate) fn run(
        &mut self,
        request: &Request,
        payload: &mut impl Read,
        emit: &mut Emit<'_>,
    ) -> Result<(), JobError> {
        let mut config = vec![0; usize::try_from(request.config_len).unwrap_or(usize::MAX)];
        payload.read_exact(&mut config)?;
        if self.has_test_hooks
            && let Some(result) = hooks::run(&config)
        {
            return Ok(result?);
        }
        let parameters = Parameters::new(request, config);
        if let Some(render) = &request.render {
            let device = self.device.as_ref();
            return render::run(request, render, parameters, device, payload, emit);
        }
        match request.session {
            None => {
                let mut position = start(self.warm.take(), parameters, self.device.as_ref())?;
                self.work(request, payload, &mut position, emit)?;
                position.shown.clear();
                self.warm = Some(position);
            }
            Some(SessionUse {
                id,
                exit: Exit::Close,
                ..
            }) => drop(self.sessions.take(id)),
            Some(SessionUse { id, entry, .. }) => {
                let kept = self.sessions.take(id);
                let mut position = match entry {
                    Entry::Key => start(kept, parameters, self.device.as_ref())?,
                    Entry::Continue => kept
                        .filter(|kept| !kept.is_drained && kept.fits(&parameters))
                        .ok_or(Failure::PositionLost)?,
                };
                self.work(request, payload, &mut position, emit)?;
                self.sessions.keep(id, position);
            }
        }
        Ok(())
    }

    fn work(
        &mut self,
        request: &Request,
        payload: &mut impl Read,
        position: &mut Position,
        emit: &mut Emit<'_>,
    ) -> Result<(), JobError> {
        self.finisher.begin();
        Run {
            request,
            position,
            detector: request.changes.as_ref().map(Detector::new).transpose()?,
            finisher: &mut self.finisher,
            emit,
        }
        .decode(payload)
    }
}

/// A decoder ready for a key frame: the kept one if it fits, else a new one.
fn start(
    kept: Option<Position>,
    parameters: Parameters,
    device: Option<&HwDevice>,
) -> Result<Position, Failure> {
    match kept.filter(|kept| kept.fits(&parameters)) {
        Some(mut position) => {
            position.reset();
            Ok(position)
        }
        None => Position::open(parameters, device),
    }
}

/// The decoders of sessions, the one used longest ago first.
struct Sessions {
    kept: Vec<(u64, Position)>,
    memory_bytes: u64,
}

impl Sessions {
    fn take(&mut self, id: u64) -> Option<Position> {
        let index = self.kept.iter().position(|(kept, _)| *kept == id)?;
        Some(self.kept.remove(index).1)
    }

    /// Makes room by giving up those used longest ago; the new one stays however big it is.
    fn keep(&mut self, id: u64, position: Position) {
        self.kept.push((id, position));
        let sizes = self.kept.iter().rev();
        let mut sum = 0;
        let fitting = sizes
            .take(MAX_SESSIONS)
            .take_while(|(_, position)| {
                sum += position.memory_bytes();
                sum <= self.memory_bytes
            })
            .count();
        self.kept.drain(..self.kept.len() - fitting.max(1));
    }
}
