//! Every route against every kind of credential: what the table says is what happens.

use crate::site::{Answer, Site, TestChannel};
use framewell_api::auth::Need;
use framewell_api::routes::{Route, TABLE};
use framewell_model::{RecordId, Right};

/// What one credential may do on the things of the fixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Garbage,
    Watch,
    All,
    GroupWatch,
    GroupAll,
    Account,
    OtherAccount,
    OtherChannel,
}

const KINDS: [Kind; 9] = [
    Kind::None,
    Kind::Garbage,
    Kind::Watch,
    Kind::All,
    Kind::GroupWatch,
    Kind::GroupAll,
    Kind::Account,
    Kind::OtherAccount,
    Kind::OtherChannel,
];

struct Fixture {
    channel: TestChannel,
    record: RecordId,
    picture: i64,
    task: i64,
    clip: i64,
    event: i64,
    webhook: i64,
    group: i64,
    group_all: String,
    group_watch: String,
}

impl Fixture {
    async fn new(site: &Site) -> Self {
        let channel = site.channel("fixture").await;
        let record = site.record(channel.id, "2024-05-01T10:00:00Z", 10).await;
        let picture = site.picture(channel.id, "2024-05-01T10:00:05Z").await;
        let task = site.task(&channel).await;
        let clip = site.clip(&channel).await;
        let event = serde_json::json!({"name": "fixture", "meta": {"t": "fixture"}});
        let event = site
            .post(&channel.all, "/api/v2/storage/events/", &event)
            .await;
        let event = event.expect(201)["id"].as_i64().unwrap();
        let webhook = serde_json::json!({"url": "https://fixture.example/", "events": true});
        let webhook = site.post(site.key(), "/v1/webhooks", &webhook).await;
        let webhook = webhook.expect(201)["id"].as_i64().unwrap();
        let tag = serde_json::json!({"tag": "t", "data": "d"});
        let tags = format!("/api/v3/channels/{}/meta/", channel.id);
        site.post(site.key(), &tags, &tag).await.expect(201);
        let (group, group_all) = site.group(&[&channel], "all").await;
        let (_, group_watch) = site.group(&[&channel], "watch").await;
        Self {
            channel,
            record,
            picture,
            task,
            clip,
            event,
            webhook,
            group,
            group_all,
            group_watch,
        }
    }

    fn uri(&self, route: &Route, kind: Kind) -> String {
        let id = if route.path.contains("channel_groups") {
            self.group
        } else if route.path.contains("webhooks") {
            self.webhook
        } else if route.path.contains("records") {
            self.record.get()
        } else if route.path.contains("/events/{id}") {
            self.event
        } else if route.path.contains("clips") {
            self.clip
        } else if route.path.contains("generation/tasks") {
            self.task
        } else if route.path.contains("storage/images") {
            self.picture
        } else {
            self.channel.id.get()
        };
        let channel = self.channel.id.to_string();
        let path = route
            .path
            .replace("{id}", &id.to_string())
            .replace("{camid}", &channel)
            .replace("{channel}", &channel)
            .replace("{tag}", "t")
            .replace("{share}", "1")
            .replace("{stream}", "vs_main")
            .replace("{span}/{file}", "17-42/vod.m3u8")
            .replace("{uid}", "0a1b")
            .replace("{hold}", "7")
            .replace("{session}", "0a1b")
            .replace("{file}", "index.m3u8")
            .replace(
                "{name}",
                if route.path.contains("img") {
                    "live.jpg"
                } else if route.path.contains("media/event") {
                    "1.json"
                } else if route.path.contains("media/clip") {
                    "1.mp4"
                } else {
                    "x_1.mp4"
                },
            );
        // A subscription that is let in has no end; a bad cursor gives it one.
        if path.ends_with("/stream") {
            return format!("{path}?after=x");
        }
        // Credentials of many channels have to say which one they mean; a channel token means its own.
        match kind {
            Kind::Watch | Kind::All | Kind::OtherChannel => path,
            _ => format!("{path}?camid={channel}"),
        }
    }
}

/// What the gate has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Anything but 401 and 403.
    Admitted,
    Unauthenticated,
    Denied,
    /// 404, or an answer about other things than the fixture's.
    Hidden,
}

fn verdict(route: &Route, kind: Kind) -> Verdict {
    let is_group_view = route.path.starts_with("/api/v5/");
    let right = match route.need {
        Need::Nothing => return Verdict::Admitted,
        Need::Ticket => return Verdict::Unauthenticated,
        Need::Account => {
            return match kind {
                Kind::None | Kind::Garbage => Verdict::Unauthenticated,
                Kind::Account => Verdict::Admitted,
                Kind::OtherAccount => Verdict::Hidden,
                _ => Verdict::Denied,
            };
        }
        Need::Right(right) | Need::ClipShareOr(right) => right,
    };
    let is_channel_token = matches!(kind, Kind::Watch | Kind::All | Kind::OtherChannel);
    match kind {
        Kind::None | Kind::Garbage => Verdict::Unauthenticated,
        _ if is_group_view && is_channel_token => Verdict::Denied,
        // The tags of a group belong to a group token.
        Kind::Account | Kind::OtherAccount if route.path == "/api/v5/meta" => Verdict::Denied,
        Kind::Watch | Kind::GroupWatch if right != Right::Watch => Verdict::Denied,
        Kind::OtherAccount | Kind::OtherChannel => Verdict::Hidden,
        _ => Verdict::Admitted,
    }
}

fn check(route: &Route, kind: Kind, answer: &Answer) {
    let status = answer.status.as_u16();
    let what = format!(
        "{} {} as {kind:?}: {status} {:?}",
        route.method, route.path, answer.body
    );
    match verdict(route, kind) {
        Verdict::Unauthenticated => assert_eq!(status, 401, "{what}"),
        Verdict::Denied => assert_eq!(status, 403, "{what}"),
        Verdict::Admitted => assert!(!matches!(status, 401 | 403), "{what}"),
        Verdict::Hidden => {
            let is_list = status < 400 && !route.path.contains('{');
            assert!(status == 404 || status == 400 || is_list, "{what}");
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("fixture"), "leaks: {what}");
        }
    }
    assert_ne!(status, 500, "{what}");
}

#[tokio::test]
async fn the_table_is_what_happens() {
    let site = Site::new().await;
    let other_account = site.other_account().await;
    let stranger = site.channel("stranger").await;
    let mut fixture = Fixture::new(&site).await;
    for route in TABLE {
        for kind in KINDS {
            let header = match kind {
                Kind::None => "",
                Kind::Garbage => "Acc AAAA",
                Kind::Watch => &fixture.channel.watch,
                Kind::All => &fixture.channel.all,
                Kind::GroupWatch => &fixture.group_watch,
                Kind::GroupAll => &fixture.group_all,
                Kind::Account => site.key(),
                Kind::OtherAccount => &other_account,
                Kind::OtherChannel => &stranger.all,
            };
            let headers: Vec<(&str, &str)> = match header {
                "" => Vec::new(),
                value => vec![("authorization", value)],
            };
            let uri = fixture.uri(route, kind);
            let answer = site.send(route.method, &uri, &headers, "{}").await;
            check(route, kind, &answer);
            if route.method == "DELETE" && answer.status.is_success() {
                fixture = Fixture::new(&site).await;
            }
        }
    }
}

#[tokio::test]
async fn no_credential_reaches_a_body_or_a_handler_without_its_right() {
    let site = Site::new().await;
    let channel = site.channel("a").await;
    // Not JSON at all: whoever lacks the right learns that first.
    let headers = [("authorization", channel.watch.as_str())];
    let answer = site
        .send("POST", "/api/v4/meta/", &headers, "not json")
        .await;
    assert_eq!(answer.status.as_u16(), 403);
    let answer = site
        .send("POST", "/api/v3/channels/", &[], "not json")
        .await;
    assert_eq!(answer.status.as_u16(), 401);
}
