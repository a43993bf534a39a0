//! `/api/v4/storage/records/upload/` (contract section 7.2).

use crate::AppState;
use crate::auth::Caller;
use crate::body::MetaBody;
use crate::error::ApiError;
use crate::origin::{Links, Origin};
use crate::params::Params;
use crate::vxg::time::read_time;
use axum::Json;
use axum::extract::State;
use framewell_model::WallTime;
use serde_json::{Value, json};

/// Most files announced at once.
const MAX_FILES: usize = 1_000;

/// Announces files; the answer has a URL for each. Its `time` counts; `duration` comes out of the file,
/// and `size` only says early that it is too large.
pub(crate) async fn announce_records(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    params: Params,
    MetaBody(body, _memory): MetaBody,
) -> Result<Json<Value>, ApiError> {
    let channel = caller.own_channel(&state, &params).await?;
    let files = match &body {
        Value::Array(files) => files.as_slice(),
        // One file alone.
        Value::Object(_) => std::slice::from_ref(&body),
        _ => return Err(ApiError::invalid("the body is not a list of files")),
    };
    if files.len() > MAX_FILES {
        return Err(ApiError::invalid(format!("more than {MAX_FILES} files")));
    }
    let links = Links::new(&state, &origin, &caller.grant);
    let limit = state.importer.max_bytes();
    let mut urls = Vec::with_capacity(files.len());
    for file in files {
        let start = time_of(file)?;
        if file["size"].as_u64().is_some_and(|size| size > limit) {
            return Err(ApiError::invalid(format!(
                "size is larger than {limit} bytes"
            )));
        }
        urls.push(links.upload(channel, start));
    }
    Ok(Json(json!({
        "expire": links.expire.to_naive_text(),
        "urls": urls,
    })))
}

fn time_of(file: &Value) -> Result<WallTime, ApiError> {
    let time = file["time"].as_str().and_then(read_time);
    time.ok_or_else(|| ApiError::invalid("a file without a time, or one that cannot be read"))
}
