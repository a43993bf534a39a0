//! The lines that need a recording camera share one: recording takes seconds.

use super::{player, records, times, watch_token};
use crate::cameras;
use crate::client::Api;
use crate::server::Server;
use crate::site::{ChannelKeys, acc, create_channel, wait_for_records};
use serde_json::Value;

/// A channel with footage.
pub(super) struct Footage {
    pub(super) server: Server,
    pub(super) channel: ChannelKeys,
    /// Oldest first, three or more.
    pub(super) records: Vec<Value>,
}

impl Footage {
    /// A client with the channel token of level all.
    pub(super) fn acc(&self) -> Api {
        acc(&self.server, &self.channel)
    }

    /// A client without an `Authorization` header.
    pub(super) fn open(&self) -> Api {
        self.server.api("")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_6_18_19_and_24_to_26_hold_for_a_recording_camera() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "a", &camera).await;
    let records = wait_for_records(&server, &channel, 3).await;
    let footage = Footage {
        server,
        channel,
        records,
    };
    times::line_6_answers_have_no_zone(&footage).await;
    times::line_6_ranges_take_every_form(&footage).await;
    records::line_18_intervals_are_closed(&footage).await;
    records::line_18_records_and_data_agree(&footage).await;
    records::line_18_urls_open_one_record(&footage).await;
    records::line_18_ranges_of_a_record(&footage).await;
    records::line_19_timeline(&footage).await;
    records::line_25_pages(&footage).await;
    player::line_24_calls_before_playing(&footage).await;
    player::line_24_streams(&footage).await;
    player::line_24_live(&footage).await;
    player::line_24_pictures(&footage).await;
    watch_token::line_26_reads(&footage).await;
    watch_token::line_26_writes(&footage).await;
}
