//! `/v1/channels/{id}/clip.manifest.json` and the key that signs it.

use super::types::ErrorBody;
use super::{channel_of, time_range};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use framewell_archive::manifest::{
    FORMAT, FileHash, Manifest, Part, PartHasher, Signed, Span, UsedSegment,
};
use framewell_footage::Piece;
use framewell_model::{ChannelId, ErrorKind, TimeRange};
use framewell_playback::{Clip, ClipBytes, ClipError};
use futures::StreamExt;
use serde::Serialize;
use utoipa::ToSchema;

/// Longest clip that is hashed: all of it is read before the answer.
const MAX_RANGE_US: i64 = 6 * 3_600_000_000;

/// What manifests of this server are signed with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SigningKeyView {
    /// `Ed25519` (RFC 8032).
    algorithm: &'static str,
    /// 32 bytes in base64url without padding.
    public_key: String,
}

/// Show the public key that manifests of clips are signed with
#[utoipa::path(
    get,
    path = "/v1/server/signing-key",
    tag = "video",
    responses((status = 200, description = "The key", body = SigningKeyView)),
)]
pub(crate) async fn show_signing_key(State(state): State<AppState>) -> Json<SigningKeyView> {
    Json(SigningKeyView {
        algorithm: "Ed25519",
        public_key: state.manifests.signer.public_key().to_string(),
    })
}

/// Get the signed manifest of a clip: what the file is, and of which segments it is made
///
/// About the file that `clip.mp4` gives for the same `start` and `end` and no other parameter. With
/// `framewell verify --manifest m.json --file clip.mp4 --key KEY`, anybody can check without this server that the
/// file is the one that was signed, or see which part was changed. The clip is read whole before the answer.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/clip.manifest.json",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("start" = String, Query, description = "RFC 3339 time, or a distance before now such as `-60s`"),
        ("end" = Option<String>, Query, description = "The same; now if absent. At most 6 hours after start"),
    ),
    responses(
        (status = 200, description = "`manifest` and `signature` (Ed25519 over the canonical JSON, RFC 8785, of `manifest`)", body = Value),
        (status = 400, description = "Bad or too long range", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no footage in the range", body = ErrorBody),
        (status = 429, description = "The clips that are open now are too long in total; see `Retry-After`", body = ErrorBody),
        (status = 503, description = "As many manifests are made as may; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn show_clip_manifest(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Signed>, ApiError> {
    let channel = channel_of(&state, &caller, &id).await?;
    let range = time_range(&params, state.clock.now(), MAX_RANGE_US)?;
    let Some(_place) = state.manifests.place() else {
        let message = "as many manifests are made as may";
        return Err(ApiError::new(ErrorKind::Unavailable, message));
    };
    let clip = state.playback.clip(channel, range).await?;
    let manifest = describe(&state, channel, range, &clip).await?;
    Ok(Json(state.manifests.signer.sign(&manifest)))
}

async fn describe(
    state: &AppState,
    channel: ChannelId,
    requested: TimeRange,
    clip: &Clip,
) -> Result<Manifest, ApiError> {
    let makeup = clip.makeup();
    let mut hasher = PartHasher::new(makeup.iter().map(|bytes| bytes.length));
    let mut file = clip.stream(0..clip.len);
    while let Some(bytes) = file.next().await {
        hasher.update(&bytes.map_err(ClipError::from)?);
    }
    let (size, sha256, hashes) = hasher.finish();
    let mut segments: Vec<UsedSegment> = Vec::new();
    let mut parts = Vec::with_capacity(makeup.len());
    for (bytes, sha256) in makeup.iter().zip(hashes) {
        let number = match &bytes.segment {
            Some(piece) => Some(number_of(state, piece, &mut segments).await?),
            None => None,
        };
        parts.push(part(bytes, number, sha256));
    }
    Ok(Manifest {
        format: FORMAT.to_owned(),
        made: state.clock.now().to_rfc3339(),
        channel: channel.get(),
        requested: span(requested),
        presented: span(clip.range),
        gaps: clip.gaps.iter().map(gap_span).collect(),
        file: FileHash { size, sha256 },
        segments,
        parts,
    })
}

/// The number of a segment in the list, to which it is added if it is new.
async fn number_of(
    state: &AppState,
    piece: &Piece,
    segments: &mut Vec<UsedSegment>,
) -> Result<u64, ApiError> {
    let id = piece.id.to_string();
    if let Some(known) = segments.iter().rposition(|segment| segment.id == id) {
        return Ok(known as u64);
    }
    let row = state.catalog.segment_row(piece.id).await?;
    let seal = row.and_then(|row| row.seal);
    segments.push(UsedSegment {
        id,
        run: piece.run.to_string(),
        sequence: piece.sequence,
        range: span(piece.range),
        sha256: seal.map(|seal| seal.digest.to_string()),
        sealed: seal.map(|seal| seal.source.as_str().to_owned()),
    });
    Ok(segments.len() as u64 - 1)
}

fn part(bytes: &ClipBytes, segment: Option<u64>, sha256: String) -> Part {
    let ranges = bytes.ranges.iter();
    Part {
        segment,
        offset: bytes.offset,
        length: bytes.length,
        sha256,
        ranges: ranges
            .map(|range| (range.start, range.end - range.start))
            .collect(),
    }
}

fn span(range: TimeRange) -> Span {
    Span {
        start: range.start.to_rfc3339(),
        end: range.end.to_rfc3339(),
    }
}

fn gap_span(gap: &framewell_footage::FootageGap) -> Span {
    span(gap.range)
}
