//! Waiting until every channel is live and has recordings, with a line for each change.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::http::Client;
use crate::server::{Entry, Server};
use crate::term;

/// Connecting takes a second, the first segment its length and the rest of a GOP; the machine may be slow.
const LIMIT: Duration = Duration::from_secs(90);

/// Returns once the group's list says active and recording for all, and each has a record.
pub(super) fn until_recorded(
    server: &mut Server,
    channels: &[Entry],
    group: &Entry,
) -> anyhow::Result<()> {
    let http = server.http;
    let engine = Client::new(http, format!("SI {}", group.token));
    let mut told: BTreeMap<i64, String> = BTreeMap::new();
    let mut fault = None;
    server
        .process
        .wait_until("recording of every camera", LIMIT, || {
            let states = states(&engine, http, channels);
            let states = match states {
                Ok(states) => states,
                Err(error) => {
                    fault = Some(error);
                    return true;
                }
            };
            for (channel, state) in channels.iter().zip(&states) {
                if told.get(&channel.id) != Some(&state.text) {
                    term::note(&format!("{:<28} {}", channel.name, state.text));
                    told.insert(channel.id, state.text.clone());
                }
            }
            states.iter().all(|state| state.is_recorded)
        })?;
    fault.map_or(Ok(()), Err)
}

struct State {
    text: String,
    is_recorded: bool,
}

fn states(
    engine: &Client,
    http: std::net::SocketAddr,
    channels: &[Entry],
) -> anyhow::Result<Vec<State>> {
    let list = engine.json("GET", "/api/v5/channels/?limit=1000", None)?;
    let objects = list["objects"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    channels
        .iter()
        .map(|channel| {
            let object = objects
                .iter()
                .find(|object| object["id"] == channel.id)
                .unwrap_or(&Value::Null);
            let acc = Client::new(http, format!("Acc {}", channel.token));
            let records = acc.json("GET", "/api/v4/storage/records/?limit=1", None)?;
            let has_records = records["meta"]["total_count"]
                .as_i64()
                .is_some_and(|count| count > 0);
            let status = object["status"]
                .as_str()
                .unwrap_or("not in the group's list");
            let recording = object["recording"] == true;
            Ok(State {
                text: format!(
                    "{status}{}{}",
                    if recording { ", recording" } else { "" },
                    if has_records { ", has records" } else { "" }
                ),
                is_recorded: status == "active" && recording && has_records,
            })
        })
        .collect()
}
