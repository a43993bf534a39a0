//! The `framewell` server binary: configuration, wiring, signals, subcommands.

mod accounts;
mod archive;
mod clips;
mod config;
mod decoders;
mod event_recording;
mod http;
mod impatient;
mod live;
mod logging;
mod motion_events;
mod notify;
mod on_demand;
mod open_files;
mod pictures;
mod reconcile;
mod rtmp;
mod schedule;
mod sessions;
mod shutdown;
mod signing_key;
mod webrtc;
mod wiring;

use anyhow::Context;
use archive::Answer;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Video back end for AI engines: cameras in, one group token out.
#[derive(Debug, Parser)]
#[command(name = "framewell", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(ServeArgs),
    /// Manage accounts and their license keys.
    Account {
        #[command(subcommand)]
        command: AccountCommand,
    },
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Compare the catalog with the stored segments, repair it, or make it again from them. Ends with 0 if
    /// nothing is wrong, 1 if something is, 2 if it could not be finished.
    Check(archive::CheckArgs),
    /// Prove that recorded footage, or an exported clip, was not changed. Ends as `check` does.
    Verify(archive::VerifyArgs),
    /// Print the public key that manifests of clips are signed with.
    SigningKey {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print the OpenAPI document of the native API.
    Openapi,
}

/// Where the configuration comes from, and what overrides it.
#[derive(Debug, Args, Default)]
struct ConfigArgs {
    /// Configuration file (TOML). Without it `framewell.toml` is read if it exists.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for the database, the recordings and the signing key.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// `sqlite:PATH` or `postgres://…`.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address of the HTTP server, for example `0.0.0.0:8080`; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    http_listen: Option<String>,
    /// Address of the RTSP server, for example `0.0.0.0:8554`; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    rtsp_listen: Option<String>,
    /// Address of the RTMP server, for example `0.0.0.0:1935`; port 0 takes a free one, empty: none.
    #[arg(long, value_name = "ADDR")]
    rtmp_listen: Option<String>,
    /// Write the bound addresses to this file as JSON once the server answers.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Create an account and show its license key, once.
    Create {
        /// Unique name.
        name: String,
        /// Print JSON: `{"account":1,"license_key":"…"}`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Make a new license key for an account and show it, once; the old key opens nothing any more.
    NewKey {
        /// Name of the account.
        name: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Revoke the tokens of a channel or a group; the API then shows new ones.
    Revoke {
        /// Name of the account.
        name: String,
        /// Both tokens of this channel.
        #[arg(long, value_name = "ID", required_unless_present = "group")]
        channel: Option<i64>,
        /// The token of this group.
        #[arg(long, value_name = "ID")]
        group: Option<i64>,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List accounts.
    List {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the effective values with secrets hidden, or say what is wrong.
    Check {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            logging::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let done = match cli.command {
        Command::Check(args) => return Ok(judge(archive::check(&args).map(Into::into))),
        Command::Verify(args) => return Ok(judge(archive::verify(&args))),
        Command::SigningKey { config } => archive::show_key(&config),
        Command::Serve(args) => serve(&args),
        Command::Account { command } => account(command),
        Command::Config {
            command: ConfigCommand::Check { config },
        } => {
            let config = config::load(&config::Overrides::from(&config))?;
            logging::print(&config::render(&config)?);
            Ok(())
        }
        Command::Openapi => {
            let document = framewell_api::openapi_document(env!("CARGO_PKG_VERSION"));
            logging::print(&serde_json::to_string_pretty(&document).context("rendering failed")?);
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// 0: nothing is wrong, 1: something is, 2: nobody knows, 3: nobody knows whose signature it is.
fn judge(answer: anyhow::Result<Answer>) -> ExitCode {
    match answer {
        Ok(Answer::Right) => ExitCode::SUCCESS,
        Ok(Answer::Wrong) => ExitCode::from(1),
        Ok(Answer::UncheckedSigner) => ExitCode::from(3),
        Err(error) => {
            logging::print_error(&error);
            ExitCode::from(2)
        }
    }
}

fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let mut overrides = config::Overrides::from(&args.config);
    overrides.http_listen.clone_from(&args.http_listen);
    overrides.rtsp_listen.clone_from(&args.rtsp_listen);
    overrides.rtmp_listen.clone_from(&args.rtmp_listen);
    let config = config::load(&overrides)?;
    logging::init(&config.log)?;
    let ready_file = args.ready_file.clone();
    runtime()?.block_on(wiring::serve(config, ready_file))
}

fn account(command: AccountCommand) -> anyhow::Result<()> {
    match command {
        AccountCommand::Create { name, json, config } => {
            let config = config::load(&config::Overrides::from(&config))?;
            runtime()?.block_on(accounts::create(&config, &name, json))
        }
        AccountCommand::NewKey { name, config } => {
            let config = config::load(&config::Overrides::from(&config))?;
            runtime()?.block_on(accounts::renew_key(&config, &name))
        }
        AccountCommand::Revoke {
            name,
            channel,
            group,
            config,
        } => {
            let config = config::load(&config::Overrides::from(&config))?;
            runtime()?.block_on(accounts::revoke(&config, &name, channel, group))
        }
        AccountCommand::List { config } => {
            let config = config::load(&config::Overrides::from(&config))?;
            runtime()?.block_on(accounts::list(&config))
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start of the async runtime failed")
}
