//! The database: SQLite or PostgreSQL, one code path. No SQL exists outside this crate.
//!
//! Entry point: [`Catalog::open`]. Modules add `impl Catalog` blocks by subject. Methods take the
//! time they need as an argument; there is no clock here.

mod accounts;
mod bulk;
mod channel_limits;
mod channel_rows;
mod channel_tags;
mod channels;
mod clip_files;
mod clip_limits;
mod clip_rows;
mod clip_shares;
mod clips;
mod db;
mod deletions;
mod doom;
mod error;
mod event_processing;
mod event_rows;
mod events;
mod gaps;
mod group_rows;
mod groups;
mod holds;
mod image_lists;
mod image_rows;
mod images;
mod job_rows;
mod jobs;
pub mod meta;
mod meta_buckets;
mod meta_candidates;
mod meta_changes;
mod meta_filter;
mod meta_match;
mod meta_native;
mod meta_native_rows;
mod meta_number;
mod meta_pages;
mod meta_rows;
mod meta_search;
mod meta_text;
mod meta_vectors;
mod motion_regions;
mod restore;
mod revision;
mod rule_steps;
mod rules;
mod run_clocks;
mod segment_lists;
mod segment_rows;
mod segment_runs;
mod segment_samples;
mod segment_seals;
mod segments;
mod slice;
mod sql;
mod sql_search;
mod stream_offsets;
mod sub_streams;
mod text;
mod tokens;
mod told_channels;
mod webhook_failures;
mod webhook_rows;
mod webhooks;

pub use accounts::Account;
pub use channel_limits::META_MAX_AGE;
pub use channels::ChannelFilter;
pub use clip_files::{ClipFile, ClipGap, ClipGaps, ClipThumb, MOST_CLIP_GAPS};
pub use clip_limits::{ClipLimit, ClipLimits};
pub use clip_shares::{ClipShare, MOST_CLIP_SHARES};
pub use clips::{
    CLIP_JOB, CLIP_RENDER_JOB, ClipFilter, ClipKey, ClipPatch, ClipState, DoomedClip, NewClip,
    StoredClip,
};
pub use db::{Catalog, CatalogConfig};
pub use doom::Excess;
pub use error::Error;
pub use event_rows::check_event;
pub use events::{EVENT_SNAPSHOT_JOB, EventFilter, IMAGE_TASK_JOB, NewEvents};
pub use gaps::NewGap;
pub use holds::MOST_HOLDS;
pub use image_lists::ImageFilter;
pub use images::{DoomedImage, NewImage, StagedImage};
pub use jobs::{Checkpoint, Job, JobFilter, Lease, MOST_EVENT_TASKS, NewJob, Release};
pub use revision::Revisions;
pub use rule_steps::{RuleEvent, RuleState, RuleStep};
pub use rules::{NewRule, RuleOwner, RuleRow, RuleToken};
pub use segment_seals::SegmentRow;
pub use segments::{MAX_SEGMENT_US, NewSegment, SegmentFacts, StagedSegment};
pub use tokens::{CHANNEL_TOKEN_LIFETIME_S, LONG_TOKEN_LIFETIME_S, TokenRow, TokenTarget};
pub use webhook_failures::{NewFailure, WebhookFailure};
pub use webhooks::{
    NewWebhook, Trouble, WEBHOOK_JOB, WEBHOOK_REPLAY_JOB, Webhook, WebhookChange, WebhookCursors,
    WebhookOwner,
};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows of the page.
    pub items: Vec<T>,
    /// Rows that match the filter on all pages.
    pub total: i64,
}

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Most rows.
    pub limit: i64,
    /// Rows to skip.
    pub offset: i64,
}

/// Direction of a time-ordered list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}
