//! Names of topics.

use framewell_model::ChannelId;

/// Longest level made of a name, in characters; the whole topic may have 65,535 bytes.
const MOST_CHARACTERS: usize = 200;

/// Whether topics may begin so (MQTT 3.1.1, section 4.7): no wildcards, no empty levels, not the broker's
/// own tree.
pub(super) fn is_prefix(prefix: &str) -> bool {
    !prefix.starts_with('$')
        && prefix
            .split('/')
            .all(|level| !level.is_empty() && level.chars().all(is_harmless))
}

/// A character that no broker minds. Those that are not characters are refused by some (MQTT 3.1.1,
/// section 1.5.3).
fn is_harmless(character: char) -> bool {
    let is_none = matches!(u32::from(character), 0xFDD0..=0xFDEF)
        || matches!(u32::from(character) & 0xFFFF, 0xFFFE | 0xFFFF);
    !is_none
        && !matches!(character, '+' | '#')
        && !character.is_control()
        && !character.is_whitespace()
}

/// A name as one level of a topic: what is neither letter nor digit nor `-_.` becomes `_`. Names come from
/// anybody, and a broker may close the connection over a single character.
pub(super) fn safe(name: &str) -> String {
    let replace = |character: char| match character {
        '-' | '_' | '.' => character,
        _ if character.is_alphanumeric() => character,
        _ => '_',
    };
    let level: String = name.chars().map(replace).take(MOST_CHARACTERS).collect();
    if level.is_empty() { "_".into() } else { level }
}

/// All topics of this server.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    prefix: String,
}

impl Topics {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    pub(super) fn status(&self) -> String {
        format!("{}/status", self.prefix)
    }

    /// A retained topic of a channel: one of [`CHANNEL_TOPICS`].
    pub(super) fn channel(&self, channel: ChannelId, what: &str) -> String {
        format!("{}/{channel}/{what}", self.prefix)
    }

    pub(super) fn event(&self, channel: ChannelId, name: &str) -> String {
        format!("{}/{channel}/event/{}", self.prefix, safe(name))
    }

    /// As part of ids that Home Assistant keeps.
    pub(super) fn node(&self, channel: ChannelId) -> String {
        let prefix: String = self
            .prefix
            .chars()
            .map(|character| {
                if character.is_ascii_alphanumeric() {
                    character
                } else {
                    '_'
                }
            })
            .collect();
        format!("{prefix}_{channel}")
    }
}

/// What is retained of a channel, and cleared when it is deleted.
pub(super) const CHANNEL_TOPICS: [&str; 4] = ["state", "online", "recording", "last_event"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_level() {
        assert_eq!(safe("a/b+c#d e\n"), "a_b_c_d_e_");
        assert_eq!(safe(""), "_");
        assert_eq!(safe("a-b_c.d"), "a-b_c.d");
        assert_eq!(
            safe("$\u{fdd0}\u{fffe}\u{1ffff}\u{feff}\u{1f6aa}"),
            "______"
        );
        assert!(!is_prefix("a\u{fdd0}") && !is_prefix("a\u{10ffff}"));
        assert_eq!(safe("t\u{fc}r"), "t\u{fc}r");
        assert_eq!(safe(&"x".repeat(1_000)).len(), MOST_CHARACTERS);
        let topics = Topics::new("home/framewell");
        let channel = ChannelId::new(7).unwrap();
        assert_eq!(topics.event(channel, "a/b"), "home/framewell/7/event/a_b");
        assert_eq!(topics.node(channel), "home_framewell_7");
    }
}
