//! One worker without a pool: its protocol spoken from the test.

use crate::common::program;
use bytes::Bytes;
use framewell_decode::protocol::wire::{
    self, Entry, Exit, Failure, PREFIX_LEN, Prefix, Reply, Request, SessionUse, parse_header,
};
use framewell_decode::{Job, Picture};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

pub(crate) struct RawWorker {
    pub(crate) child: Child,
    pub(crate) hello: Reply,
    socket: UnixStream,
}

impl RawWorker {
    pub(crate) fn start(args: &[&str]) -> Self {
        let (mut socket, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(program())
            .args(args)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        let hello = receive(&mut socket).unwrap().0;
        Self {
            child,
            hello,
            socket,
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
            let answer = collect(&mut self.socket);
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

fn collect(socket: &mut UnixStream) -> io::Result<Result<Vec<Picture>, Failure>> {
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
                shared: _,
            } => pictures.push(Picture {
                tag,
                pts,
                width,
                height,
                format,
                data,
                change,
            }),
            Reply::Done => return Ok(Ok(pictures)),
            Reply::Failed(failure) => return Ok(Err(failure)),
            Reply::Hello { .. } => panic!("a second hello"),
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
