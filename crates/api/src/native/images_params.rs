//! What a request for many pictures says.

use super::{instant, picture_params, read_span};
use crate::error::ApiError;
use crate::params::Params;
use axum::http::{HeaderMap, header};
use framewell_imaging::batch::{BatchRequest, Budget, COUNT, Cursor, RATE, Rule, What};
use framewell_model::{ChannelId, TimeRange, WallTime};

/// How the pictures are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    /// `multipart/mixed`.
    Multipart,
    /// `application/x-tar`.
    Tar,
    /// `application/x-ndjson`, with URLs.
    Lines,
}

/// Reads `as`, or what the client accepts.
pub(crate) fn container(params: &Params, headers: &HeaderMap) -> Result<Container, ApiError> {
    match params.get("as") {
        Some("multipart") => return Ok(Container::Multipart),
        Some("tar") => return Ok(Container::Tar),
        Some("ndjson") => return Ok(Container::Lines),
        Some(other) if !other.is_empty() => {
            return Err(ApiError::invalid("as is not multipart, tar or ndjson"));
        }
        _ => {}
    }
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    let types = accept.unwrap_or_default().split(',');
    let known = types.filter_map(
        |text| match text.split(';').next().unwrap_or_default().trim() {
            "multipart/mixed" => Some(Container::Multipart),
            "application/x-tar" => Some(Container::Tar),
            "application/x-ndjson" => Some(Container::Lines),
            _ => None,
        },
    );
    Ok(known.into_iter().next().unwrap_or(Container::Multipart))
}

/// Whether the request has no end: then it is a push of live pictures.
pub(crate) fn is_endless(params: &Params) -> bool {
    params.get("to").is_none() && params.get("cursor").is_none()
}

/// Reads all but the container.
pub(crate) fn request(
    params: &Params,
    channel: ChannelId,
    now: WallTime,
    container: Container,
) -> Result<BatchRequest, ApiError> {
    let form = picture_params::read(&one_picture(params))?;
    Ok(BatchRequest {
        channel,
        what: what(params, channel, now, None)?,
        output: Some(form.output).filter(|_| container != Container::Lines),
        budget: Budget {
            images: limit(params, "max_images")?,
            bytes: limit(params, "max_bytes")?,
            pixels: limit(params, "max_pixels")?,
        },
    })
}

/// Range, rule and match, or the place to go on from.
pub(crate) fn what(
    params: &Params,
    channel: ChannelId,
    now: WallTime,
    default: Option<Rule>,
) -> Result<What, ApiError> {
    if let Some(text) = params.get("cursor") {
        return Ok(What::After(cursor(text, channel)?));
    }
    let has_rule = RULES.into_iter().any(|name| params.get(name).is_some());
    Ok(What::Range {
        range: range(params, now)?,
        rule: match default.filter(|_| !has_rule) {
            Some(default) => default,
            None => rule(params)?,
        },
        matching: picture_params::read(&one_picture(params))?.matching,
    })
}

/// The parameters as for a single picture, whose `max_bytes` is its own.
fn one_picture(params: &Params) -> Params {
    let own = params.get("max_image_bytes").unwrap_or_default().to_owned();
    Params::parse(Some(&params.with(&[("max_bytes", own)])))
}

/// A cursor of this channel.
fn cursor(text: &str, channel: ChannelId) -> Result<Cursor, ApiError> {
    let cursor: Cursor = text
        .parse()
        .map_err(|_| ApiError::invalid("cursor is not one of ours"))?;
    if cursor.channel() == channel {
        Ok(cursor)
    } else {
        Err(ApiError::invalid("cursor belongs to another channel"))
    }
}

/// `from` and `to`.
fn range(params: &Params, now: WallTime) -> Result<TimeRange, ApiError> {
    let from = instant(params, "from", now)?;
    let from = from.ok_or_else(|| ApiError::invalid("from is missing"))?;
    let to = instant(params, "to", now)?.unwrap_or(now);
    TimeRange::new(from, to)
        .filter(|range| range.micros() > 0)
        .ok_or_else(|| ApiError::invalid(format!("from {from} is not before to {to}")))
}

fn limit(params: &Params, name: &str) -> Result<Option<u64>, ApiError> {
    match params.number::<u64>(name)? {
        Some(0) => Err(ApiError::invalid(format!("{name} is not at least 1"))),
        limit => Ok(limit),
    }
}

/// Names of the rules; exactly one is given.
const RULES: [&str; 5] = ["every", "fps", "count", "keyframes", "scene"];

/// Reads the one rule.
fn rule(params: &Params) -> Result<Rule, ApiError> {
    let given: Vec<&str> = RULES
        .into_iter()
        .filter(|name| params.get(name).is_some())
        .collect();
    let rule = match given[..] {
        ["every"] => every(params.get("every").unwrap_or_default()),
        ["fps"] => fps(params.get("fps").unwrap_or_default()),
        ["count"] => count(params.get("count").unwrap_or_default()),
        ["keyframes"] if params.flag("keyframes")? => Ok(Rule::Keyframes),
        ["scene"] => scene(params.get("scene").unwrap_or_default()),
        [] | ["keyframes"] => Err(ApiError::invalid(
            "one of every, fps, count, keyframes and scene is needed",
        )),
        _ => Err(ApiError::invalid(format!(
            "{} exclude each other",
            given.join(" and ")
        ))),
    }?;
    rule.check().map_err(ApiError::invalid)?;
    Ok(rule)
}

fn every(text: &str) -> Result<Rule, ApiError> {
    read_span(text).map(Rule::Every).ok_or_else(|| {
        ApiError::invalid("every is no span such as 500ms, 5s, 2m or 1h, 1 ms to 31 days")
    })
}

fn fps(text: &str) -> Result<Rule, ApiError> {
    if text == "native" {
        return Ok(Rule::All);
    }
    text.parse().map(Rule::Rate).map_err(|_| {
        ApiError::invalid(format!(
            "fps is neither native nor a number from {} to {}",
            RATE.start(),
            RATE.end()
        ))
    })
}

fn count(text: &str) -> Result<Rule, ApiError> {
    text.parse().map(Rule::Count).map_err(|_| {
        ApiError::invalid(format!(
            "count is no number from {} to {}",
            COUNT.start(),
            COUNT.end()
        ))
    })
}

fn scene(text: &str) -> Result<Rule, ApiError> {
    text.parse()
        .map(Rule::Changes)
        .map_err(|_| ApiError::invalid("scene is no number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn params(query: &str) -> Params {
        Params::parse(Some(query))
    }

    fn now() -> WallTime {
        WallTime::from_secs(1_700_000_000)
    }

    fn read(query: &str) -> Result<BatchRequest, ApiError> {
        request(
            &params(query),
            ChannelId::new(7).unwrap(),
            now(),
            Container::Multipart,
        )
    }

    fn rule_of(query: &str) -> Rule {
        match read(&format!("from=-60s&to=now&{query}")).unwrap().what {
            What::Range { rule, .. } => rule,
            What::After(_) => panic!("not a range"),
        }
    }

    #[test]
    fn every_rule_has_its_words() {
        assert_eq!(rule_of("every=500ms"), Rule::Every(500_000));
        assert_eq!(rule_of("every=2m"), Rule::Every(120_000_000));
        assert_eq!(rule_of("fps=0.2"), Rule::Rate(0.2));
        assert_eq!(rule_of("fps=native"), Rule::All);
        assert_eq!(rule_of("count=8"), Rule::Count(8));
        assert_eq!(rule_of("keyframes"), Rule::Keyframes);
        assert_eq!(rule_of("keyframes=true"), Rule::Keyframes);
        assert_eq!(rule_of("scene=0.1"), Rule::Changes(0.1));
    }

    #[test]
    fn what_makes_no_sense_says_what_the_limit_is() {
        let why = |query: &str| read(query).unwrap_err().message;
        let rule = |text: &str| why(&format!("from=-60s&to=now&{text}"));
        assert!(rule("fps=0").contains("1000"));
        assert!(rule("fps=-1").contains("1000"));
        assert!(rule("fps=1e9").contains("1000"));
        assert!(rule("fps=fast").contains("1000"));
        assert!(rule("every=0s").contains("1 ms"));
        assert!(rule("every=-5s").contains("1 ms"));
        assert!(rule("every=5").contains("31 days"));
        assert!(rule("count=0").contains("100000"));
        assert!(rule("count=-3").contains("100000"));
        assert!(rule("scene=1.5").contains("0 to 1"));
        assert!(rule("keyframes=0").contains("is needed"));
        assert!(rule("").contains("is needed"));
        assert!(rule("fps=1&count=3").contains("fps and count exclude"));
        assert!(rule("fps=1&max_images=0").contains("max_images"));
        assert!(why("to=now&fps=1").contains("from is missing"));
        assert!(why("from=-5s&to=-10s&fps=1").contains("not before"));
        assert!(why("from=-5s&to=-5s&fps=1").contains("not before"));
        assert!(why("cursor=x").contains("cursor"));
    }

    #[test]
    fn the_size_of_a_picture_and_of_all_have_a_limit_each() {
        let request = read("from=-60s&to=now&fps=1&max_bytes=500&max_image_bytes=4000").unwrap();
        assert_eq!(request.budget.bytes, Some(500));
        let read = read("from=-60s&to=now&fps=1&max_image_bytes=5");
        let limited = request.output.unwrap().max_bytes;
        assert!(limited == Some(4_000) && read.is_err(), "{limited:?}");
    }

    #[test]
    fn a_look_ahead_is_relative_to_now() {
        let request = read("from=-8s&to=%2B2s&fps=1").unwrap();
        let What::Range { range, .. } = request.what else {
            panic!("not a range");
        };
        assert_eq!(range.micros(), 10_000_000);
        assert_eq!(range.end, now().plus_micros(2_000_000));
    }

    #[test]
    fn a_request_without_an_end_is_a_push() {
        assert!(is_endless(&params("fps=2")));
        assert!(is_endless(&params("from=-8s&fps=2")));
        assert!(!is_endless(&params("to=now&fps=2")));
        assert!(!is_endless(&params("cursor=x")));
    }

    #[test]
    fn the_container_is_a_parameter_or_what_is_accepted() {
        let of = |query: &str, accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            container(&params(query), &headers)
        };
        assert_eq!(of("", "*/*").unwrap(), Container::Multipart);
        assert_eq!(of("as=tar", "*/*").unwrap(), Container::Tar);
        assert_eq!(of("", "application/x-tar").unwrap(), Container::Tar);
        assert_eq!(
            of("", "text/html, application/x-ndjson;q=0.9, */*").unwrap(),
            Container::Lines
        );
        assert_eq!(
            of("as=multipart", "application/x-tar").unwrap(),
            Container::Multipart
        );
        assert!(of("as=zip", "*/*").is_err());
    }
}
