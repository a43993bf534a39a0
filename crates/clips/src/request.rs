//! What a client asks for.

use crate::render::RenderOptions;
use crate::{ClipsConfig, Error};
use framewell_catalog::{CLIP_JOB, CLIP_RENDER_JOB, NewClip};
use framewell_model::{AccountId, ChannelId, TimeRange, WallTime};
use framewell_playback::{ClipOptions, Holes};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Clocks of clients are rarely as good as ours: an end that lies so little in the future is waited for.
const CLOCK_SLACK: Duration = Duration::from_secs(5);
/// Furthest end that is waited for.
const FURTHEST_END: Duration = Duration::from_secs(7 * 86_400);
/// Longest title and group, in characters.
const MAX_TEXT_CHARS: usize = 1_000;

/// A clip to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipRequest {
    /// Whose footage; a sub stream by its own number.
    pub channel: ChannelId,
    /// First instant.
    pub start: WallTime,
    /// Last instant.
    pub end: WallTime,
    /// For people; may be empty.
    pub title: String,
    /// Free text of the client.
    pub group: Option<String>,
    /// The instant that it is about.
    pub event_time: Option<WallTime>,
    /// When it goes by itself.
    pub delete_at: Option<WallTime>,
    /// The range may lie in the future, or its footage may come later.
    pub wait_for_data: bool,
    /// What becomes of holes, and whether footage that is lost is an error.
    pub making: ClipOptions,
    /// How it is encoded anew; `None`: it is copied.
    pub render: Option<RenderOptions>,
}

/// [`NewClip::options`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Options {
    /// The job waits for footage.
    #[serde(default)]
    pub(crate) wait: bool,
    /// It is encoded anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) render: Option<RenderOptions>,
    /// It fails where footage is lost.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) strict: bool,
    /// Holes take their time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) keep: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Options {
    pub(crate) const fn making(&self) -> ClipOptions {
        ClipOptions {
            holes: match self.keep {
                true => Holes::Keep,
                false => Holes::Collapse,
            },
            is_strict: self.strict,
        }
    }
}

impl ClipRequest {
    /// Refuses what makes no sense.
    pub(crate) fn check(
        self,
        account: AccountId,
        config: &ClipsConfig,
        now: WallTime,
    ) -> Result<NewClip, Error> {
        let range = TimeRange::new(self.start, self.end)
            .filter(|range| range.micros() > 0)
            .ok_or_else(|| Error::Invalid("end must lie after start".into()))?;
        let longest = match &self.render {
            Some(render) => {
                render.check()?;
                config.max_rendered.min(config.max_length)
            }
            None => config.max_length,
        };
        let most_s = longest.as_secs();
        if range.micros() > i64::try_from(longest.as_micros()).unwrap_or(i64::MAX) {
            let asked_s = (range.micros() - 1) / 1_000_000 + 1;
            let text =
                format!("a stored clip of {asked_s} s is longer than the limit of {most_s} s");
            return Err(Error::Invalid(text));
        }
        check_future(range.end, self.wait_for_data, now)?;
        if self.delete_at.is_some_and(|at| at <= now) {
            return Err(Error::Invalid("delete_at lies in the past".into()));
        }
        check_text("title", &self.title)?;
        check_text("group", self.group.as_deref().unwrap_or_default())?;
        let keep = self.making.holes == Holes::Keep;
        if keep && self.render.is_some() {
            let text = "gaps=keep is for clips that are copied: what is encoded anew has no holes";
            return Err(Error::Invalid(text.into()));
        }
        let options = Options {
            wait: self.wait_for_data,
            render: self.render,
            strict: self.making.is_strict,
            keep,
        };
        Ok(NewClip {
            account,
            channel: self.channel,
            title: self.title,
            group: self.group,
            range,
            event_time: self.event_time,
            delete_at: self.delete_at,
            options: serde_json::to_value(options)
                .map_err(|error| Error::Invalid(error.to_string()))?,
            job_kind: match self.render {
                Some(_) => CLIP_RENDER_JOB,
                None => CLIP_JOB,
            },
        })
    }
}

fn check_future(end: WallTime, is_waited_for: bool, now: WallTime) -> Result<(), Error> {
    let ahead_s = end.micros_since(now) / 1_000_000;
    if !is_waited_for && end > now + CLOCK_SLACK {
        let text = format!("end lies {ahead_s} s in the future: wait_for_data waits for it");
        return Err(Error::Invalid(text));
    }
    if end > now + FURTHEST_END {
        let most_s = FURTHEST_END.as_secs();
        let text = format!("end lies {ahead_s} s in the future, at most {most_s} s are waited for");
        return Err(Error::Invalid(text));
    }
    Ok(())
}

/// Refuses texts that are too long.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), Error> {
    if text.chars().count() > MAX_TEXT_CHARS {
        let text = format!("{what} is longer than {MAX_TEXT_CHARS} characters");
        return Err(Error::Invalid(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_secs(1_000_000);

    fn request(start: i64, end: i64) -> ClipRequest {
        ClipRequest {
            channel: ChannelId::new(7).unwrap(),
            start: WallTime::from_secs(NOW.secs() + start),
            end: WallTime::from_secs(NOW.secs() + end),
            title: String::new(),
            group: None,
            event_time: None,
            delete_at: None,
            wait_for_data: false,
            making: ClipOptions::default(),
            render: None,
        }
    }

    fn check(request: ClipRequest) -> Result<NewClip, String> {
        let config = ClipsConfig {
            max_length: Duration::from_secs(60),
            ..ClipsConfig::default()
        };
        let account = AccountId::new(1).unwrap();
        let checked = request.check(account, &config, NOW);
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn nonsense_is_refused_with_the_limit() {
        assert!(check(request(-60, 0)).is_ok());
        let refused = |request, part: &str| {
            let text = check(request).unwrap_err();
            assert!(text.contains(part), "{text}");
        };
        refused(request(-10, -10), "end must lie after start");
        refused(request(-10, -20), "end must lie after start");
        refused(request(-61, 0), "61 s is longer than the limit of 60 s");
        refused(request(-10, 30), "30 s in the future");
        let late = ClipRequest {
            delete_at: Some(NOW),
            ..request(-10, 0)
        };
        refused(late, "delete_at");
        let long = ClipRequest {
            title: "x".repeat(1_001),
            ..request(-10, 0)
        };
        refused(long, "1000 characters");
    }

    #[test]
    fn the_future_is_waited_for_if_asked_or_if_it_is_near() {
        assert!(check(request(-10, 5)).is_ok());
        let waiting = |end| ClipRequest {
            wait_for_data: true,
            ..request(end - 10, end)
        };
        let new = check(waiting(3_600)).unwrap();
        assert_eq!(new.options, serde_json::json!({"wait": true}));
        assert!(check(waiting(8 * 86_400)).is_err());
    }

    #[test]
    fn how_a_clip_is_made_is_written_down_and_read_again() {
        let making = ClipOptions {
            holes: Holes::Keep,
            is_strict: true,
        };
        let wanted = ClipRequest {
            making,
            ..request(-10, 0)
        };
        let new = check(wanted.clone()).unwrap();
        assert_eq!(
            new.options,
            serde_json::json!({"wait": false, "strict": true, "keep": true})
        );
        let read: Options = serde_json::from_value(new.options).unwrap();
        assert_eq!(read.making(), making);
        let rendered = ClipRequest {
            render: Some(RenderOptions::default()),
            ..wanted
        };
        assert!(check(rendered).unwrap_err().contains("gaps=keep"));
        let before: Options = serde_json::from_value(serde_json::json!({})).unwrap();
        assert_eq!(before.making(), ClipOptions::default());
    }
}
