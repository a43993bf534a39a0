//! What a person can try while the demo is up: tokens, URLs, commands to paste.

use serde_json::Value;

use crate::http::Client;
use crate::server::{Entry, Server};
use crate::term;

/// Prints it. The URLs of the streams are the ones that the server gives, tickets included.
pub(super) fn what_to_try(
    server: &Server,
    channels: &[Entry],
    group: &Entry,
) -> anyhow::Result<()> {
    let base = server.url();
    term::step("The server stays up until Ctrl-C. Try it:");
    println!(
        "\nGroup token: all that an AI engine needs\n  export GROUP_TOKEN={}",
        group.token
    );
    println!(
        "License key: administers channels and groups\n  export LICENSE_KEY={}",
        server.license_key
    );
    println!("\nThe cameras of the group, as an engine sees them");
    println!("  curl -s -H \"Authorization: SI $GROUP_TOKEN\" {base}/api/v5/channels/");
    println!("All channels, as the administrator sees them");
    println!("  curl -s -H \"Authorization: LKey $LICENSE_KEY\" {base}/api/v3/channels/");
    for channel in channels {
        tell_channel(server, &base, channel)?;
    }
    println!("\nThe native API in a browser\n  {base}/docs");
    println!(
        "The AI engine again\n  target/python-examples/bin/python clients/python/examples/people_counter.py $GROUP_TOKEN"
    );
    Ok(())
}

fn tell_channel(server: &Server, base: &str, channel: &Entry) -> anyhow::Result<()> {
    let acc = Client::new(server.http, format!("Acc {}", channel.token));
    let live = acc.json("GET", "/api/v4/live/watch/", None)?;
    let record = acc.json(
        "GET",
        "/api/v4/storage/records/?limit=1&order_by=-time",
        None,
    )?;
    let id = channel.id;
    println!(
        "\nChannel {id}: {}\n  export TOKEN_{id}={}",
        channel.name, channel.token
    );
    println!(
        "  curl -s -H \"Authorization: Bearer $TOKEN_{id}\" {base}/v1/channels/{id}/image -o now.jpg"
    );
    if let Some(start) = record["objects"][0]["start"].as_str() {
        println!(
            "  curl -s -H \"Authorization: Bearer $TOKEN_{id}\" \"{base}/v1/channels/{id}/image?at={start}Z\" -o then.jpg"
        );
        let end = record["objects"][0]["end"].as_str().unwrap_or_default();
        println!(
            "  curl -s -H \"Authorization: Bearer $TOKEN_{id}\" \
             \"{base}/v1/channels/{id}/clip.mp4?start={start}Z&end={end}Z\" -o clip.mp4"
        );
    }
    println!("  ffplay -rtsp_transport tcp '{}'", text(&live["rtsp"]));
    println!("  vlc '{}'", text(&live["hls"]));
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
