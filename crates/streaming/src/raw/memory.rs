//! The shared memory of one reader.
//!
//! The server writes with `pwrite` and maps nothing. The reader gets a second, read-only open file of
//! the same memory: it cannot write, and no seal can be taken back.

use super::layout::Layout;
use bytes::Bytes;
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, SealFlags};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The file; its pages go with the last user of ours, whoever still has a descriptor of it.
#[derive(Debug)]
struct Pages(File);

impl Drop for Pages {
    /// Else a reader that goes and keeps its descriptor keeps the memory too, beyond all limits. The
    /// length stays: it reads zeros, and its mappings stay whole.
    fn drop(&mut self) {
        let whole = self.0.metadata().map(|file| file.len()).unwrap_or(0);
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Err(error) = rustix::fs::fallocate(&self.0, flags, 0, whole) {
            tracing::warn!(%error, "the memory of a raw reader stays until it closes it");
        }
    }
}

/// Memory for a number of slots.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    file: Arc<Pages>,
    layout: Arc<Layout>,
}

impl Memory {
    /// Makes the memory, all zero. It can neither grow nor shrink: a reader that maps it whole never
    /// meets a page that is gone (SIGBUS).
    pub(super) fn new(layout: Arc<Layout>, slots: u64) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(rustix::fs::memfd_create("framewell-raw", flags)?);
        // Else whoever holds any descriptor of it could open it again for writing through /proc.
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        file.set_len(layout.slot_bytes * slots)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok(Self {
            file: Arc::new(Pages(file)),
            layout,
        })
    }

    /// A descriptor for the reader.
    pub(super) fn read_only(&self) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", self.file.0.as_raw_fd()))
    }

    /// Copies a picture into a slot, plane by plane. The caller has checked its length.
    pub(super) async fn write(&self, slot: u64, picture: Bytes) -> io::Result<()> {
        let this = self.clone();
        let copy = move || this.copy(slot, &picture);
        // Some milliseconds for a large picture: not on a thread that others wait for.
        tokio::task::spawn_blocking(copy)
            .await
            .map_err(io::Error::other)?
    }

    fn copy(&self, slot: u64, mut picture: &[u8]) -> io::Result<()> {
        let begin = slot * self.layout.slot_bytes;
        for plane in &self.layout.planes {
            let len = usize::try_from(plane.len_bytes()).map_err(io::Error::other)?;
            let (pixels, rest) = picture
                .split_at_checked(len)
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            self.file.0.write_all_at(pixels, begin + plane.offset)?;
            picture = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewell_imaging::PictureFormat;

    fn memory() -> Memory {
        let layout = Layout::new(PictureFormat::Nv12, 17, 17).unwrap();
        Memory::new(Arc::new(layout), 2).unwrap()
    }

    #[tokio::test]
    async fn a_picture_lies_where_the_layout_says() {
        let memory = memory();
        let (luma, chroma) = (vec![7; 17 * 17], vec![9; 9 * 9 * 2]);
        let picture = Bytes::from([luma.clone(), chroma.clone()].concat());
        memory.write(1, picture).await.unwrap();
        let reader = memory.read_only().unwrap();
        let read = |offset: u64, len: usize| {
            let mut bytes = vec![0; len];
            reader.read_exact_at(&mut bytes, offset).unwrap();
            bytes
        };
        let slot = memory.layout.slot_bytes;
        assert_eq!(read(slot, luma.len()), luma);
        let offset = slot + memory.layout.planes[1].offset;
        assert_eq!(read(offset, chroma.len()), chroma);
        assert_eq!(read(0, 4_096), vec![0; 4_096]);
        assert!(memory.write(0, Bytes::from_static(b"short")).await.is_err());
    }

    #[tokio::test]
    async fn a_reader_that_keeps_its_descriptor_keeps_no_pages() {
        use std::os::unix::fs::MetadataExt;
        let memory = memory();
        let reader = memory.read_only().unwrap();
        let bytes = usize::try_from(memory.layout.picture_bytes()).unwrap();
        let picture = Bytes::from(vec![7; bytes]);
        memory.write(0, picture).await.unwrap();
        let before = reader.metadata().unwrap();
        assert_ne!(before.blocks(), 0);
        drop(memory);
        let after = reader.metadata().unwrap();
        assert_eq!((after.blocks(), after.len()), (0, before.len()));
        let mut byte = [1];
        reader.read_exact_at(&mut byte, 0).unwrap();
        assert_eq!(byte, [0]);
    }

    #[test]
    fn the_reader_can_neither_write_nor_resize() {
        let memory = memory();
        let reader = memory.read_only().unwrap();
        assert!(reader.write_at(b"x", 0).is_err());
        assert!(reader.set_len(0).is_err());
        assert!(memory.file.0.set_len(0).is_err(), "sealed");
        assert!(memory.file.0.set_len(1 << 20).is_err(), "sealed");
    }
}
