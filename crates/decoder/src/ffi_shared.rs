//! The memory that the pool reads raw pictures from.
#![expect(
    unsafe_code,
    reason = "a shared mapping is memory that others can change"
)]

use framewell_decode::protocol::wire::SharedRange;
use memmap2::MmapMut;
use rustix::fs::{SealFlags, fcntl_get_seals};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

/// Where a picture may start: a multiple of this, for readers that copy whole vectors.
const ALIGNMENT: usize = 64;

/// A memory file of fixed size, filled from its start anew with each job.
pub(crate) struct SharedMemory {
    map: MmapMut,
    used: usize,
}

impl SharedMemory {
    /// Maps the file behind a descriptor; `None` if it is none of fixed size, or cannot be mapped.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Option<Self> {
        let fixed = SealFlags::SHRINK | SealFlags::GROW;
        let seals = fcntl_get_seals(fd).ok()?;
        let file = File::from(fd.as_fd().try_clone_to_owned().ok()?);
        if !seals.contains(fixed) || file.metadata().ok()?.len() == 0 {
            return None;
        }
        // SAFETY: the seals keep the file from getting shorter, which is what a mapping has to fear.
        // The pool reads it between jobs only, and never writes: its content is ours alone here.
        let map = unsafe { MmapMut::map_mut(&file) }.ok()?;
        Some(Self { map, used: 0 })
    }

    /// A new job: what the last one wrote has been read.
    pub(crate) const fn clear(&mut self) {
        self.used = 0;
    }

    /// Room for so many bytes, if there is any left.
    pub(crate) fn take(&mut self, len: usize) -> Option<(SharedRange, &mut [u8])> {
        let start = self.used.next_multiple_of(ALIGNMENT);
        let end = start
            .checked_add(len)
            .filter(|end| *end <= self.map.len())?;
        self.used = end;
        let range = SharedRange {
            offset: u64::try_from(start).ok()?,
            len: u64::try_from(len).ok()?,
        };
        Some((range, &mut self.map[start..end]))
    }
}
