//! Decoders that keep their position.

use crate::pool::Error;
use crate::protocol::wire::{Entry, Exit};
use crate::protocol::{Job, Picture};

/// A decoder on one worker of the pool that keeps its position from job to job: for live channels, and
/// for sequential reading of recordings. Dropping it frees the decoder.
#[derive(Debug)]
pub struct Session {}

impl Session {
    /// Runs a job. With [`Entry::Continue`] the samples follow those of the last job; none at all is
    /// fine. With [`Exit::Keep`], wanted pictures that the decoder still holds back (it reorders) stay
    /// wanted and come with a later job, told by their tags.
    ///
    /// After any error, and after a future dropped half-way, the next job has to start with
    /// [`Entry::Key`]; [`Error::PositionLost`] says so where the worker was replaced meanwhile.
    pub async fn decode(
        &mut self,
        job: Job,
        entry: Entry,
        exit: Exit,
    ) -> Result<Vec<Picture>, Error> {
        let _ = (job, entry, exit);
        todo!()
    }
}
