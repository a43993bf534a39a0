//! `framewell check`, `framewell verify` and `framewell signing-key`: they work beside a running server, but
//! for a rebuild.

use crate::config::{Config, Overrides};
use crate::{ConfigArgs, config, logging, signing_key, wiring};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use framewell_archive::manifest::{self, PublicKey, Signer};
use framewell_archive::{
    Archive, CheckOptions, CheckReport, Depth, Progress, RebuildReport, Verdict, VerifyReport,
};
use framewell_live::SystemClock;
use framewell_model::{AccountId, ChannelId, TimeRange, WallTime};
use serde::Serialize;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two lines about how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// What a database does not give back, as the last lines of a rebuild say.
const NOT_REBUILT: &str = "\
Segments say nothing of the following, which is lost with a database and not rebuilt: names, sources \
(camera addresses and passwords), schedules and retention of channels; accounts, license keys and tokens (none \
of the old ones opens anything any more); groups; events, metadata, rules, webhooks, stored pictures and stored clips; why \
footage is missing between two runs. Records have got new numbers.";

fn read_channel(text: &str) -> Result<ChannelId, String> {
    ChannelId::parse_stored(text).ok_or_else(|| format!("{text:?} is not a valid channel id"))
}

/// `framewell check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// How closely objects are looked at.
    #[arg(long, value_enum, default_value_t = DepthArg::Headers)]
    depth: DepthArg,
    /// Only this channel; of the sub stream of channel 7, `7-sub`.
    #[arg(long, value_name = "ID", conflicts_with = "rebuild", value_parser = read_channel)]
    channel: Option<ChannelId>,
    /// Repair what can be repaired without losing anything.
    #[arg(long, conflicts_with = "rebuild")]
    repair: bool,
    /// Make the rows of footage again from the stored segments. No server may run.
    #[arg(long, requires = "account")]
    rebuild: bool,
    /// Account that gets the channels which have no row; it is made if there is none of that name.
    #[arg(long, value_name = "NAME", requires = "rebuild")]
    account: Option<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DepthArg {
    /// That they are there, and their length.
    List,
    /// Also two small reads of each.
    Headers,
    /// Every byte.
    Full,
}

impl From<DepthArg> for Depth {
    fn from(depth: DepthArg) -> Self {
        match depth {
            DepthArg::List => Self::List,
            DepthArg::Headers => Self::Headers,
            DepthArg::Full => Self::Full,
        }
    }
}

/// `framewell verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Prove the recorded footage of this channel; of the sub stream of channel 7, `7-sub`.
    #[arg(long, value_name = "ID", required_unless_present = "manifest", value_parser = read_channel)]
    channel: Option<ChannelId>,
    /// From this moment on (RFC 3339); without it, from the first segment on.
    #[arg(long, value_name = "TIME", requires = "channel")]
    start: Option<WallTime>,
    /// Up to this moment; without it, to the last segment.
    #[arg(long, value_name = "TIME", requires = "channel")]
    end: Option<WallTime>,
    /// Check a file against this manifest, without server and database.
    #[arg(
        long,
        value_name = "FILE",
        requires = "file",
        conflicts_with = "channel"
    )]
    manifest: Option<PathBuf>,
    /// The clip that the manifest is about.
    #[arg(long, value_name = "FILE", requires = "manifest")]
    file: Option<PathBuf>,
    /// The server's public key, as `/v1/server/signing-key` and `framewell signing-key` show it. Without it the
    /// manifest is only found to be signed by the key that it names, which may be anybody's: the command ends with 3.
    #[arg(long, value_name = "KEY", requires = "manifest")]
    key: Option<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What a check or a proof ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing is wrong.
    Right,
    /// Something is.
    Wrong,
    /// A clip fits its manifest, and nobody said whose key is to be believed.
    UncheckedSigner,
}

impl From<bool> for Answer {
    fn from(is_right: bool) -> Self {
        if is_right { Self::Right } else { Self::Wrong }
    }
}

/// Whether nothing was found that is wrong.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<bool> {
    let config = config::load(&Overrides::from(&args.config))?;
    crate::runtime()?.block_on(async {
        let archive = open(&config).await?;
        let clean = match &args.account {
            Some(account) if args.rebuild => rebuild(&archive, account, args.json).await,
            _ => compare(&archive, args).await,
        };
        archive.catalog.close().await;
        clean
    })
}

async fn compare(archive: &Archive, args: &CheckArgs) -> anyhow::Result<bool> {
    let options = CheckOptions {
        depth: args.depth.into(),
        repair: args.repair,
        channel: args.channel,
        ..CheckOptions::default()
    };
    let report = archive.check(&options, teller()).await;
    let report = report.context("the check could not be finished")?;
    if args.json {
        print_json(&report)?;
    } else {
        print_check(&report);
    }
    Ok(report.is_clean())
}

fn print_check(report: &CheckReport) {
    for finding in &report.findings.listed {
        logging::print(&finding.to_string());
    }
    if report.findings.not_listed > 0 {
        logging::print(&format!("and {} more", report.findings.not_listed));
    }
    logging::print(&format!(
        "{} channels, {} rows, {} objects of {} bytes, {} files of {} bytes in the spool folder; {} findings, {} open",
        report.channels,
        report.rows,
        report.objects,
        report.bytes,
        report.spool_files,
        report.spool_bytes,
        report.findings.listed.len() as u64 + report.findings.not_listed,
        report.findings.open,
    ));
}

async fn rebuild(archive: &Archive, account: &str, json: bool) -> anyhow::Result<bool> {
    let now = archive.clock.now();
    // Serial numbers of tokens begin where none of the lost database can have been.
    let skipped = archive.catalog.skip_token_serials(now.secs()).await;
    skipped.context("the database cannot be used")?;
    let id = account_of(archive, account).await?;
    let report = archive.rebuild(id, teller()).await;
    let report = report.context("the rebuild could not be finished; it may be repeated")?;
    if json {
        print_json(&report)?;
    } else {
        print_rebuild(&report, account);
    }
    Ok(report.findings.open == 0)
}

async fn account_of(archive: &Archive, name: &str) -> anyhow::Result<AccountId> {
    let accounts = archive.catalog.list_accounts().await?;
    if let Some(known) = accounts.iter().find(|account| account.name == name) {
        return Ok(known.id);
    }
    let made = archive.catalog.create_account(name, archive.clock.now());
    Ok(made.await.context("the account could not be made")?.id)
}

fn print_rebuild(report: &RebuildReport, account: &str) {
    for finding in &report.findings.listed {
        logging::print(&finding.to_string());
    }
    for channel in &report.channels {
        let made = if channel.is_new {
            format!("made in account {account:?}")
        } else {
            "known".to_owned()
        };
        let stream = if channel.stream == "sub" { "-sub" } else { "" };
        let bounds = match (&channel.from, &channel.to) {
            (Some(from), Some(to)) => format!(", footage from {from} to {to}"),
            _ => String::new(),
        };
        logging::print(&format!(
            "channel {}{stream} ({made}): {} segments of {} bytes added, {} runs, {} holes inside of runs, {} segments named by \
             others and lost, {} files in the spool folder for the next start{bounds}",
            channel.channel,
            channel.segments,
            channel.bytes,
            channel.runs,
            channel.holes,
            channel.lost_segments,
            channel.spool_files,
        ));
    }
    logging::print(&format!(
        "\n{NOT_REBUILT}\n\n`framewell account new-key {account}` shows the license key of the account."
    ));
}

/// Whether everything is proved.
pub(crate) fn verify(args: &VerifyArgs) -> anyhow::Result<Answer> {
    if let (Some(manifest), Some(file)) = (&args.manifest, &args.file) {
        return verify_file(manifest, file, args);
    }
    let Some(channel) = args.channel else {
        bail!("--channel or --manifest says what is to be verified");
    };
    let start = args.start.unwrap_or(WallTime::from_micros(0));
    let end = args.end.unwrap_or(WallTime::from_micros(i64::MAX));
    let range = TimeRange::new(start, end).context("--end lies before --start")?;
    let config = config::load(&Overrides::from(&args.config))?;
    crate::runtime()?.block_on(async {
        let archive = open(&config).await?;
        let report = archive.verify(channel, range, teller()).await;
        archive.catalog.close().await;
        let report = report.context("the proof could not be finished")?;
        if args.json {
            print_json(&report)?;
        } else {
            print_proof(&report);
        }
        Ok((report.verdict == Verdict::Intact).into())
    })
}

fn print_proof(report: &VerifyReport) {
    for known in &report.breaks {
        let (segment, start) = (known.segment, known.start);
        logging::print(&format!("segment {segment} of {start}: {}", known.what));
    }
    for hole in &report.gaps {
        let end = hole.end.map_or("now".to_owned(), |end| end.to_string());
        logging::print(&format!(
            "no footage from {} to {end}: {}",
            hole.start, hole.reason
        ));
    }
    for gone in &report.deleted {
        logging::print(&format!(
            "segment {} is missing: footage from {} to {} was deleted on {} by {}, as the catalog says",
            gone.segment, gone.start, gone.end, gone.at, gone.reason
        ));
    }
    let sealed = report.sealed;
    logging::print(&format!(
        "{} segments of {} bytes; digests taken while written: {}, after a crash: {}, of uploads: {}, by a rebuild: {}, \
         never: {}; {} are vouched for by the segment behind them",
        report.segments,
        report.bytes,
        sealed.written,
        sealed.recovered,
        sealed.imported,
        sealed.rebuilt,
        sealed.never,
        report.vouched,
    ));
    if let Some(gone) = report.gone_before {
        logging::print(&format!(
            "what came before the first segment ({gone}) is no longer stored"
        ));
    }
    let sentence = match (report.verdict, report.breaks.first()) {
        (Verdict::Broken, Some(first)) => {
            format!(
                "BROKEN: first at segment {} of {}",
                first.segment, first.start
            )
        }
        (Verdict::Intact, _) if !report.deleted.is_empty() => {
            "INTACT, but for what the catalog says was deleted".to_owned()
        }
        (Verdict::Intact, _) => "INTACT".to_owned(),
        _ => "UNPROVEN: nothing speaks against it, but not all of it has a digest".to_owned(),
    };
    let digest = report
        .last_digest
        .map(|digest| format!("; last digest {digest}"));
    logging::print(&format!("{sentence}{}", digest.unwrap_or_default()));
}

/// What a check of a file says.
#[derive(Serialize)]
struct FileAnswer {
    is_good: bool,
    /// Whether the key was given, and not only read from the manifest.
    key_is_known: bool,
    public_key: String,
    channel: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    presented: manifest::Span,
    segments: usize,
    #[serde(flatten)]
    file: manifest::FileReport,
}

/// As it may be shown on a terminal: what a stranger wrote moves no cursor there.
fn shown(text: &str) -> std::str::EscapeDebug<'_> {
    text.escape_debug()
}

fn verify_file(manifest: &Path, file: &Path, args: &VerifyArgs) -> anyhow::Result<Answer> {
    let text = std::fs::read_to_string(manifest);
    let text = text.with_context(|| format!("{} cannot be read", manifest.display()))?;
    let key = args.key.as_deref().map(str::parse::<PublicKey>);
    let key = key.transpose().context("--key is no public key")?;
    let (opened, signer) = match manifest::open(&text, key.as_ref()) {
        Ok(opened) => opened,
        Err(error) => {
            logging::print(&format!("NOT VERIFIED: {}", shown(&error.to_string())));
            return Ok(Answer::Wrong);
        }
    };
    let clip = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let report = manifest::check_file(&opened, clip).context("the clip cannot be read")?;
    let is_good = report.is_good();
    let answer = match (is_good, key.is_some()) {
        (true, false) => Answer::UncheckedSigner,
        (is_good, _) => is_good.into(),
    };
    if args.json {
        print_json(&FileAnswer {
            is_good,
            key_is_known: key.is_some(),
            public_key: signer.to_string(),
            channel: opened.channel,
            stream: opened.stream,
            presented: opened.presented,
            segments: opened.segments.len(),
            file: report,
        })?;
        return Ok(answer);
    }
    for fault in &report.faults {
        let whose = fault.segment.as_deref().unwrap_or("around the media");
        let (from, to) = (fault.offset, fault.offset.saturating_add(fault.length));
        let whose = shown(whose);
        logging::print(&format!("bytes {from} to {to}, {whose}: {}", fault.what));
    }
    let known = if key.is_some() {
        "the key that was given"
    } else {
        "whose key that is was not checked: compare it with the server's, or give it as --key"
    };
    let verdict = match answer {
        Answer::Right => "VERIFIED",
        Answer::UncheckedSigner => "UNCHANGED, SIGNER NOT CHECKED",
        Answer::Wrong => "CHANGED",
    };
    let stream = opened.stream.as_deref();
    let stream = stream.map(|name| format!(" ({} stream)", shown(name)));
    logging::print(&format!(
        "{verdict}: channel {}{}, {} to {}, {} segments; signed with {signer} ({known})",
        opened.channel,
        stream.unwrap_or_default(),
        shown(&opened.presented.start),
        shown(&opened.presented.end),
        opened.segments.len()
    ));
    Ok(answer)
}

/// Prints the public key that manifests of this installation are signed with.
pub(crate) fn show_key(config: &ConfigArgs) -> anyhow::Result<()> {
    let config = config::load(&Overrides::from(config))?;
    wiring::prepare_data_dir(&config.data_dir)?;
    let key = signing_key::load_or_create(&config.data_dir)?;
    logging::print(&Signer::new(&key.manifest_seed()).public_key().to_string());
    Ok(())
}

async fn open(config: &Config) -> anyhow::Result<Archive> {
    wiring::prepare_data_dir(&config.data_dir)?;
    Ok(Archive {
        catalog: wiring::open_catalog(config).await?,
        blobs: wiring::open_store(config)?,
        spool_dir: wiring::spool_dir(config),
        clock: Arc::new(SystemClock),
    })
}

/// Says on standard error how far it is, every now and then.
fn teller() -> impl FnMut(Progress) {
    let mut last = Instant::now();
    move |progress| {
        if last.elapsed() >= PROGRESS_EVERY {
            last = Instant::now();
            logging::print_note(&format!(
                "channel {}, {}: {} objects, {} MB",
                progress.channel,
                progress.at,
                progress.objects,
                progress.bytes / 1_000_000
            ));
        }
    }
}

fn print_json(report: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report).context("rendering failed")?;
    logging::print(&text);
    Ok(())
}
