//! Session descriptions: of publishers over RTSP, and offers of WebRTC.

use crate::within;
use framewell_media::{VideoCodec, VideoParameters};
use framewell_wire::rtsp::announced::{self, Coding};
use framewell_wire::webrtc::offer::Offer;

/// Longest description that is read in the server.
const MOST: usize = 64 << 10;

pub fn run(data: &[u8]) {
    if data.len() > MOST {
        return;
    }
    let most = (256 << 10) + 256 * data.len();
    if let Some(streams) = within(most, || announced::read(data)) {
        assert!((1..=2).contains(&streams.len()));
        for stream in streams {
            match stream.coding {
                Coding::Video(codec, Some(video)) => check_video(codec, &video),
                Coding::Video(_, None) => {}
                Coding::Audio(audio) => {
                    assert!((1_000..=192_000).contains(&audio.sample_rate));
                    assert!((1..=8).contains(&audio.channels));
                }
            }
        }
    }
    if let Ok(text) = str::from_utf8(data) {
        check_offer(text, most);
    }
}

/// The record holds the sets that it was made from.
fn check_video(codec: VideoCodec, video: &VideoParameters) {
    let again = VideoParameters::from_parameter_sets(codec, &video.parameter_sets());
    assert_eq!(again.as_ref(), Ok(video));
}

fn check_offer(text: &str, most: usize) {
    let offer = within(most, || Offer::read(text));
    let names = offer.video_names();
    assert!(names.is_sorted());
    for (_, format) in offer.sendable_video() {
        assert!(format.payload_type < 128 && format.profile_level_id() <= 0xff_ff_ff);
        assert!(format.resend.is_none_or(|resend| resend < 128));
    }
    assert_eq!(Offer::read(text), offer);
}
