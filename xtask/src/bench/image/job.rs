//! What is asked of each tool, and how long it took.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use framewell_model::WallTime;

use super::outcome::Outcome;
use super::recording::Recording;
use crate::bench::meter;
use crate::http::{self, Client};
use crate::{run, stop, term, workspace};

/// A job that every tool does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Job<'a> {
    /// Exact pictures at these seconds from the start, one after the other.
    Random(&'a [f64]),
    /// The key frames at or before these seconds, likewise.
    Key(&'a [f64]),
    /// A picture each period (seconds) over so many seconds.
    Sample(f64, u64),
    /// Every key frame of so many seconds.
    Keys(u64),
}

impl Job<'_> {
    /// As `pictures.py` wants it.
    fn arguments(self) -> Vec<String> {
        let offsets = |name: &str, offsets: &[f64]| {
            let offsets = offsets.iter().map(|offset| format!("{offset:.3}"));
            std::iter::once(name.to_owned()).chain(offsets).collect()
        };
        match self {
            Self::Random(list) => offsets("random", list),
            Self::Key(list) => offsets("key", list),
            Self::Sample(period, seconds) => {
                vec!["sample".into(), period.to_string(), seconds.to_string()]
            }
            Self::Keys(seconds) => vec!["keys".into(), seconds.to_string()],
        }
    }
}

/// The other tools.
pub(super) struct Theirs<'a> {
    pub(super) python: &'a Path,
    pub(super) limit: &'a Path,
    /// The footage in one MP4 file.
    pub(super) file: &'a Path,
}

/// Ours first, then the others.
pub(super) fn side_by_side(
    recording: &Recording,
    theirs: &Theirs<'_>,
    job: Job<'_>,
) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = vec![ours(recording, job)?];
    let printed = run::output(
        run::program(theirs.python)
            .arg(workspace::root().join("xtask/bench/pictures.py"))
            .arg(theirs.file)
            .arg(theirs.limit)
            .args(job.arguments()),
    )?;
    for line in printed.lines() {
        outcomes.push(serde_json::from_str(line).with_context(|| line.to_owned())?);
    }
    for outcome in &outcomes {
        term::note(&outcome.line());
    }
    Ok(outcomes)
}

fn ours(recording: &Recording, job: Job<'_>) -> anyhow::Result<Outcome> {
    match job {
        Job::Random(offsets) => one_by_one(recording, offsets, ""),
        Job::Key(offsets) => one_by_one(recording, offsets, "&match=keyframe"),
        Job::Sample(period, seconds) => {
            let every = format!("every={}ms", period * 1000.0);
            batch(recording, &every, seconds)
        }
        Job::Keys(seconds) => batch(recording, "keyframes=true", seconds),
    }
}

/// One request after the other, as a client that waits for each picture. The client's own CPU is not charged.
pub(super) fn one_by_one(
    recording: &Recording,
    offsets: &[f64],
    more: &str,
) -> anyhow::Result<Outcome> {
    let client = recording.client();
    let channel = recording.channel.id;
    measure(recording, |latencies_s| {
        for offset in offsets {
            stop::check()?;
            let at = (recording.start + Duration::from_secs_f64(*offset)).to_rfc3339();
            let path = format!("/v1/channels/{channel}/image?at={at}{more}");
            let before = Instant::now();
            picture(&client, &path)?;
            latencies_s.push(before.elapsed().as_secs_f64());
        }
        Ok(offsets.len())
    })
}

fn picture(client: &Client, path: &str) -> anyhow::Result<()> {
    let answer = client.request("GET", path, None)?;
    let is_jpeg = answer.status == 200 && answer.body.starts_with(&[0xff, 0xd8]);
    let text = || String::from_utf8_lossy(&answer.body).into_owned();
    anyhow::ensure!(is_jpeg, "{path}: {} {}", answer.status, text());
    Ok(())
}

/// One request for all pictures of a range.
fn batch(recording: &Recording, rule: &str, seconds: u64) -> anyhow::Result<Outcome> {
    let from = recording.start;
    let to = from + Duration::from_secs(seconds);
    measure(recording, |_| {
        let mut count = 0;
        parts(recording, from, to, rule, |_| count += 1)?;
        Ok(count)
    })
}

/// Time from the request to the end of the first picture of a range.
pub(super) fn first_of(
    recording: &Recording,
    from: WallTime,
    to: WallTime,
    rule: &str,
) -> anyhow::Result<f64> {
    let path = path(recording, from, to, rule);
    let before = Instant::now();
    let mut reader = recording.client().stream(&path)?;
    let part = http::next_part(&mut reader)?.context("no picture")?;
    anyhow::ensure!(part.body.starts_with(&[0xff, 0xd8]), "{path}: no JPEG");
    Ok(before.elapsed().as_secs_f64())
}

fn path(recording: &Recording, from: WallTime, to: WallTime, rule: &str) -> String {
    format!(
        "/v1/channels/{}/images?from={}&to={}&{rule}",
        recording.channel.id,
        from.to_rfc3339(),
        to.to_rfc3339()
    )
}

fn parts(
    recording: &Recording,
    from: WallTime,
    to: WallTime,
    rule: &str,
    mut each: impl FnMut(&http::Part),
) -> anyhow::Result<()> {
    let path = path(recording, from, to, rule);
    let mut reader = recording.client().stream(&path)?;
    while let Some(part) = http::next_part(&mut reader)? {
        stop::check()?;
        // What is no picture is said in JSON: a gap, an error, the end.
        if part.header("content-type") == Some("image/jpeg") {
            each(&part);
        }
    }
    Ok(())
}

fn measure(
    recording: &Recording,
    work: impl FnOnce(&mut Vec<f64>) -> anyhow::Result<usize>,
) -> anyhow::Result<Outcome> {
    let roots = [recording.server.process.pid()];
    let mut latencies_s = Vec::new();
    let (cpu, start) = (meter::cpu_seconds(&roots), Instant::now());
    let pictures = work(&mut latencies_s)?;
    Ok(Outcome {
        tool: "Framewell".to_owned(),
        pictures,
        wall_s: start.elapsed().as_secs_f64(),
        cpu_s: meter::cpu_seconds(&roots) - cpu,
        latencies_s,
    })
}

/// Uniform over the range, on the frames of 25 a second, the same on every run.
pub(super) fn random_offsets(count: usize, seconds: u64) -> Vec<f64> {
    // Knuth's 64-bit linear congruential generator; its upper bits are random enough to choose frames.
    let mut state: u64 = 7;
    let frames = seconds * 25 - 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let frame = (state >> 33) % frames;
            #[expect(clippy::cast_precision_loss, reason = "frame numbers far below 2^52")]
            let offset = frame as f64 / 25.0;
            offset
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_instants_are_frames_within_the_range_and_the_same_every_time() {
        let offsets = random_offsets(500, 600);
        assert_eq!(offsets, random_offsets(500, 600));
        assert!(offsets.iter().all(|offset| (0.0..600.0).contains(offset)));
        let mean = offsets.iter().sum::<f64>() / 500.0;
        assert!((250.0..350.0).contains(&mean), "{mean}");
    }
}
