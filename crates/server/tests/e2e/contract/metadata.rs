//! Lines 11 to 13: metadata documents.

use super::{assert_no_zones, assert_vxg_error, list, nowhere, objects, on_both_databases, text};
use crate::client::{Answer, Api};
use crate::server::Server;
use crate::site::{ChannelKeys, acc, create_channel_from, create_group};
use serde_json::{Value, json};

/// A channel with documents about it.
struct Store {
    server: Server,
    channel: ChannelKeys,
    api: Api,
    /// The answer to the request that wrote them.
    posted: Value,
}

impl Store {
    /// Three documents, and a fourth that is none.
    async fn open(database: &str) -> Self {
        let server = Server::start_with(database).await;
        let channel = create_channel_from(&server, "a", &nowhere()).await;
        let api = acc(&server, &channel);
        let documents = json!([
            {"timestamp": "2024-05-01T10:00:00", "long": {"Person": 2, "Vehicle": 0}, "string": {"type": "note"}, "float": {}},
            {"timestamp": "2024-05-01T10:01", "long": {"Person": 0, "Vehicle": 3}, "string": {"type": "a clip of Anna"}},
            {"timestamp": "2024-05-01T10:02:00.5", "float": {"lux": 0.25}, "raw_data": "free"},
            {"timestamp": "never"},
        ]);
        let posted = api.post("/api/v4/meta/", &documents).await.expect(200);
        Self {
            server,
            channel,
            api,
            posted,
        }
    }

    /// Id of the document about a note.
    fn note(&self) -> &str {
        text(&self.posted["objects"][0]["id"])
    }

    async fn search(&self, body: &Value) -> Answer {
        self.api.post("/api/v4/meta/filter/", body).await
    }

    /// The documents that match.
    async fn find(&self, filter: Value) -> Vec<Value> {
        let body = json!({"filter": filter, "limit": 10});
        let found = self.search(&body).await.expect(200);
        for object in objects(&found) {
            assert!(
                object["long"].is_object() && object["string"].is_object(),
                "{object}"
            );
            assert!(object["float"].is_object(), "{object}");
            assert_eq!(object["camid"], self.channel.id);
            assert_no_zones(object);
        }
        assert_eq!(found["meta"]["total_count"], objects(&found).len());
        objects(&found).to_vec()
    }

    /// How many documents match.
    async fn count(&self, filter: Value) -> usize {
        self.find(filter).await.len()
    }

    /// DELETE with a body.
    async fn delete(&self, path: &str, body: Value) -> Answer {
        let body = Some(body.to_string());
        self.api.send("DELETE", path, &[], body).await
    }
}

fn statuses(answer: &Value) -> Vec<&Value> {
    let objects = objects(answer).iter();
    objects.map(|object| &object["status"]).collect()
}

on_both_databases! {
    async fn line_11_each_element_has_its_own_status(database: &str) {
        let store = Store::open(database).await;
        let posted = &store.posted;
        assert_eq!(statuses(posted), [201, 201, 201, 400]);
        assert_eq!(
            (
                &posted["meta"]["errors_count"],
                &posted["meta"]["total_count"]
            ),
            (&json!(1), &json!(4))
        );
        let ids: std::collections::BTreeSet<&str> = objects(posted)[..3]
            .iter()
            .map(|o| text(&o["id"]))
            .collect();
        assert_eq!(ids.len(), 3, "{posted}");
        assert!(posted["objects"][3]["errorDetail"].is_string(), "{posted}");
        // An element with the id of a document replaces it as a whole.
        let again =
            json!([{"id": store.note(), "timestamp": "2024-05-01T11:00:00", "long": {"Car": 1}}]);
        let replaced = store.api.post("/api/v4/meta/", &again).await.expect(200);
        assert_eq!(statuses(&replaced), [200]);
        let found = store.find(json!({"field": "id", "eq": store.note()})).await;
        assert_eq!(found[0]["long"], json!({"Car": 1}));
        assert_eq!(found[0]["string"], json!({}));
        assert_eq!(store.count(json!({})).await, 3);
    }

    async fn line_11_values_keep_their_bits_or_are_refused(database: &str) {
        let store = Store::open(database).await;
        let documents = json!([
            {"timestamp": "2024-06-01", "long": {"incident": i64::MAX}, "float": {"score": 0.1}, "raw_data": "ünï ' \" <x>"},
            {"timestamp": "2024-06-02", "long": {"n": "5"}},
            {"timestamp": "2024-06-03", "long": {"n": 2.0}},
            {"timestamp": "2024-06-04", "long": {"n": 2.5}},
            {"timestamp": "2024-06-05", "long": {"n": "many"}},
            {"timestamp": "2024-06-06", "long": [1]},
            {"long": {"n": 1}},
            "no document",
        ]);
        let posted = store.api.post("/api/v4/meta/", &documents).await;
        let posted = posted.expect(200);
        assert_eq!(
            statuses(&posted),
            [201, 201, 201, 400, 400, 400, 400, 400],
            "{posted}"
        );
        let exact = json!({"field": "long.incident", "eq": i64::MAX});
        let found = store.find(exact).await;
        assert_eq!(found.len(), 1);
        for member in ["long", "float", "raw_data"] {
            assert_eq!(found[0][member], documents[0][member]);
        }
        let almost = json!({"field": "long.incident", "eq": i64::MAX - 1});
        assert_eq!(store.count(almost).await, 0);
        assert_eq!(store.count(json!({"field": "long.n", "eq": 5})).await, 1);
        assert_eq!(store.count(json!({"field": "long.n", "eq": 2})).await, 1);
        let no_list = store.api.post("/api/v4/meta/", &json!("text")).await;
        assert_vxg_error(&no_list, 400);
    }

    async fn line_12_filters_find_what_they_say(database: &str) {
        let store = Store::open(database).await;
        assert_eq!(store.count(json!({})).await, 3);
        assert_eq!(store.count(json!({"and": []})).await, 3);
        let nested = json!({"and": [
            {"or": [{"field": "long.Person", "gt": 1}, {"field": "long.Vehicle", "eq": 3}]},
            {"field": "timestamp", "gte": "2024-05-01T10:00", "lte": "2024-05-01T10:01:00"}]});
        assert_eq!(store.count(nested).await, 2);
        assert_eq!(
            store.count(json!({"field": "long.Person", "lt": 1})).await,
            1,
            "a document without the field does not match"
        );
        for (filter, matches) in [
            (json!({"field": "string.type", "words_in": "NOTE"}), 1),
            (json!({"field": "string.type", "words_in": "clip anna"}), 1),
            (json!({"field": "string.type", "words_in": "ann"}), 0),
            (json!({"field": "string.type", "eq": "note"}), 1),
            (json!({"field": "string.type", "eq": "clip"}), 0),
            (json!({"field": "raw_data", "eq": "free"}), 1),
            (json!({"not": {"field": "long.Person", "exists": true}}), 1),
            (
                json!({"or": [{"field": "float.lux", "eq": 0.25}, {"field": "long.Person", "eq": 2}]}),
                2,
            ),
        ] {
            assert_eq!(store.count(filter.clone()).await, matches, "{filter}");
        }
    }

    async fn line_12_comparisons_include_their_bound_or_not(database: &str) {
        let store = Store::open(database).await;
        for (operator, persons, times) in [
            ("eq", 1, 1),
            ("gt", 0, 1),
            ("gte", 1, 2),
            ("lt", 1, 1),
            ("lte", 2, 2),
        ] {
            let filter = json!({"field": "long.Person", operator: 2});
            assert_eq!(store.count(filter).await, persons, "long, {operator}");
            let filter = json!({"field": "timestamp", operator: "2024-05-01T10:01"});
            assert_eq!(store.count(filter).await, times, "timestamp, {operator}");
        }
        // Two bounds in one leaf hold both.
        let between = json!({"field": "timestamp",
            "gt": "2024-05-01T10:00:00", "lt": "2024-05-01T10:02:00.500"});
        assert_eq!(store.count(between).await, 1);
    }

    async fn line_12_results_are_sorted_and_paged(database: &str) {
        let store = Store::open(database).await;
        let sorted = json!({"sort": ["-timestamp"], "limit": 1, "offset": 1});
        let page = store.search(&sorted).await.expect(200);
        assert_eq!(
            (
                page["objects"].as_array().map(Vec::len),
                &page["meta"]["total_count"]
            ),
            (Some(1), &json!(3))
        );
        assert_eq!(page["objects"][0]["string"]["type"], "a clip of Anna");
        assert_eq!(
            (&page["meta"]["limit"], &page["meta"]["offset"]),
            (&json!(1), &json!(1))
        );
        let times = |answer: &Value| -> Vec<String> {
            let objects = objects(answer).iter();
            objects.map(|o| text(&o["timestamp"]).to_owned()).collect()
        };
        let rising = times(&store.search(&json!({})).await.expect(200));
        assert!(rising.is_sorted() && rising.len() == 3, "{rising:?}");
        let falling = json!({"sort": ["-timestamp"]});
        let mut falling = times(&store.search(&falling).await.expect(200));
        falling.reverse();
        assert_eq!(rising, falling);
        let by_count = json!({"sort": ["-long.Vehicle"], "limit": 1});
        let most = store.search(&by_count).await.expect(200);
        assert_eq!(most["objects"][0]["long"]["Vehicle"], 3);
        // 20 documents unless asked.
        let many: Vec<Value> = (10..40)
            .map(|minute| json!({"timestamp": format!("2024-05-02T10:{minute}")}))
            .collect();
        let posted = store.api.post("/api/v4/meta/", &json!(many)).await;
        posted.expect(200);
        let page = store.search(&json!({})).await.expect(200);
        assert_eq!(
            (objects(&page).len(), &page["meta"]["total_count"]),
            (20, &json!(33))
        );
        let all = store.search(&json!({"limit": 1000})).await.expect(200);
        assert_eq!(objects(&all).len(), 33);
    }

    async fn line_12_a_filter_that_is_none_is_refused(database: &str) {
        let store = Store::open(database).await;
        for filter in [
            json!({"field": "timestamp", "gt": ""}),
            json!({"field": "long.Person", "like": 1}),
            json!({"field": "Person", "eq": 1}),
            json!({"field": "long.Person"}),
            json!({"field": "long.Person", "eq": "many"}),
            json!({"and": {"field": "long.Person", "eq": 1}}),
            json!([]),
        ] {
            let answer = store.search(&json!({ "filter": filter })).await;
            assert_vxg_error(&answer, 400);
        }
        assert_vxg_error(&store.search(&json!({"limit": -1})).await, 400);
        assert_vxg_error(&store.search(&json!({"sort": ["size"]})).await, 400);
    }

    async fn line_13_put_merges_and_delete_removes(database: &str) {
        let store = Store::open(database).await;
        let id = store.note();
        let put =
            json!([{"id": id, "string": {"description": "seen"}}, {"id": "none", "long": {"n": 1}}]);
        let answer = store.api.put("/api/v4/meta/", &put).await.expect(200);
        assert_eq!(statuses(&answer), [200, 404]);
        let merged = store.find(json!({"field": "id", "eq": id})).await;
        assert_eq!(
            merged[0]["string"],
            json!({"type": "note", "description": "seen"})
        );
        assert_eq!(merged[0]["long"]["Person"], 2);
        assert_eq!(merged[0]["long"]["Vehicle"], 0);
        assert_eq!(merged[0]["timestamp"], "2024-05-01T10:00:00.000000");
        let gone = store.delete("/api/v4/meta/", json!([{"id": id}])).await;
        assert_eq!(statuses(&gone.expect(200)), [200]);
        assert_eq!(store.count(json!({})).await, 2);
        let again = store.delete("/api/v4/meta/", json!([{"id": id}])).await;
        assert_eq!(statuses(&again.expect(200)), [404]);
        for everything in [
            json!({}),
            json!({"filter": {}}),
            json!({"filter": {"and": []}}),
        ] {
            let refused = store.delete("/api/v4/meta/filter/", everything).await;
            assert_vxg_error(&refused, 400);
        }
        assert_eq!(store.count(json!({})).await, 2);
        let by_filter = json!({"filter": {"field": "float.lux", "gt": 0.1}});
        store
            .delete("/api/v4/meta/filter/", by_filter)
            .await
            .expect(200);
        assert_eq!(store.count(json!({})).await, 1);
    }

    async fn line_13_documents_of_another_channel_cannot_be_reached(database: &str) {
        let store = Store::open(database).await;
        let other = create_channel_from(&store.server, "b", &nowhere()).await;
        let other = acc(&store.server, &other);
        let id = store.note();
        let put = json!([{"id": id, "string": {"type": "stolen"}}]);
        let answer = other.put("/api/v4/meta/", &put).await.expect(200);
        assert_eq!(statuses(&answer), [404]);
        let body = Some(json!([{ "id": id }]).to_string());
        let answer = other.send("DELETE", "/api/v4/meta/", &[], body).await;
        assert_eq!(statuses(&answer.expect(200)), [404]);
        let body = json!({"filter": {"field": "id", "eq": id}});
        let found = other.post("/api/v4/meta/filter/", &body).await.expect(200);
        assert_eq!(found["meta"]["total_count"], 0);
        let kept = store.find(json!({"field": "id", "eq": id})).await;
        assert_eq!(kept[0]["string"]["type"], "note");
    }

    /// Over a group, with SI (row 35 of the master table).

    async fn line_12_a_group_token_searches_all_its_channels(database: &str) {
        let store = Store::open(database).await;
        let api = &store.api;
        for filter in [
            json!({"field": "id", "eq": store.note()}),
            json!({"field": "float.lux", "gt": 0.1}),
        ] {
            let body = json!({ "filter": filter });
            let gone = store.delete("/api/v4/meta/filter/", body).await;
            gone.expect(200);
        }
        let other = create_channel_from(&store.server, "b", &nowhere()).await;
        let outside = create_channel_from(&store.server, "c", &nowhere()).await;
        for channel in [&other, &outside] {
            acc(&store.server, channel)
                .post(
                    "/api/v4/meta/",
                    &json!([{"timestamp": "2024-05-01T10:00:00"}]),
                )
                .await
                .expect(200);
        }
        let group = create_group(&store.server, &[&store.channel, &other]).await;
        let engine = store.server.api(&format!("SI {group}"));
        let path = "/api/v2/storage/meta/filter/";
        let found = engine.post(path, &json!({})).await.expect(200);
        assert_eq!(found["meta"]["total_count"], 2);
        let channels: Vec<&Value> = list(&found["objects"])
            .iter()
            .map(|o| &o["camid"])
            .collect();
        assert_eq!(
            channels,
            [&json!(other.id), &json!(store.channel.id)],
            "by time"
        );
        let own = api.post(path, &json!({})).await.expect(200);
        assert_eq!(own["meta"]["total_count"], 1);
        let foreign = format!("{path}?camid={}", outside.id);
        assert_vxg_error(&engine.post(&foreign, &json!({})).await, 404);
    }
}
