//! The `framewell-decoder` worker binary: compressed GOP in, finished pictures out, over the socket
//! that the pool of `framewell-decode` passes as standard input. Or, as another kind of process, sound in and Opus
//! out.
//!
//! Here is the only C media code of the house, and the only `unsafe` (in the files named `ffi*`). A hostile
//! bitstream can at worst end this process; the pool replaces it.

mod changes;
mod colour;
mod decoded;
mod draw;
mod encode;
mod ffi;
mod ffi_hw;
mod ffi_scale;
mod ffi_shared;
mod ffi_sound;
mod ffi_webp;
mod finish;
mod font;
mod geometry;
mod h264;
mod hooks;
mod jobs;
mod limits;
mod options;
mod orientation;
mod planes;
mod position;
mod render;
mod rgb;
mod run;
mod samples;
mod sandbox;
mod scale;
mod seccomp;
mod sound;
mod sound_line;

use anyhow::Context;
use ffi_hw::HwDevice;
use ffi_shared::SharedMemory;
use framewell_decode::protocol::setup::{Hardware, Hwaccel, SandboxReport};
use framewell_decode::protocol::wire::{self, Reply};
use jobs::Jobs;
use options::Options;
use run::JobError;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

fn main() -> anyhow::Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    limits::apply(options.memory_mib).context("setting limits")?;
    let socket = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("taking the socket")?;
    let socket = UnixStream::from(socket);
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    if options.does_sound {
        return transcode(&options, &socket);
    }
    let (device, hardware) = open_device(&options);
    // Without the device nothing needs the wider cage.
    let used = device.as_ref().map_or(Hwaccel::None, |_| options.hwaccel);
    let shared = SharedMemory::of(std::io::stdout().as_fd());
    let mut jobs = Jobs::new(&options, device, shared).context("starting the JPEG encoder")?;
    let sandbox = sandbox::enter(options.sandbox, used)?;
    say_hello(&socket, sandbox, hardware).context("greeting the pool")?;
    serve(&socket, &mut jobs).context("serving the pool")
}

/// Makes Opus of sound until the other side hangs up.
fn transcode(options: &Options, socket: &UnixStream) -> anyhow::Result<()> {
    let sandbox = sandbox::enter(options.sandbox, Hwaccel::None)?;
    say_hello(socket, sandbox, Hardware::Off).context("greeting the server")?;
    sound::serve(socket).context("serving the server")
}

fn open_device(options: &Options) -> (Option<HwDevice>, Hardware) {
    match HwDevice::open(options.hwaccel, options.hw_device.as_deref()) {
        Ok(None) => (None, Hardware::Off),
        Ok(device) => (device, Hardware::Ready),
        Err(why) => (None, Hardware::Unavailable(why)),
    }
}

fn say_hello(
    mut socket: &UnixStream,
    sandbox: SandboxReport,
    hardware: Hardware,
) -> std::io::Result<()> {
    let hello = Reply::Hello {
        version: wire::VERSION,
        libraries: ffi::libraries(),
        sandbox,
        hardware,
        has_encoder: h264::is_available(),
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
