//! The one place where object keys are made.

use framewell_model::{ChannelId, ClipObjectId, ImageObjectId, SegmentId, WallTime};

/// Names an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// A recorded segment: `seg/<channel>/<yyyy-mm-dd>/<hh>/<segment uuid>.mp4`; of a sub stream
    /// `seg/<channel>-sub/…`.
    Segment {
        /// Whose footage.
        channel: ChannelId,
        /// Capture time of its first picture: spreads objects over folders by day and hour.
        start: WallTime,
        /// Identity.
        id: SegmentId,
    },
    /// A stored picture: `img/<channel>/<yyyy-mm-dd>/<hh>/<object uuid>.jpg`.
    Image {
        /// Whose picture.
        channel: ChannelId,
        /// Its capture time: spreads objects over folders by day and hour.
        time: WallTime,
        /// Identity.
        id: ImageObjectId,
    },
    /// A stored clip: `clip/<channel>/<yyyy-mm-dd>/<hh>/<object uuid>.mp4`.
    Clip {
        /// Whose clip.
        channel: ChannelId,
        /// The start that was asked for: spreads objects over folders by day and hour.
        time: WallTime,
        /// Identity.
        id: ClipObjectId,
    },
    /// Its thumbnail, beside it: `….jpg`.
    ClipThumb {
        /// Whose clip.
        channel: ChannelId,
        /// As in [`ObjectKey::Clip`].
        time: WallTime,
        /// That of the clip.
        id: ClipObjectId,
    },
}

impl ObjectKey {
    /// The key as text, `/`-separated, relative.
    ///
    /// It is made of numbers, a date and a UUID only, so no input can make it leave the store.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Segment { channel, start, id } => {
                format!("seg/{channel}/{}/{id}.mp4", day_and_hour(*start))
            }
            Self::Image { channel, time, id } => {
                format!("img/{channel}/{}/{id}.jpg", day_and_hour(*time))
            }
            Self::Clip { channel, time, id } => {
                format!("clip/{channel}/{}/{id}.mp4", day_and_hour(*time))
            }
            Self::ClipThumb { channel, time, id } => {
                format!("clip/{channel}/{}/{id}.jpg", day_and_hour(*time))
            }
        }
    }

    /// The key of a segment whose path this is, with the full hour as its start; `None` for other names.
    pub(crate) fn parse_segment(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let ["seg", channel, day, hour, name] = parts.as_slice() else {
            return None;
        };
        let key = Self::Segment {
            channel: ChannelId::parse_stored(channel)?,
            start: format!("{day}T{hour}:00:00Z").parse().ok()?,
            id: name.strip_suffix(".mp4")?.parse().ok()?,
        };
        // Numbers and UUIDs have other spellings, which would name another object.
        (key.path() == path).then_some(key)
    }
}

/// `yyyy-mm-dd/hh` in UTC.
fn day_and_hour(time: WallTime) -> String {
    let text = time.to_naive_text();
    let (day, clock) = text.split_once('T').unwrap_or((&text, ""));
    let hour = clock.split(':').next().unwrap_or_default();
    format!("{day}/{hour}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Component, Path};
    use uuid::Uuid;

    fn key(start: WallTime) -> ObjectKey {
        ObjectKey::Segment {
            channel: ChannelId::new(7).unwrap(),
            start,
            id: SegmentId::from_uuid(Uuid::from_u128(0x1234)),
        }
    }

    #[test]
    fn a_segment_lies_under_its_channel_day_and_hour_in_utc() {
        assert_eq!(
            key("2024-05-01T12:20:30.5+02:00".parse().unwrap()).path(),
            "seg/7/2024-05-01/10/00000000-0000-0000-0000-000000001234.mp4"
        );
    }

    #[test]
    fn a_segment_is_found_by_its_path_and_nothing_else_is() {
        let path = key("2024-05-01T12:20:30.5+02:00".parse().unwrap()).path();
        let sub = path.replace("seg/7", "seg/7-sub");
        let found = ObjectKey::parse_segment(&sub).unwrap();
        assert_eq!(found.path(), sub);
        let found = ObjectKey::parse_segment(&path).unwrap();
        assert_eq!(found, key("2024-05-01T10:00:00Z".parse().unwrap()));
        assert_eq!(found.path(), path);
        for other in [
            path.replace("seg/7", "seg/07"),
            path.replace("seg", "img"),
            path.replace("/10/", "/25/"),
            format!("{path}.part"),
            path.to_uppercase(),
            "seg".to_owned(),
        ] {
            assert_eq!(ObjectKey::parse_segment(&other), None, "{other}");
        }
    }

    #[test]
    fn a_picture_lies_beside_the_segments() {
        let picture = ObjectKey::Image {
            channel: ChannelId::new(7).unwrap(),
            time: "2024-05-01T10:20:30Z".parse().unwrap(),
            id: ImageObjectId::from_uuid(Uuid::from_u128(0x1234)),
        };
        assert_eq!(
            picture.path(),
            "img/7/2024-05-01/10/00000000-0000-0000-0000-000000001234.jpg"
        );
    }

    #[test]
    fn no_time_makes_a_key_that_leaves_the_store() {
        for micros in [i64::MIN, -1, 0, 250_000_000_000_000_000, i64::MAX] {
            let path = key(WallTime::from_micros(micros)).path();
            let parts: Vec<_> = Path::new(&path).components().collect();
            assert_eq!(parts.len(), 5, "{path}");
            assert!(
                parts
                    .iter()
                    .all(|part| matches!(part, Component::Normal(_)))
            );
            assert_eq!(
                object_store::path::Path::from(path.as_str()).as_ref(),
                path,
                "the store must not escape anything"
            );
        }
    }
}
