//! The compatible face: VXG Cloud VMS API v2 to v5, as its public clients use it.
//!
//! One file per resource. Answers follow the contract to the letter, odd as it is in places: times
//! without a zone, server-relative `next`, `201` for creation, channel tokens as base64 JSON. None of
//! that goes further than this module.

pub(crate) mod activity;
pub(crate) mod cameras;
pub(crate) mod channel;
pub(crate) mod channel_tags;
pub(crate) mod channels;
pub(crate) mod clip_shares;
pub(crate) mod clips;
pub(crate) mod event_processing;
pub(crate) mod event_tags;
pub(crate) mod event_view;
pub(crate) mod events;
mod fields;
pub(crate) mod group_view;
pub(crate) mod groups;
mod ids;
pub(crate) mod image_live;
pub(crate) mod image_tasks;
pub(crate) mod images;
pub(crate) mod input;
pub(crate) mod limits;
mod list;
pub(crate) mod live;
pub(crate) mod meta;
pub(crate) mod meta_search;
pub(crate) mod motion;
mod packbits;
pub(crate) mod records;
pub(crate) mod server;
pub(crate) mod signalling;
pub(crate) mod source;
pub(crate) mod storage;
pub(crate) mod streams;
mod time;
pub(crate) mod upload;
mod view;

use crate::error::ApiError;
use crate::params::Params;
use framewell_catalog::Order;

/// `order_by` of lists by time.
fn time_order(params: &Params) -> Result<Order, ApiError> {
    match params.get("order_by") {
        None | Some("" | "time") => Ok(Order::Ascending),
        Some("-time") => Ok(Order::Descending),
        Some(_) => Err(ApiError::invalid("order_by is neither time nor -time")),
    }
}
