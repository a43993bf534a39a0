//! What the vendor's player says on the websocket that offers it a session (contract section 14).

use serde::Deserialize;

/// Longest message: a session description inside JSON.
pub const MAX_MESSAGE: usize = 128 << 10;

/// What a client says to the publisher, which we are.
#[derive(Debug, Deserialize)]
struct FromClient {
    sdp: Option<Description>,
    // `ice` is not needed: this side is ICE-lite and learns a client's addresses from its checks.
}

#[derive(Debug, Deserialize)]
struct Description {
    #[serde(rename = "type")]
    kind: String,
    sdp: String,
}

/// What a text is, once the client has greeted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The answer to our offer.
    Answer(String),
    /// A description that is no answer.
    OtherDescription,
    /// Nothing that we need to know.
    Nothing,
}

/// Whether a client begins as it has to.
#[must_use]
pub fn is_greeting(text: &str) -> bool {
    text.starts_with("HELLO")
}

/// Reads a text of a client.
#[must_use]
pub fn read(text: &str) -> Said {
    if text.len() > MAX_MESSAGE {
        return Said::Nothing;
    }
    match serde_json::from_str(text) {
        Ok(FromClient {
            sdp: Some(description),
        }) if description.kind == "answer" => Said::Answer(description.sdp),
        Ok(FromClient { sdp: Some(_) }) => Said::OtherDescription,
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_out_of_its_message() {
        let text = r#"{"from":"x","sdp":{"type":"answer","sdp":"v=0\r\n"}}"#;
        assert_eq!(read(text), Said::Answer("v=0\r\n".to_owned()));
        let offer = text.replace("answer", "offer");
        assert_eq!(read(&offer), Said::OtherDescription);
    }

    #[test]
    fn candidates_and_nonsense_are_passed_over() {
        for text in [
            r#"{"ice":{"candidate":"candidate:1 1 udp 1 1.2.3.4 5 typ host"}}"#,
            r#"{"sdp":{"type":"answer"}}"#,
            r#"{"sdp":"answer"}"#,
            "SESSION_OK",
            "",
        ] {
            assert_eq!(read(text), Said::Nothing, "{text}");
        }
        let long = format!(
            r#"{{"sdp":{{"type":"answer","sdp":"{}"}}}}"#,
            "x".repeat(MAX_MESSAGE)
        );
        assert_eq!(read(&long), Said::Nothing);
    }

    #[test]
    fn a_client_begins_with_hello() {
        assert!(is_greeting("HELLO 7 player"));
        assert!(!is_greeting("hello"));
    }
}
