//! Decoder processes: a pool of `framewell-decoder` workers and the protocol spoken with them.
//!
//! Compressed GOP in, finished pictures out, over an inherited socket. No C library is linked here
//! or above; a broken bitstream costs one worker and one error (architecture invariant 2).

mod connection;
mod dispatch;
mod options;
mod owner;
mod pool;
pub mod protocol;
mod schedule;
mod session;
mod shared;
mod transcoder;
mod worker;

pub use connection::Greeting;
pub use options::WorkerOptions;
pub use pool::{Error, Pool, PoolConfig, RENDER_PATIENCE, WorkerStatus};
pub use protocol::render::{
    Coded, MAX_BOXES, MAX_RENDERED, MAX_TEXT_BYTES, Render, RenderBox, RenderFrame, RenderJob,
};
pub use protocol::setup::{Hardware, Hwaccel, SandboxMode, SandboxReport};
pub use protocol::wire::{Entry, Exit};
pub use protocol::{
    CHANGED, Change, Changes, Crop, Fit, Job, JobSample, Made, Output, Pick, Picture,
    PictureFormat, Priority, Rectangle, Refusal, Want,
};
pub use session::Session;
pub use transcoder::{SoundFrame, Transcoded, Transcoder};
