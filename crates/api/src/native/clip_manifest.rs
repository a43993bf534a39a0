//! `/v1/channels/{id}/clip.manifest.json` and the key that signs it.

use super::types::ErrorBody;
use super::{stream_of, time_range};
use crate::AppState;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use framewell_archive::manifest::{
    FORMAT, FileHash, Manifest, Part, PartHasher, Signed, Span, UsedSegment,
};
use framewell_footage::Piece;
use framewell_model::{ChannelId, ErrorKind, SegmentId, StreamKind, TimeRange};
use framewell_playback::{Clip, ClipBytes, ClipError};
use futures::StreamExt;
use serde::Serialize;
use std::ops::Range;
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
/// About the file that `clip.mp4` gives for the same `stream`, `start` and `end` and no other parameter. With
/// `framewell verify --manifest m.json --file clip.mp4 --key KEY`, anybody can check without this server that the
/// file is the one that was signed, or see which part was changed. The clip is read whole before the answer.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/clip.manifest.json",
    tag = "video",
    params(
        ("id" = i64, Path, description = "Channel"),
        ("stream" = Option<String>, Query, description = "`main` (default), or `sub` for the camera's sub stream"),
        ("start" = String, Query, description = "RFC 3339 time, or a distance before now such as `-60s`"),
        ("end" = Option<String>, Query, description = "The same; now if absent. At most 6 hours after start"),
    ),
    responses(
        (status = 200, description = "`manifest` and `signature` (Ed25519 over the canonical JSON, RFC 8785, of `manifest`)", body = Value),
        (status = 400, description = "Bad or too long range", body = ErrorBody),
        (status = 404, description = "No such channel behind this token, or no footage in the range", body = ErrorBody),
        (status = 409, description = "A segment of the clip is not what was recorded; `error.segment` says which", body = ErrorBody),
        (status = 429, description = "This token or account has as many manifests made as it may, or the clips that are open now are too long in total; see `Retry-After`", body = ErrorBody),
        (status = 503, description = "As many manifests are made as may; see `Retry-After`", body = ErrorBody),
    ),
)]
pub(crate) async fn show_clip_manifest(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Signed>, ApiError> {
    let channel = stream_of(&state, &caller, &id, &params).await?;
    let range = time_range(&params, state.clock.now(), MAX_RANGE_US)?;
    let _place = state.manifests.places.take(&caller.grant)?;
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
    let mut segments: Vec<UsedSegment> = Vec::new();
    let mut numbers = Vec::with_capacity(makeup.len());
    let mut whole: Option<(SegmentId, Bytes)> = None;
    for part in &makeup {
        let number = match &part.segment {
            Some(piece) => Some(number_of(state, piece, &mut segments).await?),
            None => None,
        };
        numbers.push(number.map(|number| number as u64));
        let seal = number.and_then(|number| segments[number].sha256.as_deref());
        let (Some(piece), Some(seal)) = (&part.segment, seal) else {
            hash_stream(&mut hasher, clip, part).await?;
            continue;
        };
        // The bytes that are signed are cut from those that were compared: nobody can exchange the object
        // between two reads.
        let bytes = match whole.take() {
            Some((id, bytes)) if id == piece.id => bytes,
            _ => sealed_bytes(clip, piece, seal).await?,
        };
        for range in &part.ranges {
            hasher.update(slice(&bytes, range).ok_or_else(|| altered(piece))?);
        }
        whole = Some((piece.id, bytes));
    }
    let (size, sha256, hashes) = hasher.finish();
    let parts = makeup.iter().zip(numbers).zip(hashes);
    let parts = parts
        .map(|((bytes, number), sha256)| part(bytes, number, sha256))
        .collect();
    Ok(Manifest {
        format: FORMAT.to_owned(),
        made: state.clock.now().to_rfc3339(),
        channel: channel.main().get(),
        stream: (channel.stream() == StreamKind::Sub).then(|| StreamKind::Sub.as_str().to_owned()),
        requested: span(requested),
        presented: span(clip.range),
        gaps: clip.gaps.iter().map(gap_span).collect(),
        file: FileHash { size, sha256 },
        segments,
        parts,
    })
}

/// Takes in bytes that no digest vouches for: what the server wrote, and footage without a seal.
async fn hash_stream(
    hasher: &mut PartHasher,
    clip: &Clip,
    part: &ClipBytes,
) -> Result<(), ApiError> {
    let mut bytes = clip.stream(part.offset..part.offset + part.length);
    while let Some(bytes) = bytes.next().await {
        hasher.update(&bytes.map_err(ClipError::from)?);
    }
    Ok(())
}

/// A segment, whole, if its bytes are still those that were sealed.
async fn sealed_bytes(clip: &Clip, piece: &Piece, seal: &str) -> Result<Bytes, ApiError> {
    let bytes = clip.whole_segment(piece).await?;
    let hashed = bytes.clone();
    let hash = tokio::task::spawn_blocking(move || {
        let mut hasher = PartHasher::new([]);
        hasher.update(&hashed);
        hasher.finish().1
    });
    match hash.await {
        Ok(found) if found == seal => Ok(bytes),
        Ok(_) => Err(altered(piece)),
        Err(_) => Err(ApiError::new(ErrorKind::Internal, "hashing failed")),
    }
}

fn slice<'a>(bytes: &'a Bytes, range: &Range<u64>) -> Option<&'a [u8]> {
    let (start, end) = (range.start.try_into().ok()?, range.end.try_into().ok()?);
    bytes.get::<Range<usize>>(start..end)
}

/// What a server cannot sign.
fn altered(piece: &Piece) -> ApiError {
    let id = piece.id.to_string();
    let message = format!("segment {id} is not what was recorded: its bytes have changed since");
    ApiError::new(ErrorKind::FailedPrecondition, message).with_detail("segment", id)
}

/// The number of a segment in the list, to which it is added if it is new.
async fn number_of(
    state: &AppState,
    piece: &Piece,
    segments: &mut Vec<UsedSegment>,
) -> Result<usize, ApiError> {
    let id = piece.id.to_string();
    if let Some(known) = segments.iter().rposition(|segment| segment.id == id) {
        return Ok(known);
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
    Ok(segments.len() - 1)
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
