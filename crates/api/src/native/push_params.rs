//! What a request for a push says.

use super::{instant, picture_params, read_span};
use crate::error::ApiError;
use crate::params::Params;
use framewell_imaging::{Delivery, LiveRequest, Match, Output, PictureFormat};
use framewell_model::{ChannelId, WallTime};
use std::ops::RangeInclusive;

/// Pictures that may wait with `delivery=bounded`.
const BUFFER: RangeInclusive<usize> = 1..=1_000;
/// How many wait if nobody says.
const USUAL_BUFFER: usize = 8;

/// Reads all but the window.
pub(crate) fn read(
    params: &Params,
    channel: ChannelId,
    now: WallTime,
) -> Result<LiveRequest, ApiError> {
    for rule in ["count", "scene", "max_images", "max_bytes", "max_pixels"] {
        if params.get(rule).is_some() {
            let text = format!("{rule} needs an end: say to= as well");
            return Err(ApiError::invalid(text));
        }
    }
    let (output, matching) = form(params)?;
    let is_keys_only = match matching {
        Match::Exact => params.flag("keyframes")?,
        Match::Keyframe => true,
        _ => return Err(ApiError::invalid("match is not exact or keyframe")),
    };
    let (from, until) = ends(params, now)?;
    Ok(LiveRequest {
        channel,
        from,
        until,
        fps: rate(params)?,
        is_keys_only,
        output,
        delivery: delivery(params)?,
    })
}

/// Where a push begins, if before now, and where it ends, if it does.
pub(crate) fn ends(
    params: &Params,
    now: WallTime,
) -> Result<(Option<WallTime>, Option<WallTime>), ApiError> {
    let (from, until) = (instant(params, "from", now)?, instant(params, "to", now)?);
    if from.is_some_and(|from| from > now) {
        return Err(ApiError::invalid("from lies in the future"));
    }
    if until.is_some_and(|until| until <= from.unwrap_or(now)) {
        return Err(ApiError::invalid("to is not behind from"));
    }
    Ok((from, until))
}

/// How many pictures may be on their way to a client that says what it has got (`ack`).
pub(crate) fn window(params: &Params) -> Result<Option<u64>, ApiError> {
    match params.number::<u64>("window")? {
        Some(window) if !(1..=1_000).contains(&window) => {
            Err(ApiError::invalid("window is not between 1 and 1000"))
        }
        window => Ok(window),
    }
}

/// As for a single picture, and raw pixels.
pub(crate) fn form(params: &Params) -> Result<(Output, Match), ApiError> {
    let raw = match params.get("format") {
        Some("nv12") => Some(PictureFormat::Nv12),
        Some("rgb24") => Some(PictureFormat::Rgb24),
        _ => None,
    };
    let own = params.get("max_image_bytes").unwrap_or_default().to_owned();
    let mut replaced = vec![("max_bytes", own)];
    if raw.is_some() {
        replaced.push(("format", String::new()));
    }
    let form = picture_params::read(&Params::parse(Some(&params.with(&replaced))))?;
    let output = Output {
        format: raw.unwrap_or(form.output.format),
        ..form.output
    };
    output.check().map_err(ApiError::invalid)?;
    Ok((output, form.matching))
}

/// `fps` or `every`; neither is every picture.
fn rate(params: &Params) -> Result<Option<f64>, ApiError> {
    let given = |name| params.get(name).filter(|text: &&str| !text.is_empty());
    match (given("fps"), given("every")) {
        (Some(_), Some(_)) => Err(ApiError::invalid("fps and every exclude each other")),
        (None | Some("native"), None) => Ok(None),
        (Some(fps), None) => {
            let fps = fps
                .parse::<f64>()
                .ok()
                .filter(|fps| framewell_imaging::Grid::new(*fps).is_some());
            let bad =
                || ApiError::invalid("fps is neither native nor a number from 0.00001 to 1000");
            fps.map(Some).ok_or_else(bad)
        }
        (None, Some(every)) => {
            let us = read_span(every).filter(|us| (1_000..=100_000_000_000).contains(us));
            let bad =
                || ApiError::invalid("every is not a span from 1ms to 27h such as 500ms or 5s");
            #[expect(clippy::cast_precision_loss, reason = "at most 10^11")]
            us.map(|us| Some(1e6 / us as f64)).ok_or_else(bad)
        }
    }
}

fn delivery(params: &Params) -> Result<Delivery, ApiError> {
    let buffer = params.number::<usize>("buffer")?;
    if buffer.is_some_and(|buffer| !BUFFER.contains(&buffer)) {
        return Err(ApiError::invalid("buffer is not between 1 and 1000"));
    }
    match (params.get("delivery"), buffer) {
        (None | Some("" | "latest"), None) => Ok(Delivery::Latest),
        (Some("bounded"), buffer) => Ok(Delivery::Bounded(buffer.unwrap_or(USUAL_BUFFER))),
        (Some("all"), None) => Ok(Delivery::All),
        (None | Some("" | "latest" | "all"), Some(_)) => {
            Err(ApiError::invalid("buffer goes with delivery=bounded"))
        }
        (Some(_), _) => Err(ApiError::invalid("delivery is not latest, bounded or all")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str) -> Result<LiveRequest, ApiError> {
        let channel = "7".parse().unwrap();
        read(
            &Params::parse(Some(query)),
            channel,
            WallTime::from_secs(1_000_000),
        )
    }

    #[test]
    fn what_is_not_said_has_a_sensible_value() {
        let all = request("").unwrap();
        assert_eq!((all.fps, all.from, all.until), (None, None, None));
        assert_eq!((all.delivery, all.is_keys_only), (Delivery::Latest, false));
        assert_eq!(all.output, Output::jpeg(80));
        let own =
            request("fps=2.5&from=-8s&format=nv12&width=448&delivery=bounded&buffer=3").unwrap();
        assert_eq!((own.fps, own.delivery), (Some(2.5), Delivery::Bounded(3)));
        assert_eq!(own.from, Some(WallTime::from_secs(999_992)));
        assert_eq!(
            (own.output.format, own.output.width),
            (PictureFormat::Nv12, Some(448))
        );
        assert_eq!(request("every=5s").unwrap().fps, Some(0.2));
        assert!(request("keyframes=true").unwrap().is_keys_only);
        assert!(request("match=keyframe&fps=1").unwrap().is_keys_only);
        assert_eq!(
            request("delivery=all&to=%2B2s").unwrap().delivery,
            Delivery::All
        );
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (query, word) in [
            ("fps=0", "fps"),
            ("fps=-2", "fps"),
            ("fps=1e9", "1000"),
            ("fps=x", "fps"),
            ("every=0s", "every"),
            ("every=5s&fps=1", "exclude"),
            ("count=9", "to="),
            ("scene=0.1", "to="),
            ("width=3", "width"),
            ("format=gif", "format"),
            ("format=nv12&max_image_bytes=5000", "raw"),
            ("delivery=some", "delivery"),
            ("buffer=5", "bounded"),
            ("delivery=bounded&buffer=0", "buffer"),
            ("from=2030-01-01T00:00:00Z", "future"),
            ("match=after", "match"),
        ] {
            let error = request(query).unwrap_err();
            assert!(error.message.contains(word), "{query}: {}", error.message);
        }
        assert!(window(&Params::parse(Some("window=0"))).is_err());
    }
}
