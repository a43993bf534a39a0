//! What a client wants: `rtmp://host[:port]/<app>/<channel>[_<stream>]?ticket=…`, or a token as the stream
//! key.

use framewell_model::{ChannelId, Secret, StreamKind};
use percent_encoding::percent_decode_str;

/// A longer name is none of ours: a channel token has about 350 bytes.
const MAX_NAME: usize = 4_096;

/// A channel and what shall open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `None`: the channel of the token.
    pub channel: Option<ChannelId>,
    /// Ticket or token.
    pub credential: Option<Secret<String>>,
}

impl Target {
    /// From the application of `connect` and the name of `publish` or `play`. Clients cut a URL between
    /// the two in different places, and some leave the query at the application.
    pub fn parse(app: &str, name: &str) -> Option<Self> {
        if app.len() + name.len() > MAX_NAME {
            return None;
        }
        let (app, app_query) = app.split_once('?').unwrap_or((app, ""));
        let (name, name_query) = name.split_once('?').unwrap_or((name, ""));
        let credential = [name_query, app_query].into_iter().find_map(credential);
        let path = format!("{}/{}", app.trim_matches('/'), name.trim_matches('/'));
        let (_app, key) = path.trim_matches('/').split_once('/')?;
        let (stem, stream) = key.split_once('_').unwrap_or((key, ""));
        if let Ok(channel) = stem.parse::<ChannelId>() {
            // Other names of streams are old ones for the main one.
            let stream = StreamKind::from_word(stream).unwrap_or_default();
            return Some(Self {
                channel: Some(channel.of(stream)),
                credential,
            });
        }
        // Base64 has slashes and ends with equals signs, which some clients escape.
        let token = percent_decode_str(key).decode_utf8().ok()?;
        (!token.is_empty()).then(|| Self {
            channel: None,
            credential: Some(Secret::new(token.into_owned())),
        })
    }
}

fn credential(query: &str) -> Option<Secret<String>> {
    let mut members = query.split('&').filter_map(|member| member.split_once('='));
    let (_, value) = members.find(|(name, _)| matches!(*name, "ticket" | "token"))?;
    let text = percent_decode_str(value).decode_utf8().ok()?;
    Some(Secret::new(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(app: &str, name: &str) -> Option<(Option<i64>, Option<String>)> {
        let target = Target::parse(app, name)?;
        let credential = target.credential.map(|text| text.expose().clone());
        Some((target.channel.map(ChannelId::get), credential))
    }

    #[test]
    fn a_channel_is_found_wherever_the_url_is_cut() {
        let expected = Some((Some(7), Some("media.x".to_owned())));
        assert_eq!(opened("app", "7_main?ticket=media.x"), expected);
        assert_eq!(
            opened("app", "7_sub"),
            Some((Some(-7), None)),
            "its sub stream"
        );
        assert_eq!(opened("publish/", "/7?a=b&ticket=media.x"), expected);
        assert_eq!(opened("publish/7", "?ticket=media.x"), expected);
        assert_eq!(opened("publish?ticket=media.x", "7"), expected);
        assert_eq!(opened("live", "7"), Some((Some(7), None)));
        let token = opened("live", "7?token=ab%2Fc%3D");
        assert_eq!(token, Some((Some(7), Some("ab/c=".to_owned()))));
    }

    #[test]
    fn a_token_may_be_the_stream_key() {
        let key = Some((None, Some("eyJ0/b2tl+bg==".to_owned())));
        assert_eq!(opened("publish", "eyJ0/b2tl+bg=="), key);
        assert_eq!(opened("publish", "eyJ0%2Fb2tl+bg%3D%3D"), key);
        assert_eq!(opened("publish/eyJ0", "b2tl+bg=="), key);
    }

    #[test]
    fn other_names_are_not_ours() {
        assert_eq!(opened("app", ""), None);
        assert_eq!(opened("", "7"), None);
        assert_eq!(opened("app", &"x".repeat(5_000)), None);
    }
}
