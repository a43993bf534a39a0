//! One request of RTSP, and the headers that are read here.

use crate::rtsp_stream::read;
use framewell_model::WallTime;
use framewell_wire::rtsp::digest::Answer;
use framewell_wire::rtsp::range::{self, RangeHeader, Unit};
use framewell_wire::rtsp::transport::{self, Transport};
use framewell_wire::rtsp::uri::Target;
use framewell_wire::rtsp::wire::Incoming;

/// Longest request head and body.
const MOST: usize = 16 << 10;

/// Every header of every request is read as each of those that we know.
pub fn run(data: &[u8]) {
    for incoming in read([data].into_iter()).0 {
        let Incoming::Request(request) = incoming else {
            continue;
        };
        assert!(request.body().len() <= MOST);
        if let Some(url) = request.request_uri() {
            check_target(url);
        }
        for (_, value) in request.headers() {
            check_range(value.as_str());
            check_transport(value.as_str());
            check_digest(value.as_str());
        }
    }
}

/// A control URL leads back to what it was made from.
fn check_target(url: &url::Url) {
    let Some(target) = Target::parse(url) else {
        return;
    };
    let Some(track) = target.track else { return };
    let mut base = url.clone();
    if let Ok(mut segments) = base.path_segments_mut() {
        segments.pop_if_empty().pop();
    }
    let control = Target::control_url(&base, track);
    assert_eq!(Target::parse(&control), Some(target), "{control}");
}

/// What is answered can be asked for, and says the same.
fn check_range(text: &str) {
    let Some(header) = RangeHeader::parse(text) else {
        return;
    };
    let zero = WallTime::from_secs(1_700_000_000);
    let moment = |moment: Option<range::Moment>| moment.and_then(|one| one.wall(zero));
    let (Some(start), end) = (moment(header.start), moment(header.end)) else {
        return;
    };
    let answer = range::format(header.unit, zero, start, end);
    let again = RangeHeader::parse(&answer).unwrap_or_else(|| panic!("{answer} for {text}"));
    assert_eq!(again.unit, header.unit);
    assert_eq!(moment(again.start), Some(start), "{answer} for {text}");
    if header.unit == Unit::Clock || end >= Some(zero) {
        assert_eq!(moment(again.end), end, "{answer} for {text}");
    }
}

fn check_transport(text: &str) {
    match transport::choose(text, true) {
        Some(Transport::Interleaved(Some(channel))) => assert!(channel < u8::MAX),
        Some(Transport::Udp { rtp, rtcp }) => assert!(rtp != 0 && rtcp != 0 && rtp != rtcp),
        Some(Transport::Interleaved(None)) | None => {}
    }
    let without_udp = transport::choose(text, false);
    assert!(!matches!(without_udp, Some(Transport::Udp { .. })));
    if let Some(Some(channel)) = transport::choose_record(text) {
        assert!(channel < u8::MAX);
    }
}

/// Nobody guesses a password by luck.
fn check_digest(text: &str) {
    if let Some(answer) = Answer::parse(text) {
        assert!(!answer.is_by("a password that no input holds", "DESCRIBE"));
        assert!(!answer.is_to("a nonce that no input holds"));
    }
}
