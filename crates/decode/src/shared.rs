//! Memory that a worker shares with the pool, for raw pixels.
//!
//! The pool makes the file and fixes its size. The worker writes pictures into it and names their
//! places; the pool copies them out before the worker gets its next request. It reads with `pread` and
//! maps nothing, so nothing that a worker does to the file reaches the pool but as bytes or an error.

use crate::protocol::wire::SharedRange;
use rustix::buffer::spare_capacity;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use std::io;
use std::os::fd::OwnedFd;

/// Size of the file: a raw 8K picture in NV12, or twenty of 1080p. It takes memory only where it was
/// written to.
const SIZE: u64 = 64 << 20;

/// The pool's end of one worker's file.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    file: OwnedFd,
}

impl SharedMemory {
    pub(crate) fn create() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("framewell-pictures", flags)?;
        ftruncate(&file, SIZE)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Self { file })
    }

    /// The worker's end.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        self.file.try_clone()
    }

    /// Copies a picture out.
    pub(crate) fn read(&self, range: SharedRange) -> io::Result<Vec<u8>> {
        let end = range.offset.checked_add(range.len);
        if end.is_none_or(|end| end > SIZE) {
            let text = format!("{range:?} is outside the shared memory");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let len = usize::try_from(range.len).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = range.offset + bytes.len() as u64;
            if rustix::io::pread(&self.file, spare_capacity(&mut bytes), at)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        // The vector may have got more room than it asked for.
        bytes.truncate(len);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    fn range(offset: u64, len: u64) -> SharedRange {
        SharedRange { offset, len }
    }

    #[test]
    fn what_the_worker_writes_the_pool_reads() {
        let memory = SharedMemory::create().unwrap();
        let worker = File::from(memory.share().unwrap());
        worker.write_all_at(b"0123456789", SIZE - 10).unwrap();
        assert_eq!(memory.read(range(SIZE - 7, 4)).unwrap(), b"3456");
        assert_eq!(memory.read(range(SIZE, 0)).unwrap(), b"");
    }

    #[test]
    fn a_place_outside_is_an_error() {
        let memory = SharedMemory::create().unwrap();
        for outside in [range(SIZE - 1, 2), range(0, u64::MAX), range(u64::MAX, 1)] {
            let error = memory.read(outside).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_worker_cannot_change_the_size() {
        let memory = SharedMemory::create().unwrap();
        let worker = File::from(memory.share().unwrap());
        assert!(worker.set_len(0).is_err());
        assert!(worker.set_len(SIZE + 1).is_err());
    }
}
