//! What the routes of metadata answer.

use crate::error::ApiError;
use framewell_catalog::meta::Document;
use framewell_insight::feed::show_document;
use framewell_model::ChannelId;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What became of the documents of a write.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WriteResults {
    /// One for each document, in their order.
    pub(crate) results: Vec<WriteResult>,
    /// Counts.
    pub(crate) meta: WriteMeta,
}

/// Counts of a write.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WriteMeta {
    /// Documents that were not stored.
    pub(crate) errors: usize,
    /// All documents.
    pub(crate) total: usize,
}

/// What became of one document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WriteResult {
    /// Its place in the request, from 0.
    pub(crate) index: usize,
    /// 201 created, 200 replaced, 400 refused. Any other says what went wrong with the whole channel, as a
    /// status of HTTP does; of 429 and 5xx the document may be sent again.
    #[schema(example = 201)]
    pub(crate) status: u16,
    /// Its channel, if that is clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<i64>,
    /// Its id, its own or a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Why it was refused; names the member.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "objects[2].score 1.5 is not between 0 and 1")]
    pub(crate) error: Option<String>,
}

impl WriteResult {
    pub(crate) fn refused(index: usize, channel: Option<ChannelId>, why: String) -> Self {
        Self {
            index,
            status: 400,
            channel: channel.map(ChannelId::get),
            id: None,
            error: Some(why),
        }
    }

    /// One of a channel of which nothing was stored.
    pub(crate) fn failed(index: usize, channel: ChannelId, error: &ApiError) -> Self {
        Self {
            status: error.status.as_u16(),
            ..Self::refused(index, Some(channel), error.message.clone())
        }
    }
}

/// A document, for the description only. Members that it does not have are left out, apart from the maps.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentView {
    /// Unique in the channel.
    id: String,
    /// Its channel.
    channel: i64,
    /// The moment it is about.
    timestamp: String,
    /// 64-bit integers.
    long: BTreeMap<String, i64>,
    /// Finite numbers.
    float: BTreeMap<String, f64>,
    /// Texts.
    string: BTreeMap<String, String>,
    /// Free text.
    raw_data: Option<String>,
    /// The frame it is about.
    frame: Option<String>,
    /// Objects as they were written, each that has an area with `links.image`: the picture cut to it.
    #[schema(value_type = Option<Vec<Object>>)]
    objects: Option<Vec<Value>>,
    /// Free JSON.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// What made it.
    #[schema(value_type = Option<Object>)]
    model: Option<Value>,
    /// How many numbers its vector has, which itself is not told.
    vector_dimensions: Option<usize>,
    /// `image`: the picture; `clip`: ten seconds around it; `live`: the channel. Relative, for the same token.
    links: BTreeMap<String, String>,
    /// Of a search for vectors: cosine of the angle between them, -1 to 1.
    score: Option<f64>,
}

/// A page of a search, for the description only.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchPage {
    /// In the order that was asked for.
    documents: Vec<DocumentView>,
    /// How to go on.
    meta: SearchMeta,
}

/// What a search found, as [`SearchPage`] describes it.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    #[serde(serialize_with = "show")]
    pub(crate) documents: Vec<(Option<f64>, Document)>,
    pub(crate) meta: SearchMeta,
}

/// Each document becomes a tree when its turn has come: all of them at once would be many times the page.
fn show<S: Serializer>(
    documents: &[(Option<f64>, Document)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(documents.iter().map(|(score, document)| {
        let mut shown = show_document(document);
        if let Some(score) = score {
            shown["score"] = (*score).into();
        }
        shown
    }))
}

/// How to go on with a search, and what was done for it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchMeta {
    /// Value for `cursor` that gives the next page; null on the last one, and of a search for vectors.
    pub(crate) next: Option<String>,
    /// How many documents match on all pages, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<i64>,
    /// Of a search for vectors: whether all vectors were compared, so that nothing nearer can be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exact: Option<bool>,
    /// Of a search for vectors: how many were compared in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compared: Option<usize>,
    /// Of a search for vectors: true if the farthest documents are left out, because all of them together have
    /// more than 8 MiB.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cut: bool,
}

/// Counts by time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BucketPage {
    /// By time, then by label; those without documents are left out.
    pub(crate) buckets: Vec<BucketView>,
}

/// Counts of an interval.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BucketView {
    /// Its first moment.
    pub(crate) start: String,
    /// The first moment behind it.
    pub(crate) end: String,
    /// The label, by label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    /// How many documents.
    pub(crate) documents: i64,
    /// How many objects, by label or where scores are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) objects: Option<i64>,
    /// Where the numbers of `field` lie; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<SpreadView>,
}

/// Where numbers lie.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpreadView {
    /// How many.
    pub(crate) count: i64,
    /// The smallest.
    #[schema(value_type = f64)]
    pub(crate) min: Value,
    /// The largest.
    #[schema(value_type = f64)]
    pub(crate) max: Value,
    /// Their mean.
    pub(crate) avg: f64,
}
