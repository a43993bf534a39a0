//! The pool with the real worker.

#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

mod archive;
mod batch;
mod batch_day;
mod batch_faults;
mod batch_limits;
mod batch_live;
mod batch_rig;
mod batch_scenes;
mod changes;
mod colours;
mod common;
mod exact;
mod faults;
mod footage;
mod forms;
mod group_forms;
mod hostile;
mod live_endless;
mod live_faults;
mod live_feeds;
mod live_forms;
mod live_hot;
mod live_pictures;
mod matching;
mod orientation;
mod pool;
mod process;
mod raw;
mod recorded_pictures;
mod render;
mod rig;
mod sandbox;
mod sessions;
mod shared;
mod sharing;
mod sheets;
mod sizes;
mod sound;
