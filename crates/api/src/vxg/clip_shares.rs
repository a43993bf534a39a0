//! `/api/v2/storage/clips/{id}/sharings/`: tokens that open one clip without a login (contract section
//! 3.7).

use crate::AppState;
use crate::auth::Caller;
use crate::body::JsonObject;
use crate::error::ApiError;
use crate::vxg::clips::load;
use crate::vxg::ids::path_id;
use crate::vxg::time::body_time;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use framewell_catalog::ClipShare;
use framewell_model::{ClipShareId, WallTime};
use serde_json::{Value, json};

/// Lifetime of a sharing that does not say: a week.
const USUAL_LIFETIME_S: i64 = 7 * 86_400;
/// Longest lifetime: ten years, as channel tokens.
const MAX_LIFETIME_S: i64 = framewell_catalog::CHANNEL_TOKEN_LIFETIME_S;

fn show(state: &AppState, share: &ClipShare) -> Value {
    json!({
        "id": share.id,
        "token": state.access.clip_share_token(share).expose(),
        "created": share.created.to_naive_text(),
        "expire": share.end().to_naive_text(),
    })
}

/// What a token gives away ends when the token does.
fn within(expire: Option<WallTime>, lifetime_s: i64, now: WallTime) -> i64 {
    let left_s = expire.map_or(i64::MAX, |end| end.secs() - now.secs());
    lifetime_s.min(left_s).max(1)
}

pub(crate) async fn create_clip_share(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let clip = load(&state, &caller, &id).await?;
    let now = state.clock.now();
    let expire = body_time(&body, "expire")?.flatten();
    let lifetime_s = match expire {
        Some(expire) => expire.secs() - now.secs(),
        None => USUAL_LIFETIME_S,
    };
    if !(1..=MAX_LIFETIME_S).contains(&lifetime_s) {
        let text = "expire lies in the past, or more than ten years ahead";
        return Err(ApiError::invalid(text));
    }
    let lifetime_s = within(caller.grant.expire, lifetime_s, now);
    let share = state.catalog.create_clip_share(clip.id, lifetime_s, now);
    Ok((StatusCode::CREATED, Json(show(&state, &share.await?))))
}

pub(crate) async fn list_clip_shares(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let clip = load(&state, &caller, &id).await?;
    let shares = state.catalog.list_clip_shares(clip.id).await?;
    let now = state.clock.now();
    let objects: Vec<Value> = shares
        .iter()
        .filter(|share| share.end() > now)
        .map(|share| show(&state, share))
        .collect();
    let total = objects.len();
    let meta =
        json!({"limit": total, "offset": 0, "total_count": total, "next": null, "previous": null});
    Ok(Json(json!({"meta": meta, "objects": objects})))
}

pub(crate) async fn delete_clip_share(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, share)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let clip = load(&state, &caller, &id).await?;
    let id: ClipShareId = path_id(&share, "sharing")?;
    let found = state.catalog.load_clip_share(id).await?;
    if found.clip != clip.id {
        return Err(ApiError::not_found(format_args!("sharing {id}")));
    }
    state.catalog.delete_clip_share(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sharing_does_not_outlive_the_token_that_made_it() {
        let now = WallTime::from_secs(1_000);
        let end = Some(WallTime::from_secs(1_060));
        let lifetimes = [
            within(end, 600, now),
            within(end, 6, now),
            within(None, 600, now),
        ];
        assert_eq!(lifetimes, [60, 6, 600]);
    }
}
