//! Sans-IO media core: what travels between a camera and everything that reads it.
//!
//! What belongs here: [`AccessUnit`], codec parameters, NAL scanning, RTP time to wall clock
//! ([`Timeline`]), decode times ([`DtsEstimator`]), where to cut segments ([`SegmentPlanner`]).
//! What does not: sockets, files, clocks (the caller passes the time), decoding of pixels.

mod aac;
mod access_unit;
mod clock_watch;
mod codec;
mod dts;
mod h264;
mod h265;
pub mod nal;
pub mod opus;
mod planner;
mod record;
mod timeline;

pub use access_unit::{AccessUnit, TrackKind};
pub use clock_watch::{ClockReading, ClockWatch};
pub use codec::{
    AudioCodec, AudioParameters, ParameterError, StreamParameters, VideoCodec, VideoParameters,
};
pub use dts::DtsEstimator;
pub use planner::{Cut, SegmentPlanner};
pub use timeline::{Placement, Timeline, TimelineConfig};
