//! From what a camera notifies to events: a state raises one when it begins, not with every repetition.

use crate::onvif::{Notification, Property};
use framewell_model::{ChannelId, EventSource, NewEvent, WallTime};
use std::collections::{BTreeMap, HashMap};

/// States that are remembered of one camera; more are not followed.
const MAX_STATES: usize = 256;
/// Most events of one camera in a minute.
const MAX_A_MINUTE: u32 = 120;
const MINUTE_US: i64 = 60_000_000;
/// A camera's clock is believed if it is this near to ours.
const CLOCK_US: i64 = 10_000_000;

/// Names that the compatible API knows, by the end of a topic.
const NAMES: [(&str, &str); 9] = [
    ("CellMotionDetector/Motion", "motion"),
    ("MotionRegionDetector/Motion", "motion"),
    ("VideoSource/MotionAlarm", "motion"),
    ("LineDetector/Crossed", "line_crossing"),
    ("FieldDetector/ObjectsInside", "intrusion"),
    ("Audio/DetectedSound", "sound"),
    ("TamperDetector/Tamper", "tamper"),
    ("GlobalSceneChange/ImagingService", "tamper"),
    ("Trigger/DigitalInput", "digital_input"),
];
/// Events of rules that have no name of their own here.
const OTHER_RULE: &str = "camera_rule";

/// What is known of one camera.
#[derive(Debug)]
pub(crate) struct OnvifEvents {
    channel: ChannelId,
    states: HashMap<(String, BTreeMap<String, String>), bool>,
    minute: WallTime,
    in_minute: u32,
}

impl OnvifEvents {
    pub(crate) fn new(channel: ChannelId) -> Self {
        Self {
            channel,
            states: HashMap::new(),
            minute: WallTime::from_micros(0),
            in_minute: 0,
        }
    }

    /// The event that this is; `None` if it is none, or no news.
    pub(crate) fn take(&mut self, said: Notification, arrival: WallTime) -> Option<NewEvent> {
        let name = name(&said.topic)?;
        if !self.is_news(&said) || !self.is_in_bounds(arrival) {
            return None;
        }
        let time = said
            .time
            .filter(|time| time.micros_since(arrival).abs() <= CLOCK_US);
        let mut tags: BTreeMap<String, String> = said.source;
        tags.extend(said.data);
        tags.insert("topic".to_owned(), said.topic);
        Some(NewEvent {
            channel: self.channel,
            name: name.to_owned(),
            time: time.unwrap_or(arrival),
            source: EventSource::Camera,
            tags,
        })
    }

    /// Something that just happens always is; a state is when it begins.
    fn is_news(&mut self, said: &Notification) -> bool {
        let Some(property) = said.property else {
            return is_on(&said.data).unwrap_or(true);
        };
        let key = (said.topic.clone(), said.source.clone());
        let on = match property {
            Property::Deleted => {
                self.states.remove(&key);
                return false;
            }
            Property::Is => is_on(&said.data).unwrap_or(false),
        };
        if !self.states.contains_key(&key) && self.states.len() >= MAX_STATES {
            return false;
        }
        let was = self.states.insert(key, on).unwrap_or(false);
        on && !was
    }

    fn is_in_bounds(&mut self, now: WallTime) -> bool {
        if now.micros_since(self.minute).abs() >= MINUTE_US {
            (self.minute, self.in_minute) = (now, 0);
        }
        self.in_minute = self.in_minute.saturating_add(1);
        if self.in_minute == MAX_A_MINUTE + 1 {
            tracing::warn!(channel.id = %self.channel, "more than {MAX_A_MINUTE} events of the camera in a minute: the others are dropped");
        }
        self.in_minute <= MAX_A_MINUTE
    }
}

/// `None` for what nobody asked a camera to look for, such as its temperature.
fn name(topic: &str) -> Option<&'static str> {
    let known = NAMES.iter().find(|(end, _)| topic.ends_with(end));
    let other = topic.starts_with("RuleEngine/").then_some(OTHER_RULE);
    known.map(|(_, name)| *name).or(other)
}

/// The value of a state; `None` if no item is one.
fn is_on(data: &BTreeMap<String, String>) -> Option<bool> {
    data.values()
        .find_map(|value| match value.as_str() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            // Booleans of XML Schema are numbers, too; only the names that states have are taken for them.
            _ => None,
        })
        .or_else(|| {
            let state = [
                "IsMotion",
                "State",
                "IsInside",
                "IsTamper",
                "IsSoundDetected",
                "LogicalState",
            ];
            let value = state.iter().find_map(|name| data.get(*name))?;
            match value.as_str() {
                "1" => Some(true),
                "0" => Some(false),
                _ => None,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_micros(1_714_558_805_000_000);

    fn events() -> OnvifEvents {
        OnvifEvents::new(ChannelId::new(1).unwrap())
    }

    fn pairs(items: &[(&str, &str)]) -> BTreeMap<String, String> {
        let items = items.iter();
        items
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn motion(rule: &str, value: &str) -> Notification {
        Notification {
            topic: "RuleEngine/CellMotionDetector/Motion".to_owned(),
            time: Some(NOW.plus_micros(-1_000_000)),
            property: Some(Property::Is),
            source: pairs(&[("Rule", rule)]),
            data: pairs(&[("IsMotion", value)]),
        }
    }

    #[test]
    fn a_state_is_an_event_when_it_begins_at_each_place() {
        let mut events = events();
        assert_eq!(events.take(motion("a", "false"), NOW), None);
        let begun = events.take(motion("a", "true"), NOW).unwrap();
        assert_eq!(begun.name, "motion");
        assert_eq!(begun.time, NOW.plus_micros(-1_000_000));
        assert_eq!(begun.source, EventSource::Camera);
        assert_eq!(begun.tags["Rule"], "a");
        assert_eq!(begun.tags["topic"], "RuleEngine/CellMotionDetector/Motion");
        assert_eq!(events.take(motion("a", "true"), NOW), None, "it goes on");
        assert!(events.take(motion("b", "1"), NOW).is_some(), "elsewhere");
        assert_eq!(events.take(motion("a", "false"), NOW), None);
        assert!(events.take(motion("a", "true"), NOW).is_some(), "again");
    }

    #[test]
    fn a_state_that_was_deleted_begins_anew() {
        let mut events = events();
        assert!(events.take(motion("a", "true"), NOW).is_some());
        let deleted = Notification {
            property: Some(Property::Deleted),
            ..motion("a", "true")
        };
        assert_eq!(events.take(deleted, NOW), None);
        assert!(events.take(motion("a", "true"), NOW).is_some());
    }

    #[test]
    fn a_clock_that_is_wrong_by_a_year_is_not_believed() {
        let wrong = Notification {
            time: Some(NOW.plus_micros(-31_536_000_000_000)),
            ..motion("a", "true")
        };
        assert_eq!(events().take(wrong, NOW).unwrap().time, NOW);
    }

    #[test]
    fn a_crossed_line_is_one_event_each_time_and_a_temperature_none() {
        let crossed = Notification {
            topic: "RuleEngine/LineDetector/Crossed".to_owned(),
            data: pairs(&[("ObjectId", "0")]),
            ..Notification::default()
        };
        let mut events = events();
        for _ in 0..2 {
            let event = events.take(crossed.clone(), NOW).unwrap();
            assert_eq!(event.name, "line_crossing");
            assert_eq!(event.tags["ObjectId"], "0");
        }
        let temperature = Notification {
            topic: "Monitoring/Temperature".to_owned(),
            data: pairs(&[("Value", "1")]),
            ..Notification::default()
        };
        assert_eq!(events.take(temperature, NOW), None);
    }

    #[test]
    fn a_flood_is_cut_off_and_ends_with_its_minute() {
        let crossed = Notification {
            topic: "RuleEngine/LineDetector/Crossed".to_owned(),
            ..Notification::default()
        };
        let mut events = events();
        let stored = (0..1_000).filter(|_| events.take(crossed.clone(), NOW).is_some());
        assert_eq!(stored.count(), 120);
        let later = NOW.plus_micros(MINUTE_US);
        assert!(events.take(crossed, later).is_some());
        for place in 0..1_000 {
            let _new = events.take(motion(&place.to_string(), "true"), later);
        }
        assert_eq!(events.states.len(), MAX_STATES);
    }
}
