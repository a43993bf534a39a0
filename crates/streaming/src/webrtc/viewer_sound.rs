//! The part of a viewer's session that is about transcoded sound.

use super::control;
use super::sound::{Hearing, Piece, Sound};
use super::viewer::{Source, Viewer, instant_of};
use framewell_media::{AccessUnit, StreamParameters};
use framewell_model::{ErrorKind, RunId};
use std::sync::Arc;
use std::time::Instant;
use str0m::RtcError;
use str0m::media::MediaTime;

impl Viewer {
    /// Sound comes from the channel, as pictures do.
    pub(super) fn hear_live(&mut self) {
        let (channel, track) = (self.seat.channel, &self.seat.track);
        let Some(hearing) = &mut self.seat.hearing else {
            return;
        };
        let Hearing {
            sounds,
            holder,
            listener,
        } = hearing;
        if listener
            .as_ref()
            .is_some_and(super::sound::Listener::is_live)
        {
            return;
        }
        // First the place of the recorded sound is given back.
        *listener = None;
        match sounds.listen(channel, track, *holder) {
            Ok(live) => *listener = Some(live),
            Err(full) => self.tell_silence(&full.to_string()),
        }
    }

    /// Sound comes from the footage that is played.
    pub(super) fn hear_recorded(&mut self) {
        let channel = self.seat.channel;
        let Some(hearing) = &mut self.seat.hearing else {
            return;
        };
        let Hearing {
            sounds,
            holder,
            listener,
        } = hearing;
        if let Some(recorded) = listener.as_mut().filter(|listener| !listener.is_live()) {
            recorded.seek();
            return;
        }
        // First the place of the live sound is given back.
        *listener = None;
        match sounds.follow(channel, *holder) {
            Ok(recorded) => *listener = Some(recorded),
            Err(full) => self.tell_silence(&full.to_string()),
        }
    }

    fn tell_silence(&mut self, why: &str) {
        self.say(&control::refused(
            ErrorKind::ResourceExhausted,
            &format!("no sound: {why}"),
        ));
    }

    /// Sound of footage that is due now.
    pub(super) fn transcode_recorded(
        &self,
        run: RunId,
        parameters: &Arc<StreamParameters>,
        units: &[AccessUnit],
    ) {
        let hearing = self.seat.hearing.as_ref();
        if let Some(listener) = hearing.and_then(|hearing| hearing.listener.as_ref()) {
            listener.feed(Piece::of(run, parameters, units));
        }
    }

    /// Sends what became Opus; the loop around it fetches what str0m makes of it.
    pub(super) fn send_opus(&mut self, sound: &Sound, now: Instant) -> Result<(), RtcError> {
        let is_live = matches!(self.source, Source::Live(_));
        if self.is_paused || matches!(self.source, Source::Nothing) {
            return Ok(());
        }
        // Sound of before the first picture, or of another run than its pictures, has no place.
        let Some(play_us) = self.play.place_behind(sound.run, sound.at_us) else {
            return Ok(());
        };
        let Some(line) = &mut self.audio else {
            return Ok(());
        };
        let ticks = line.ticks.next(play_us);
        let wall = is_live.then_some(sound.wall);
        let at = instant_of(wall, now, self.seat.clock.now());
        if let Some(writer) = self.peer.rtc.writer(line.mid) {
            let time = MediaTime::new(ticks, line.rate);
            writer.write(line.pt, at, time, &sound.data[..])?;
        }
        Ok(())
    }
}
