//! One worker process.

use crate::connection::{Answer, Connection, Greeting};
use crate::options::WorkerOptions;
use crate::protocol::wire::SessionUse;
use crate::protocol::{Job, sound};
use crate::shared::SharedMemory;
use bytes::Bytes;
use rustix::net::sockopt::set_socket_send_buffer_size;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::error::Elapsed;

/// A worker that has not said hello by then will not; loading its libraries takes 130 ms at worst on
/// an idle machine.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How long a worker that broke the connection may take to show its exit status.
const EXIT_DEADLINE: Duration = Duration::from_secs(1);

/// Room in the socket, in each direction, so that most GOPs and pictures pass without either side
/// waiting for the other. The kernel gives less if its `net.core.wmem_max` says so.
const SOCKET_BUFFER: usize = 1 << 20;

/// How a job ended without an answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// Still running at the deadline.
    Deadline,
    /// Gone, or it broke the protocol; what is known about it.
    Died(String),
}

/// A running `framewell-decoder`. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    connection: Connection,
    /// Jobs given to it.
    pub(crate) jobs: u64,
}

impl Worker {
    /// Starts the process; [`Worker::greet`] tells when it is ready.
    ///
    /// The socket is its standard input, shared memory its standard output. It gets no environment: nothing in there is its business,
    /// and some of it may be secret. It is a process group of its own, so that an interrupt typed at a
    /// terminal stops the server and not the workers that its last answers need.
    pub(crate) fn spawn(program: &Path, options: &WorkerOptions) -> io::Result<Self> {
        Self::spawn_with(program, options.to_args())
    }

    /// The same for a process that only transcodes sound.
    pub(crate) fn spawn_for_sound(program: &Path, options: &WorkerOptions) -> io::Result<Self> {
        Self::spawn_with(program, options.to_sound_args())
    }

    fn spawn_with(program: &Path, args: Vec<String>) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        for end in [&ours, &theirs] {
            set_socket_send_buffer_size(end, SOCKET_BUFFER)?;
        }
        let shared = SharedMemory::create()?;
        let theirs_shared = shared.share()?;
        let connection = Connection::new(UnixStream::from_std(ours)?, shared);
        let child = Command::new(program)
            .args(args)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(theirs_shared))
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            child,
            connection,
            jobs: 0,
        })
    }

    /// Process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it is ready.
    pub(crate) async fn greet(&mut self) -> io::Result<Greeting> {
        let hello = tokio::time::timeout(START_DEADLINE, self.connection.greet());
        let greeting = match hello.await {
            Ok(Ok(greeting)) => greeting,
            Ok(Err(error)) => {
                let how = self.cause_of_death(&error).await;
                return Err(io::Error::new(error.kind(), how));
            }
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        tracing::debug!(
            pid = self.pid(),
            libraries = greeting.libraries,
            "decoder ready"
        );
        Ok(greeting)
    }

    /// Runs a job. After [`Lost`] the worker is of no use.
    pub(crate) async fn run(
        &mut self,
        job: &Job,
        session: Option<SessionUse>,
        deadline: Duration,
    ) -> Result<Answer, Lost> {
        self.jobs += 1;
        let answer = tokio::time::timeout(deadline, self.connection.run(job, session)).await;
        self.answered(answer).await
    }

    /// Has it free the decoder of a session. After [`Lost`] the worker is of no use.
    pub(crate) async fn close(&mut self, session: u64, deadline: Duration) -> Result<(), Lost> {
        let answer = tokio::time::timeout(deadline, self.connection.close(session)).await;
        self.answered(answer).await.map(drop)
    }

    /// Has it transcode sound. After [`Lost`] the worker is of no use.
    pub(crate) async fn transcode(
        &mut self,
        request: &sound::Request,
        config: Bytes,
        frames: impl IntoIterator<Item = Bytes>,
        deadline: Duration,
    ) -> Result<(sound::Reply, Bytes), Lost> {
        let answer = self.connection.transcode(request, config, frames);
        let answer = tokio::time::timeout(deadline, answer).await;
        self.answered(answer).await
    }

    async fn answered<T>(&mut self, answer: Result<io::Result<T>, Elapsed>) -> Result<T, Lost> {
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Lost::Died(self.cause_of_death(&error).await)),
            Err(_) => Err(Lost::Deadline),
        }
    }

    /// Its address space in bytes; 0 if that cannot be known.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.pid().and_then(memory_of).unwrap_or(0)
    }

    /// Resolves when the process ends by itself. Cancel-safe.
    pub(crate) async fn exited(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Ends the process and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "killing a decoder failed");
        }
    }

    async fn cause_of_death(&mut self, error: &io::Error) -> String {
        match tokio::time::timeout(EXIT_DEADLINE, self.exited()).await {
            Ok(status) => status,
            Err(_) => error.to_string(),
        }
    }
}

/// Address space of a process, the quantity that `RLIMIT_AS` limits: the first number of
/// `/proc/PID/statm`, in pages (proc(5)). The kernel makes that file up in microseconds.
fn memory_of(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').next()?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_is_known_while_it_runs() {
        let own = memory_of(std::process::id()).unwrap();
        assert!((1 << 20..1 << 40).contains(&own), "{own}");
        assert_eq!(memory_of(u32::MAX), None);
    }
}
