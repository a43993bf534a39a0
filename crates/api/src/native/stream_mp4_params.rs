//! What a client may ask of a stream of fragments.

use super::instant;
use crate::error::ApiError;
use crate::params::Params;
use framewell_model::WallTime;
use framewell_playback::Beginning;
use framewell_playback::fragments::{Request, Tracks};
use framewell_playback::pace::Speed;

/// Least and most times as fast as it was captured.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.01..=1_000.0;

pub(super) fn read_tracks(params: &Params) -> Result<Tracks, ApiError> {
    match params.get("tracks") {
        None | Some("" | "both") => Ok(Tracks::Both),
        Some("video") => Ok(Tracks::Video),
        Some("audio") => Ok(Tracks::Audio),
        Some(_) => Err(ApiError::invalid("tracks is video, audio or both")),
    }
}

fn read_speed(text: &str) -> Result<Speed, ApiError> {
    if text == "max" {
        return Ok(Speed::Unpaced);
    }
    let speed = text.parse::<f64>().ok();
    let speed = speed.filter(|speed| SPEEDS.contains(speed));
    speed.map(Speed::Times).ok_or_else(|| {
        let (least, most) = (SPEEDS.start(), SPEEDS.end());
        ApiError::invalid(format!("speed is max or a number from {least} to {most}"))
    })
}

pub(super) fn read_request(params: &Params, now: WallTime) -> Result<Request, ApiError> {
    let tracks = read_tracks(params)?;
    let from = instant(params, "from", now)?.map(Beginning::Time);
    let cursor = match params.get("cursor").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(Beginning::Cursor(text.parse().map_err(|_| {
            ApiError::invalid("the cursor is none of ours: take it from a fragment as it is")
        })?)),
    };
    if from.is_some() && cursor.is_some() {
        return Err(ApiError::invalid("from and cursor exclude each other"));
    }
    let from = from.or(cursor);
    let to = instant(params, "to", now)?;
    let speed = params.get("speed").map(read_speed).transpose()?;
    let Some(from) = from else {
        if to.is_some() || speed.is_some() {
            return Err(ApiError::invalid(
                "to and speed need from or cursor: live video has no other speed than its own",
            ));
        }
        return Ok(Request {
            tracks,
            from: None,
            to: None,
            speed: Speed::Unpaced,
        });
    };
    if let (Beginning::Time(from), Some(to)) = (from, to)
        && to <= from
    {
        return Err(ApiError::invalid("from is not before to"));
    }
    let usual = match to {
        Some(_) => Speed::Times(1.0),
        None => Speed::Unpaced,
    };
    Ok(Request {
        tracks,
        from: Some(from),
        to,
        speed: speed.unwrap_or(usual),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Request, ApiError> {
        read_request(&Params::parse(Some(query)), WallTime::from_secs(1_000))
    }

    #[test]
    fn without_a_beginning_it_is_live() {
        let live = read("").unwrap();
        assert_eq!(
            (live.from, live.to, live.tracks),
            (None, None, Tracks::Both)
        );
        assert_eq!(read("tracks=video").unwrap().tracks, Tracks::Video);
    }

    #[test]
    fn a_look_back_hurries_and_a_range_is_played() {
        let back = read("from=-30s").unwrap();
        let start = WallTime::from_secs(970);
        assert_eq!(back.from, Some(Beginning::Time(start)));
        assert_eq!((back.to, back.speed), (None, Speed::Unpaced));
        let range = read("from=-30s&to=-10s&tracks=audio").unwrap();
        assert_eq!(range.to, Some(WallTime::from_secs(990)));
        assert_eq!(
            (range.speed, range.tracks),
            (Speed::Times(1.0), Tracks::Audio)
        );
        let fast = read("from=-30s&to=-10s&speed=max").unwrap();
        assert_eq!(fast.speed, Speed::Unpaced);
        assert_eq!(
            read("from=-30s&speed=0.5").unwrap().speed,
            Speed::Times(0.5)
        );
    }

    #[test]
    fn absurd_wishes_are_refused_with_what_is_wrong() {
        for (query, word) in [
            ("tracks=all", "tracks"),
            ("from=yesterday", "from"),
            ("from=-30s&to=-40s", "before"),
            ("from=-30s&cursor=1.2.3.4.5", "cursor"),
            ("cursor=latest", "cursor"),
            ("from=-30s&speed=0", "0.01"),
            ("from=-30s&speed=-1", "speed"),
            ("from=-30s&speed=nan", "speed"),
            ("from=-30s&speed=1e9", "1000"),
            ("speed=2", "from"),
            ("to=%2B10s", "from"),
        ] {
            let error = read(query).unwrap_err();
            assert_eq!(error.status.as_u16(), 400, "{query}");
            assert!(error.message.contains(word), "{query}: {}", error.message);
        }
    }
}
