//! One worker without a pool: its protocol spoken from the test.

use crate::common::program;
use bytes::Bytes;
use framewell_decode::protocol::wire::{
    self, Entry, Exit, Failure, PREFIX_LEN, Prefix, Reply, Request, SessionUse, parse_header,
};
use framewell_decode::{Job, Picture};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

pub(crate) struct RawWorker {
    pub(crate) child: Child,
    pub(crate) hello: Reply,
    socket: UnixStream,
    memory: Option<File>,
}

/// What the worker said where its pictures are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Inline,
    Shared,
}

impl RawWorker {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(args, None)
    }

    /// With a memory file of so many bytes for raw pictures.
    pub(crate) fn with_memory(bytes: u64) -> Self {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = File::from(memfd_create("pictures", flags).unwrap());
        memory.set_len(bytes).unwrap();
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW).unwrap();
        Self::start_with(&[], Some(memory))
    }

    fn start_with(args: &[&str], memory: Option<File>) -> Self {
        let stdout = memory
            .as_ref()
            .map_or_else(Stdio::null, |memory| memory.try_clone().unwrap().into());
        let (mut socket, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(program())
            .args(args)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(stdout)
            .spawn()
            .unwrap();
        let hello = receive(&mut socket).unwrap().0;
        Self {
            child,
            hello,
            socket,
            memory,
        }
    }

    pub(crate) fn hang_up(&self) {
        self.socket.shutdown(Shutdown::Both).unwrap();
    }

    /// Does a job of a session.
    pub(crate) fn session(
        &mut self,
        id: u64,
        entry: Entry,
        exit: Exit,
        job: &Job,
    ) -> Result<Vec<Picture>, Failure> {
        self.run(job, Some(SessionUse { id, entry, exit })).unwrap()
    }

    /// Does a job; the outer error is the worker's death.
    pub(crate) fn run(
        &mut self,
        job: &Job,
        session: Option<SessionUse>,
    ) -> io::Result<Result<Vec<Picture>, Failure>> {
        let answer = self.run_seeing(job, session)?;
        Ok(answer.map(|found| found.into_iter().map(|(picture, _)| picture).collect()))
    }

    /// The same, and how each picture came.
    pub(crate) fn run_seeing(
        &mut self,
        job: &Job,
        session: Option<SessionUse>,
    ) -> io::Result<Result<Vec<(Picture, Way)>, Failure>> {
        let head = wire::head(&Request::of(job, session), job.payload_len())?;
        let mut writer = self.socket.try_clone()?;
        std::thread::scope(|scope| {
            let sent = scope.spawn(move || {
                writer.write_all(&head)?;
                writer.write_all(&job.video.config)?;
                job.samples
                    .iter()
                    .try_for_each(|sample| writer.write_all(&sample.data))
            });
            let answer = collect(&mut self.socket, self.memory.as_ref());
            sent.join().unwrap()?;
            answer
        })
    }
}

impl Drop for RawWorker {
    fn drop(&mut self) {
        // It may be gone already.
        self.child.kill().ok();
        self.child.wait().unwrap();
    }
}

fn collect(
    socket: &mut UnixStream,
    memory: Option<&File>,
) -> io::Result<Result<Vec<(Picture, Way)>, Failure>> {
    let mut pictures = Vec::new();
    loop {
        let (reply, data) = receive(socket)?;
        match reply {
            Reply::Picture {
                tag,
                pts,
                width,
                height,
                format,
                change,
                shared,
            } => {
                let (data, way) = match shared {
                    None => (data, Way::Inline),
                    Some(range) => {
                        assert!(data.is_empty());
                        let mut pixels = vec![0; usize::try_from(range.len).unwrap()];
                        memory.unwrap().read_exact_at(&mut pixels, range.offset)?;
                        (pixels.into(), Way::Shared)
                    }
                };
                let picture = Picture {
                    tag,
                    pts,
                    width,
                    height,
                    format,
                    data,
                    change,
                };
                pictures.push((picture, way));
            }
            Reply::Done => return Ok(Ok(pictures)),
            Reply::Failed(failure) => return Ok(Err(failure)),
            Reply::Refused { why, .. } => panic!("{why}"),
            other @ (Reply::Hello { .. } | Reply::Coded { .. }) => panic!("{other:?}"),
        }
    }
}

fn receive(socket: &mut UnixStream) -> io::Result<(Reply, Bytes)> {
    let mut prefix = [0; PREFIX_LEN];
    socket.read_exact(&mut prefix)?;
    let prefix = Prefix::parse(prefix)?;
    let mut header = vec![0; prefix.header_len];
    socket.read_exact(&mut header)?;
    let mut payload = vec![0; prefix.payload_len];
    socket.read_exact(&mut payload)?;
    Ok((parse_header(&header)?, payload.into()))
}
