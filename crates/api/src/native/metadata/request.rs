//! Bodies of requests, for the description only: they are read by hand, so that errors name the member.
#![expect(dead_code, reason = "describes bodies")]

use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A document.
#[derive(Debug, ToSchema)]
pub(crate) struct DocumentBody {
    /// Up to 128 bytes, unique in the channel; absent: a new one is made.
    #[schema(example = "engine-7-000123")]
    id: Option<String>,
    /// Channel; absent: the one of the query, or the token's own.
    #[schema(example = 7)]
    channel: Option<i64>,
    /// RFC 3339; may be left out where `frame` says it.
    #[schema(example = "2024-05-01T10:20:05.947Z")]
    timestamp: Option<String>,
    /// 64-bit integers by name.
    long: Option<BTreeMap<String, i64>>,
    /// Finite numbers by name.
    float: Option<BTreeMap<String, f64>>,
    /// Texts by name, 64 KiB each.
    string: Option<BTreeMap<String, String>>,
    /// Free text, 256 KiB.
    raw_data: Option<String>,
    /// Frame id, from the header `Framewell-Frame` of a picture.
    #[schema(example = "01900000000070008000000000000007.270000")]
    frame: Option<String>,
    /// What was seen, 1,000 at most.
    objects: Option<Vec<ObjectBody>>,
    /// Free JSON, 64 KiB and 32 levels.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// What saw it.
    model: Option<ModelBody>,
    /// Embedding: up to 4,096 finite numbers, not all 0.
    vector: Option<Vec<f32>>,
}

/// What changes of a document.
#[derive(Debug, ToSchema)]
pub(crate) struct PatchBody {
    /// RFC 3339.
    timestamp: Option<String>,
    /// 64-bit integers by name.
    long: Option<BTreeMap<String, i64>>,
    /// Finite numbers by name.
    float: Option<BTreeMap<String, f64>>,
    /// Texts by name, 64 KiB each.
    string: Option<BTreeMap<String, String>>,
    /// Free text, 256 KiB.
    raw_data: Option<String>,
    /// Frame id, from the header `Framewell-Frame` of a picture.
    frame: Option<String>,
    /// What was seen, 1,000 at most.
    objects: Option<Vec<ObjectBody>>,
    /// Free JSON, 64 KiB and 32 levels.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// What saw it.
    model: Option<ModelBody>,
    /// Embedding: up to 4,096 finite numbers, not all 0.
    vector: Option<Vec<f32>>,
}

/// An object. It has a label, a box, a polygon or points.
#[derive(Debug, ToSchema)]
pub(crate) struct ObjectBody {
    /// Class, up to 128 bytes.
    #[schema(example = "person")]
    label: Option<String>,
    /// 0 to 1.
    #[schema(example = 0.92)]
    score: Option<f64>,
    /// Id of the object over time, up to 128 bytes.
    #[schema(example = "t-17")]
    track: Option<String>,
    /// Upright rectangle, as parts of the picture.
    r#box: Option<BoxBody>,
    /// Outline: pairs of x and y.
    polygon: Option<Vec<Vec<f64>>>,
    /// Marks.
    points: Option<Vec<PointBody>>,
}

/// A rectangle, as parts of the picture.
#[derive(Debug, ToSchema)]
pub(crate) struct BoxBody {
    /// Left edge, 0 to 1.
    #[schema(example = 0.25)]
    x: f64,
    /// Upper edge, 0 to 1.
    #[schema(example = 0.5)]
    y: f64,
    /// More than 0; `x + width` is 1 at most.
    #[schema(example = 0.1)]
    width: f64,
    /// More than 0; `y + height` is 1 at most.
    #[schema(example = 0.3)]
    height: f64,
}

/// A mark on an object.
#[derive(Debug, ToSchema)]
pub(crate) struct PointBody {
    /// What it marks.
    #[schema(example = "nose")]
    name: Option<String>,
    /// From the left, 0 to 1.
    x: f64,
    /// From above, 0 to 1.
    y: f64,
    /// 0 to 1.
    score: Option<f64>,
}

/// A model.
#[derive(Debug, ToSchema)]
pub(crate) struct ModelBody {
    /// Up to 128 bytes.
    #[schema(example = "yolo")]
    name: String,
    /// Up to 128 bytes.
    version: Option<String>,
}

/// A search.
#[derive(Debug, ToSchema)]
pub(crate) struct SearchBody {
    /// Channel ids; absent: all that the token opens.
    channels: Option<Vec<i64>>,
    /// At or after, RFC 3339.
    start: Option<String>,
    /// Before, RFC 3339.
    end: Option<String>,
    /// `{"field": "objects.label", "eq": "person"}`, joined by `and`, `or`, `not`;
    /// `{"object": [leaf…]}` wants one object that meets all; `{"text": words}`. See the guide to metadata.
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// Words of texts and raw data, all of which have to occur; `begin*`; `"side by side"`.
    #[schema(example = "red car*")]
    text: Option<String>,
    /// Documents whose vector is near.
    near: Option<NearBody>,
    /// `-time` (default): newest first; `time`: oldest first. `score` with `near`, where it is the default.
    sort: Option<String>,
    /// Most documents of a page, 1 to 1,000; 100 if absent.
    limit: Option<u64>,
    /// `meta.next` of the page before.
    cursor: Option<String>,
    /// Whether to count all that match.
    total: Option<bool>,
}

/// A search for vectors.
#[derive(Debug, ToSchema)]
pub(crate) struct NearBody {
    /// As many numbers as the vectors that are looked for.
    vector: Vec<f32>,
    /// Most documents, 1 to 1,000; 10 if absent.
    k: Option<u64>,
    /// Smallest cosine, -1 to 1.
    min_score: Option<f64>,
    /// Compare every vector, whatever it costs; 200,000 at most.
    exact: Option<bool>,
}

/// A count by time.
#[derive(Debug, ToSchema)]
pub(crate) struct BucketsBody {
    /// Channel ids; absent: all that the token opens.
    channels: Option<Vec<i64>>,
    /// At or after, RFC 3339.
    start: Option<String>,
    /// Before, RFC 3339.
    end: Option<String>,
    /// As in a search.
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// As in a search.
    text: Option<String>,
    /// Length of a bucket: `500ms`, `10s`, `5m`, `1h`. Buckets begin at multiples of it since 1970.
    #[schema(example = "5m")]
    interval: String,
    /// `label`: a bucket for each label.
    by: Option<String>,
    /// `long.<name>`, `float.<name>` or `objects.score`: its smallest, largest and mean are told.
    field: Option<String>,
}
