//! A channel token as the password of a Digest.

use crate::client::Client;
use crate::support::{NOW_S, Server, encode, spec};
use framewell_catalog::TokenTarget;
use framewell_model::{Access as Level, ChannelId, NewChannel, RecMode, WallTime};
use framewell_streaming::rtsp::RtspConfig;
use framewell_testkit::encode::EncodedClip;
use framewell_testkit::stamp::VideoInput;
use std::collections::BTreeMap;
use tokio::process::Command;

/// A channel with its two tokens, watch and all.
pub(crate) struct Keys {
    account: framewell_model::AccountId,
    pub(crate) channel: ChannelId,
    tokens: Vec<String>,
}

pub(crate) async fn create(server: &Server, name: &str) -> Keys {
    let (account, _license) = server.access.create_account(name).await.unwrap();
    let new = NewChannel {
        name: "camera".to_owned(),
        rec_mode: RecMode::On,
        timezone: "UTC".to_owned(),
        source: None,
        retention_s: None,
        meta: BTreeMap::new(),
    };
    let now = WallTime::from_secs(NOW_S);
    let created = server.catalog.create_channel(account, &new, now).await;
    let channel = created.unwrap().id;
    let tokens = server.access.channel_tokens(account, &[channel]).await;
    let tokens = tokens.unwrap();
    let token = |level| tokens[&(channel, level)].expose().clone();
    Keys {
        account,
        channel,
        tokens: vec![token(Level::Watch), token(Level::All)],
    }
}

async fn live() -> (Server, Keys, EncodedClip) {
    let clip = encode(spec()).await;
    let mut server = Server::start(RtspConfig::default()).await;
    let keys = create(&server, "one").await;
    server.feed(keys.channel.get(), &clip);
    (server, keys, clip)
}

/// Whether `ffmpeg` plays with this password, as any user.
async fn plays(server: &Server, channel: ChannelId, password: &str) -> bool {
    let url = format!("rtsp://any:{password}@{}/live/{channel}", server.addr);
    let input = VideoInput::new(url)
        .option("-rtsp_transport", "tcp")
        .max_frames(5);
    let playing = tokio::task::spawn_blocking(move || input.read_stamps());
    playing.await.unwrap().is_ok_and(|stamps| stamps.len() == 5)
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_logs_in_with_a_channel_token_of_either_level() {
    let (server, keys, _clip) = live().await;
    for token in &keys.tokens {
        assert!(plays(&server, keys.channel, token).await);
    }
    assert!(!plays(&server, keys.channel, "share.guess").await);
    let other = create(&server, "two").await;
    assert!(!plays(&server, keys.channel, &other.tokens[1]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_opens_nothing() {
    let (server, keys, _clip) = live().await;
    let target = TokenTarget::Channel(keys.channel, Level::Watch);
    server.access.revoke(keys.account, target).await.unwrap();
    assert!(!plays(&server, keys.channel, &keys.tokens[0]).await);
    assert!(plays(&server, keys.channel, &keys.tokens[1]).await);
}

/// Hex of a SHA-256, by a program nobody here wrote.
async fn sha256(text: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", "printf %s \"$1\" | sha256sum", "sh", text])
        .output()
        .await
        .unwrap();
    let hex = String::from_utf8(output.stdout).unwrap();
    hex.split(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn sha_256_is_offered_first_and_a_nonce_is_good_for_its_connection_only() {
    let (server, keys, _clip) = live().await;
    let url = format!("rtsp://{}/live/{}", server.addr, keys.channel);
    let mut client = Client::connect(server.addr).await;
    let refused = client.request("DESCRIBE", &url, &[]).await;
    assert_eq!(refused.status, 401);
    let [sha, md5] = &refused.challenges[..] else {
        panic!("{:?}", refused.challenges);
    };
    assert!(sha.contains("algorithm=SHA-256") && md5.contains("algorithm=MD5"));
    let nonce = sha.split("nonce=\"").nth(1).unwrap();
    let nonce = nonce.split('"').next().unwrap();
    let secret = sha256(&format!("bob:framewell:{}", keys.tokens[0])).await;
    let request = sha256(&format!("DESCRIBE:{url}")).await;
    let response = sha256(&format!("{secret}:{nonce}:{request}")).await;
    let header = format!(
        "Authorization: Digest username=\"bob\", realm=\"framewell\", nonce=\"{nonce}\", \
         uri=\"{url}\", algorithm=SHA-256, response=\"{response}\""
    );
    assert_eq!(
        client.request("DESCRIBE", &url, &[&header]).await.status,
        200
    );
    let mut thief = Client::connect(server.addr).await;
    assert_eq!(
        thief.request("DESCRIBE", &url, &[&header]).await.status,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_show_three_wrong_passwords() {
    let (server, keys, _clip) = live().await;
    let url = format!("rtsp://{}/live/{}", server.addr, keys.channel);
    let mut client = Client::connect(server.addr).await;
    let refused = client.request("DESCRIBE", &url, &[]).await;
    let nonce = refused.challenges[0].split("nonce=\"").nth(1).unwrap();
    let nonce = nonce.split('"').next().unwrap();
    let header = format!(
        "Authorization: Digest username=\"bob\", realm=\"framewell\", nonce=\"{nonce}\", \
         uri=\"{url}\", algorithm=SHA-256, response=\"guess\""
    );
    let request = format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 9\r\n{header}\r\n\r\n");
    // All at once.
    client.send(request.repeat(5).as_bytes()).await;
    for _ in 0..3 {
        assert_eq!(client.answer().await.unwrap().status, 401);
    }
    assert!(client.answer().await.is_none(), "the connection ends");
}
