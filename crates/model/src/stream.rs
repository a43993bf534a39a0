//! The streams of a camera, and how a channel id says which one is meant.

use crate::ChannelId;
use std::fmt;

/// One encoded output of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum StreamKind {
    /// What is meant where nothing is said.
    #[default]
    Main,
    /// The same view, usually smaller.
    Sub,
}

impl StreamKind {
    /// The word in URLs and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Main, Self::Sub]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A sub stream has the negative number of its channel. Whatever is kept by channel id (rings, segments,
/// gaps, chains, caches) is kept apart by stream, then, without a word; and no client can name one, since
/// [`ChannelId::new`] and `parse` take numbers from 1 on.
impl ChannelId {
    /// The same channel's other stream, or the same one.
    #[must_use]
    pub const fn of(self, stream: StreamKind) -> Self {
        let main = self.main();
        match stream {
            StreamKind::Main => main,
            StreamKind::Sub => Self::from_number(-main.get()),
        }
    }

    /// Which stream this is.
    #[must_use]
    pub const fn stream(self) -> StreamKind {
        if self.get() < 0 {
            StreamKind::Sub
        } else {
            StreamKind::Main
        }
    }

    /// The channel itself, whose number clients know: the main stream.
    #[must_use]
    pub const fn main(self) -> Self {
        Self::from_number(self.get().abs())
    }

    /// A number out of our own tables and files; `None` for 0 and what has no opposite.
    #[must_use]
    pub const fn stored(number: i64) -> Option<Self> {
        match Self::new(number) {
            Some(main) => Some(main),
            None if number == 0 || number == i64::MIN => None,
            None => Some(Self::from_number(number)),
        }
    }

    /// Reads what `Display` writes: `7`, or `7-sub`. For our own names of files, objects and ticketed URLs.
    #[must_use]
    pub fn parse_stored(text: &str) -> Option<Self> {
        match text.strip_suffix("-sub") {
            None => text.parse().ok(),
            Some(main) => Some(main.parse::<Self>().ok()?.of(StreamKind::Sub)),
        }
    }
}

/// `7`, and `7-sub` for its sub stream.
impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stream() {
            StreamKind::Main => self.get().fmt(f),
            StreamKind::Sub => write!(f, "{}-sub", self.main().get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_stream_is_told_from_its_channel_everywhere_and_leads_back_to_it() {
        let main = ChannelId::new(7).unwrap();
        let sub = main.of(StreamKind::Sub);
        assert_ne!(main, sub);
        assert_eq!(
            (sub.stream(), main.stream()),
            (StreamKind::Sub, StreamKind::Main)
        );
        assert_eq!((sub.main(), main.main()), (main, main));
        assert_eq!(
            (sub.of(StreamKind::Sub), sub.of(StreamKind::Main)),
            (sub, main)
        );
        assert_eq!(
            (sub.to_string(), main.to_string()),
            ("7-sub".into(), "7".into())
        );
        for id in [main, sub] {
            assert_eq!(ChannelId::parse_stored(&id.to_string()), Some(id));
            assert_eq!(ChannelId::stored(id.get()), Some(id));
        }
    }

    #[test]
    fn no_client_can_name_a_sub_stream() {
        assert!("7-sub".parse::<ChannelId>().is_err());
        assert!("-7".parse::<ChannelId>().is_err());
        assert!(ChannelId::new(-7).is_none());
        assert!(serde_json::from_str::<ChannelId>("-7").is_err());
        assert!(serde_json::from_str::<ChannelId>("0").is_err());
        for text in ["-7-sub", "07-sub-sub", "-sub", "0-sub", "-7", ""] {
            assert_eq!(ChannelId::parse_stored(text), None, "{text}");
        }
        assert_eq!(
            (ChannelId::stored(0), ChannelId::stored(i64::MIN)),
            (None, None)
        );
    }

    #[test]
    fn words_survive_the_round_trip() {
        for kind in [StreamKind::Main, StreamKind::Sub] {
            assert_eq!(StreamKind::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!(StreamKind::from_word("third"), None);
    }
}
