//! What a reader asks for, and whether it may have it.

use super::RawService;
use super::layout::Layout;
use framewell_access::Credential;
use framewell_imaging::{Fit, Grid, Output, PictureFormat};
use framewell_model::{ChannelId, ErrorKind, Grant, HasKind, Right, Secret};
use serde::Deserialize;
use std::ops::RangeInclusive;

/// Slots of each channel that a reader may ask for: one in use, one to come, at least.
const SLOTS: RangeInclusive<usize> = 2..=64;
const DEFAULT_SLOTS: usize = 4;
/// Most channels of one reader.
const MAX_CHANNELS: usize = 64;

/// The reader's line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    token: Secret<String>,
    /// Absent: all that the token opens.
    channels: Option<Vec<ChannelId>>,
    format: Format,
    /// Absent with `height`: the size of the first channel's video.
    width: Option<u32>,
    height: Option<u32>,
    #[serde(default)]
    fit: RawFit,
    /// Absent: every picture.
    fps: Option<f64>,
    slots: Option<usize>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Rgb24,
    Nv12,
}

/// Every slot has the same size, so a fit that leaves the size open is none.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawFit {
    #[default]
    Pad,
    Cover,
    Fill,
}

/// A request that was understood and granted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) grant: Grant,
    pub(super) channels: Vec<ChannelId>,
    pub(super) output: Output,
    pub(super) fps: Option<f64>,
    pub(super) slots: usize,
    pub(super) layout: Layout,
}

/// A request that is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Access(#[from] framewell_access::Error),
    #[error("no request came in time, or it is too long")]
    NoRequest,
    #[error("too many connections that are no readers yet")]
    Crowded,
    #[error("all {0} readers are in use")]
    Full(usize),
}

impl HasKind for Refusal {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::NoRequest => ErrorKind::InvalidArgument,
            Self::Access(source) => source.kind(),
            Self::Crowded | Self::Full(_) => ErrorKind::ResourceExhausted,
        }
    }
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::Invalid(text.into())
}

/// Reads the line and asks the gate. The text of an error repeats nothing of the line: it has a token.
pub(super) async fn read(
    line: &str,
    service: &RawService,
    max_bytes: u64,
) -> Result<Wanted, Refusal> {
    let request: Request = serde_json::from_str(line).map_err(|error| {
        let (row, column) = (error.line(), error.column());
        invalid(format!(
            "the first line is no request (line {row}, column {column}): see docs/design/raw-ring.md"
        ))
    })?;
    let credential = Credential::Any(request.token.clone());
    let grant = service.access.authenticate(&credential).await?;
    let channels = channels(&request, &grant, service).await?;
    let output = output(&request, channels[0], service)?;
    let slots = request.slots.unwrap_or(DEFAULT_SLOTS);
    if !SLOTS.contains(&slots) {
        return Err(invalid(format!("slots {slots} is not between 2 and 64")));
    }
    if let Some(fps) = request.fps.filter(|fps| Grid::new(*fps).is_none()) {
        return Err(invalid(format!(
            "fps {fps} is not between 0.00001 and 1000"
        )));
    }
    let (Some(width), Some(height)) = (output.width, output.height) else {
        return Err(invalid("width and height are missing"));
    };
    let layout = Layout::new(output.format, width, height);
    let layout = layout.ok_or_else(|| invalid("format is neither rgb24 nor nv12"))?;
    let bytes = layout.slot_bytes * slots as u64 * channels.len() as u64;
    if bytes > max_bytes {
        return Err(invalid(format!(
            "{} channels with {slots} slots take {bytes} bytes, a reader may have {max_bytes}",
            channels.len()
        )));
    }
    Ok(Wanted {
        grant,
        channels,
        output,
        fps: request.fps,
        slots,
        layout,
    })
}

async fn channels(
    request: &Request,
    grant: &Grant,
    service: &RawService,
) -> Result<Vec<ChannelId>, Refusal> {
    let mut channels = match &request.channels {
        Some(named) => named.clone(),
        None => service.access.channels(grant).await?,
    };
    channels.sort_unstable();
    channels.dedup();
    if channels.is_empty() || channels.len() > MAX_CHANNELS {
        let count = channels.len();
        return Err(invalid(format!(
            "{count} channels are not between 1 and {MAX_CHANNELS}"
        )));
    }
    for channel in &channels {
        let access = &service.access;
        access.check_channel(grant, *channel, Right::Watch).await?;
    }
    Ok(channels)
}

fn output(request: &Request, first: ChannelId, service: &RawService) -> Result<Output, Refusal> {
    let format = match request.format {
        Format::Rgb24 => PictureFormat::Rgb24,
        Format::Nv12 => PictureFormat::Nv12,
    };
    let (width, height) = match (request.width, request.height) {
        (Some(width), Some(height)) => (width, height),
        (None, None) => own_size(first, service)?,
        _ => return Err(invalid("width and height are given together or not at all")),
    };
    let output = Output {
        width: Some(width),
        height: Some(height),
        fit: match request.fit {
            RawFit::Pad => Fit::Pad,
            RawFit::Cover => Fit::Cover,
            RawFit::Fill => Fit::Fill,
        },
        ..Output::new(format)
    };
    output.check().map_err(Refusal::Invalid)?;
    Ok(output)
}

fn own_size(channel: ChannelId, service: &RawService) -> Result<(u32, u32), Refusal> {
    let track = service.registry.get(channel);
    let parameters = track.and_then(|track| track.parameters());
    parameters
        .map(|parameters| (parameters.video.width, parameters.video.height))
        .ok_or_else(|| {
            invalid(format!(
                "channel {channel} does not say how large its pictures are: give width and height"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_words_are_a_request() {
        let parse = |text: &str| serde_json::from_str::<Request>(text);
        assert!(parse(r#"{"token":"t","format":"nv12","fit":"cover","fps":2.5}"#).is_ok());
        for text in [
            "{}",
            r#"{"token":"t","format":"jpg"}"#,
            r#"{"token":"t","format":"nv12","fit":"contain"}"#,
            r#"{"token":"t","format":"nv12","colour":"red"}"#,
            r#"{"token":"t","format":"nv12","channels":7}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
