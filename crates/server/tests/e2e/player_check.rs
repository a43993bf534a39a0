//! Line 24 of the contract's checklist in a browser: the calls of the vendor's player in its order, from
//! another origin, with nothing but the access token; then the video element advances.

use crate::browser::{Browser, Page};
use crate::cameras;
use crate::server::{Server, wait_for};
use crate::site::{create_channel, wait_for_records, wait_for_status};

#[tokio::test(flavor = "multi_thread")]
async fn line_24_a_browser_plays_with_nothing_but_the_access_token() {
    let server = Server::start().await;
    let camera = cameras::h264().await;
    let channel = create_channel(&server, "gate", &camera).await;
    wait_for_status(&server, &channel, "active").await;
    wait_for_records(&server, &channel, 2).await;
    let page = include_str!("player_check.html").replace("__TOKEN__", &channel.watch);
    let page = Page::serve(page).await;
    let _browser = Browser::open(&format!("http://{}/", page.address));
    let report = wait_for("the player", 90, async || page.report()).await;
    assert_eq!(report["finished"], true, "{report:#}");
}
