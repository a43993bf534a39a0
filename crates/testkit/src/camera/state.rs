//! What a camera's source and its sessions share.

use super::auth::AuthScheme;
use super::control::{Faults, SessionCommand};
use super::packet::Packets;
use super::player::PacketizedClip;
use super::truth::Truth;
use crate::clock::wall_now;
use framewell_media::{StreamParameters, TrackKind};
use framewell_model::{Timescale, WallTime};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// Frames that a session may be behind; one that is slower goes on at a key frame.
const FEED_FRAMES: usize = 256;
const COMMANDS: usize = 16;

/// One access unit on its way to all sessions.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) track: TrackKind,
    pub(super) is_key: bool,
    pub(super) rtp_time: u32,
    pub(super) capture: WallTime,
    /// The time in its mark, where its clip has one; `None`: when it is sent.
    pub(super) mark: Option<WallTime>,
    pub(super) packets: Arc<Packets>,
}

#[derive(Debug)]
pub(super) struct CameraState {
    pub(super) login: String,
    pub(super) password: String,
    pub(super) auth: AuthScheme,
    pub(super) feed: broadcast::Sender<Sample>,
    pub(super) commands: broadcast::Sender<SessionCommand>,
    /// Known as soon as the source has given its first key frame.
    pub(super) parameters: watch::Sender<Option<Arc<StreamParameters>>>,
    /// Why the source gives no pictures.
    pub(super) failure: watch::Sender<Option<String>>,
    /// The clip to go on with.
    pub(super) switch: watch::Sender<Option<Arc<PacketizedClip>>>,
    pub(super) plays: watch::Sender<u64>,
    /// Sessions in play now.
    pub(super) watchers: watch::Sender<u64>,
    pub(super) truth: Truth,
    faults: Mutex<Faults>,
    rtp_jump_us: AtomicI64,
    /// RTP time 0 of all tracks, but for the base.
    started: WallTime,
    rtp_base: [u32; 2],
}

impl CameraState {
    pub(super) fn new(login: &str, password: &str, auth: AuthScheme) -> Self {
        Self {
            login: login.to_owned(),
            password: password.to_owned(),
            auth,
            feed: broadcast::Sender::new(FEED_FRAMES),
            commands: broadcast::Sender::new(COMMANDS),
            parameters: watch::Sender::new(None),
            failure: watch::Sender::new(None),
            switch: watch::Sender::new(None),
            plays: watch::Sender::new(0),
            watchers: watch::Sender::new(0),
            truth: Truth::default(),
            faults: Mutex::default(),
            rtp_jump_us: AtomicI64::new(0),
            started: wall_now(),
            rtp_base: rand::random(),
        }
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn jump_rtp(&self, micros: i64) {
        self.rtp_jump_us.fetch_add(micros, Ordering::SeqCst);
    }

    /// Ticks of `track`'s RTP clock at a capture time, without base and jumps.
    pub(super) fn ticks_at(&self, scale: Timescale, capture: WallTime) -> i64 {
        scale.from_micros(capture.micros_since(self.started))
    }

    /// The RTP timestamp for these ticks.
    pub(super) fn rtp_time(&self, track: TrackKind, scale: Timescale, ticks: i64) -> u32 {
        let jump = scale.from_micros(self.rtp_jump_us.load(Ordering::SeqCst));
        let base = self.rtp_base[usize::from(track == TrackKind::Audio)];
        // RTP time is 32 bits wide and wraps.
        let wrapped = (ticks + jump).rem_euclid(1 << 32);
        base.wrapping_add(u32::try_from(wrapped).unwrap_or(0))
    }

    /// The timescale of a track.
    pub(super) fn timescale(parameters: &StreamParameters, track: TrackKind) -> Timescale {
        match (track, &parameters.audio) {
            (TrackKind::Audio, Some(audio)) => audio.timescale(),
            _ => Timescale::HZ_90K,
        }
    }

    /// Hands a frame to all sessions.
    pub(super) fn send(&self, sample: Sample) {
        // An error means that nobody watches.
        let _receivers = self.feed.send(sample);
    }
}
