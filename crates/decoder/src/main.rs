//! The `framewell-decoder` worker binary: compressed GOP in, finished pictures out, over the socket
//! that the pool of `framewell-decode` passes as standard input.
//!
//! Here is the only C media code of the house, and the only `unsafe` (in [`ffi`]). A hostile
//! bitstream can at worst end this process; the pool replaces it.

mod colour;
mod decoded;
mod encode;
mod ffi;
mod ffi_scale;
mod ffi_webp;
mod finish;
mod geometry;
mod jobs;
mod limits;
mod orientation;
mod planes;
mod position;
mod rgb;
mod run;
mod samples;
mod scale;

use anyhow::Context;
use framewell_decode::protocol::setup::{DEFAULT_MEMORY_MIB, Hardware, SandboxReport};
use framewell_decode::protocol::wire::{self, Reply};
use jobs::Jobs;
use run::JobError;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

fn main() -> anyhow::Result<()> {
    let memory_mib = memory_mib(std::env::args().skip(1))?;
    limits::apply(memory_mib).context("setting limits")?;
    let socket = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("taking the socket")?;
    let socket = UnixStream::from(socket);
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    // The other half is for libraries, the job in work, and scaled pictures.
    let session_bytes = memory_mib.saturating_mul(1 << 20) / 2;
    let mut jobs = Jobs::new(session_bytes).context("starting the JPEG encoder")?;
    say_hello(&socket).context("greeting the pool")?;
    serve(&socket, &mut jobs).context("serving the pool")
}

/// Reads `--memory-mib N`.
fn memory_mib(mut args: impl Iterator<Item = String>) -> anyhow::Result<u64> {
    match (args.next().as_deref(), args.next()) {
        (None, _) => Ok(DEFAULT_MEMORY_MIB),
        (Some("--memory-mib"), Some(value)) => value.parse().context("--memory-mib"),
        _ => anyhow::bail!("usage: framewell-decoder [--memory-mib N], with a socket as stdin"),
    }
}

fn say_hello(mut socket: &UnixStream) -> std::io::Result<()> {
    let hello = Reply::Hello {
        version: wire::VERSION,
        libraries: ffi::libraries(),
        sandbox: SandboxReport::default(),
        hardware: Hardware::Off,
    };
    wire::write_reply(&mut socket, &hello, &[])
}

/// Answers jobs until the pool hangs up.
fn serve(mut socket: &UnixStream, jobs: &mut Jobs) -> anyhow::Result<()> {
    while let Some(request) = wire::read_request(&mut socket)? {
        let mut payload = socket.take(request.payload_len());
        let mut emit =
            |picture: &Reply, file: &[u8]| wire::write_reply(&mut &*socket, picture, file);
        let reply = match jobs.run(&request, &mut payload, &mut emit) {
            Ok(()) => Reply::Done,
            Err(JobError::Failed(failure)) => Reply::Failed(failure),
            Err(JobError::Socket(error)) => return Err(error.into()),
        };
        std::io::copy(&mut payload, &mut std::io::sink())?;
        wire::write_reply(&mut socket, &reply, &[])?;
        socket.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_limit_comes_from_the_command_line() {
        let parse = |args: &[&str]| memory_mib(args.iter().map(ToString::to_string)).ok();
        assert_eq!(parse(&[]), Some(DEFAULT_MEMORY_MIB));
        assert_eq!(parse(&["--memory-mib", "512"]), Some(512));
        assert_eq!(parse(&["--memory-mib"]), None);
        assert_eq!(parse(&["--memory-mib", "many"]), None);
        assert_eq!(parse(&["--help"]), None);
    }
}
