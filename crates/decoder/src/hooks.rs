//! Misbehaviour on demand, for tests of what contains it.
//!
//! A job whose configuration record is `test-hook:NAME` does what NAME says instead of decoding, in a
//! worker that was started with `--test-hooks`. Only a build with debug assertions knows that option,
//! and the pool never passes it: no bitstream reaches this code in production.

use framewell_decode::protocol::wire::Failure;

const PREFIX: &[u8] = b"test-hook:";

/// Does what the configuration record names; returns if that was survived. `None` if it names nothing.
pub(crate) fn run(config: &[u8]) -> Option<Result<(), Failure>> {
    let name = config.strip_prefix(PREFIX)?;
    let told = |result: std::io::Result<()>| {
        result.map_err(|error| Failure::Invalid(format!("survived: {error}")))
    };
    Some(match name {
        b"read-file" => told(std::fs::read("/etc/passwd").map(drop)),
        b"write-file" => told(std::fs::write("/tmp/framewell-decoder-hook", "x")),
        b"network" => told(std::net::UdpSocket::bind("127.0.0.1:0").map(drop)),
        b"fork" => told(std::process::Command::new("/bin/true").spawn().map(drop)),
        b"allocate" => {
            allocate();
            Ok(())
        }
        b"abort" => std::process::abort(),
        b"hang" => loop {
            std::hint::spin_loop();
        },
        _ => Err(Failure::Invalid("no such hook".into())),
    })
}

/// Takes four gigabytes of address space without touching them.
fn allocate() {
    let pieces: Vec<Vec<u8>> = (0..16).map(|_| Vec::with_capacity(256 << 20)).collect();
    std::hint::black_box(&pieces);
}
