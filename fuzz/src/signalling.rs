//! What viewers say: on a data channel, and on the vendor's websocket.

use crate::within;
use framewell_wire::webrtc::control::{self, Wish};
use framewell_wire::webrtc::signalling::{self, Said};

pub fn run(data: &[u8]) {
    let most = (64 << 10) + 16 * data.len();
    match within(most, || control::read(data)) {
        Ok(wishes) => {
            assert!((1..=2).contains(&wishes.len()));
            wishes.iter().for_each(check_wish);
        }
        // Words for a person, not an echo.
        Err(words) => assert!(!words.is_empty() && words.len() < 200),
    }
    if let Ok(text) = str::from_utf8(data)
        && let Said::Answer(description) = within(most, || signalling::read(text))
    {
        assert!(description.len() <= text.len());
        assert!(!signalling::is_greeting(text));
    }
}

fn check_wish(wish: &Wish) {
    match wish {
        Wish::Seek(time, speed) => {
            let said = control::playing(*time, false, *speed).to_string();
            assert!(said.contains(&time.to_rfc3339()));
            assert!((0.1..=16.0).contains(speed));
        }
        Wish::Speed(speed) => assert!((0.1..=16.0).contains(speed)),
        Wish::Live | Wish::Pause(_) => {}
    }
}
