//! Decoders that keep their position.

use crate::pool::{Error, Pool};
use crate::protocol::wire::{Entry, Exit};
use crate::protocol::{Job, Made, Picture};
use crate::schedule::{SessionKey, Use};

/// A decoder on one worker of the pool that keeps its position from job to job: for live channels, and
/// for sequential reading of recordings. Dropping it frees the decoder, without waiting for that.
#[derive(Debug)]
pub struct Session {
    pool: Pool,
    key: SessionKey,
    /// Whether the last job ended well and kept its position.
    has_position: bool,
}

impl Session {
    pub(crate) const fn new(pool: Pool, key: SessionKey) -> Self {
        Self {
            pool,
            key,
            has_position: false,
        }
    }

    /// Runs a job. With [`Entry::Continue`] the samples follow those of the last job; none at all is
    /// fine. With [`Exit::Keep`], wanted pictures that the decoder still holds back (it reorders) stay
    /// wanted and come with a later job, told by their tags. [`Exit::Close`] frees the decoder at once
    /// and gives no pictures.
    ///
    /// After any error but [`Error::Busy`], and after a future dropped half-way, the next job has to
    /// start with [`Entry::Key`]; [`Error::PositionLost`] says so, also where the worker was replaced
    /// meanwhile.
    pub async fn decode(
        &mut self,
        job: Job,
        entry: Entry,
        exit: Exit,
    ) -> Result<Vec<Picture>, Error> {
        let made = self.decode_each(job, entry, exit).await?;
        let whole = made.whole();
        self.has_position &= whole.is_ok();
        whole
    }

    /// The same for wants of several callers: a form that its picture cannot be made in is refused, and
    /// spoils nothing else.
    pub async fn decode_each(&mut self, job: Job, entry: Entry, exit: Exit) -> Result<Made, Error> {
        let had_position = std::mem::replace(&mut self.has_position, false);
        if exit == Exit::Close {
            self.pool.close_session(self.key);
            return Ok(Made::default());
        }
        if entry == Entry::Continue && !had_position {
            return Err(Error::PositionLost);
        }
        let key = self.key;
        let result = self.pool.decode_in(job, Use { key, entry, exit }).await;
        self.has_position = match &result {
            Ok(_) => exit == Exit::Keep,
            Err(Error::Busy) => had_position,
            Err(_) => false,
        };
        result
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.pool.close_session(self.key);
    }
}
