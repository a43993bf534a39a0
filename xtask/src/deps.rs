//! The system packages of Debian and Ubuntu: which are missing, why they are wanted, and their installation.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use clap::ValueEnum;

use crate::{run, term, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the packages are for.
    #[arg(value_enum, default_value = "build")]
    purpose: Purpose,
    /// Only say what is missing; the exit status is 1 if something is.
    #[arg(long)]
    list: bool,
}

/// What somebody wants to do with the checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// Compile the workspace.
    Build,
    /// Run `cargo xtask demo`.
    Demo,
    /// Run `cargo xtask test`.
    Test,
    /// Run `cargo xtask bench`.
    Bench,
}

/// A package and what it is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Package {
    name: &'static str,
    why: &'static str,
    /// Its name in releases that call it otherwise.
    or_name: Option<&'static str>,
    /// Programs any of which makes the package unneeded (a browser from elsewhere, for example).
    or_programs: &'static [&'static str],
}

impl Package {
    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.or_name)
    }

    /// The name that this machine's package lists know; the usual one if they know none, for apt-get to complain about.
    fn name_here(&self, is_known: impl Fn(&str) -> bool) -> &'static str {
        self.names()
            .find(|name| is_known(name))
            .unwrap_or(self.name)
    }
}

/// Whether apt could install a package of this name.
fn is_known(name: &str) -> bool {
    let mut show = Command::new("apt-cache");
    show.args(["show", "--no-all-versions", name])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    show.status().is_ok_and(|status| status.success())
}

const fn package(name: &'static str, why: &'static str) -> Package {
    Package {
        name,
        why,
        or_name: None,
        or_programs: &[],
    }
}

const BUILD: &[Package] = &[
    package("build-essential", "C compiler and linker"),
    package("pkg-config", "finds FFmpeg's libraries"),
    package("cmake", "builds the bundled libjpeg-turbo and AWS-LC"),
    package("nasm", "assembles the fast paths of libjpeg-turbo"),
    package("clang", "reads FFmpeg's headers for the decoder's bindings"),
    package("libclang-dev", "the same, as a library"),
    package("libavcodec-dev", "FFmpeg's decoders, for framewell-decoder"),
    package("libavformat-dev", "FFmpeg, for framewell-decoder"),
    package("libavutil-dev", "FFmpeg, for framewell-decoder"),
    package("libavfilter-dev", "FFmpeg, for framewell-decoder"),
    package("libswscale-dev", "FFmpeg's scaler, for framewell-decoder"),
    package("libswresample-dev", "FFmpeg, for framewell-decoder"),
];

const DEMO: &[Package] = &[
    package("ffmpeg", "encodes the synthetic cameras"),
    package("python3", "runs the example AI engine"),
    package(
        "python3-venv",
        "keeps the engine's Python packages in target/",
    ),
];

const TEST: &[Package] = &[
    package("postgresql", "the second database of the catalog's tests"),
    package("mosquitto", "the broker that MQTT is tested against"),
    package("mosquitto-clients", "listens to that broker"),
    package("openssl", "makes its certificate"),
    package("gstreamer1.0-tools", "plays RTSP: gst-launch-1.0"),
    package("gstreamer1.0-plugins-good", "its RTSP client"),
    package("mpv", "plays every protocol, live and recorded"),
    Package {
        name: "chromium",
        why: "plays HLS in the browser test",
        // Ubuntu's, which installs a snap.
        or_name: Some("chromium-browser"),
        or_programs: &["chromium", "chromium-browser", "google-chrome"],
    },
];

const BENCH: &[Package] = &[
    Package {
        name: "libturbojpeg0",
        why: "JPEG for PyAV, which the pictures are measured against",
        or_name: Some("libturbojpeg"),
        or_programs: &[],
    },
    package(
        "gir1.2-gst-rtsp-server-1.0",
        "the RTSP server that ours is measured against",
    ),
    package("python3-gi", "starts it"),
    package("gstreamer1.0-plugins-good", "its source and payloader"),
    package("gstreamer1.0-plugins-bad", "its parser"),
    package(
        "nginx-light",
        "serves the HLS files that ours are measured against",
    ),
    package(
        "libnginx-mod-rtmp",
        "the RTMP server that ours is measured against",
    ),
];

fn wanted(purpose: Purpose) -> Vec<Package> {
    let lists: &[&[Package]] = match purpose {
        Purpose::Build => &[BUILD],
        Purpose::Demo => &[BUILD, DEMO],
        Purpose::Test => &[BUILD, DEMO, TEST],
        Purpose::Bench => &[BUILD, DEMO, BENCH],
    };
    lists.concat()
}

pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    if !args.list {
        return ensure(args.purpose);
    }
    let missing = missing(args.purpose)?;
    for package in &missing {
        println!("{:<20} {}", package.name, package.why);
    }
    anyhow::ensure!(missing.is_empty(), "{} packages are missing", missing.len());
    println!("nothing is missing");
    Ok(())
}

/// Installs what is missing for `purpose`, after saying what that is.
pub(crate) fn ensure(purpose: Purpose) -> anyhow::Result<()> {
    term::step("System packages");
    if workspace::find_program("dpkg-query").is_none() {
        let names: Vec<&str> = wanted(purpose).iter().map(|package| package.name).collect();
        term::note("This is no Debian or Ubuntu: nothing is installed. Wanted, by Debian's names:");
        term::note(&names.join(" "));
        return Ok(());
    }
    let missing = missing(purpose)?;
    if missing.is_empty() {
        term::note("all there");
        return Ok(());
    }
    term::note("These are missing and will be installed with apt-get:");
    for package in &missing {
        term::note(&format!("  {:<20} {}", package.name, package.why));
    }
    install(&missing)
}

/// The wanted packages that are not installed.
fn missing(purpose: Purpose) -> anyhow::Result<Vec<Package>> {
    let wanted = wanted(purpose);
    let mut query = Command::new("dpkg-query");
    query
        .args(["-W", "-f", "${Package} ${db:Status-Status}\\n"])
        .args(wanted.iter().flat_map(|package| package.names()));
    // It complains about names it has never heard of: those are the missing ones.
    let out = query
        .stderr(Stdio::null())
        .output()
        .context("dpkg-query could not be started")?;
    let listing = String::from_utf8_lossy(&out.stdout);
    let installed = parse_installed(&listing);
    Ok(wanted
        .into_iter()
        .filter(|package| !package.names().any(|name| installed.contains(name)))
        .filter(|package| {
            !package
                .or_programs
                .iter()
                .any(|name| workspace::find_program(name).is_some())
        })
        .collect())
}

fn parse_installed(listing: &str) -> BTreeSet<&str> {
    listing
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .collect()
}

fn install(packages: &[Package]) -> anyhow::Result<()> {
    let prefix = root_prefix()?;
    let apt = |args: &[&str]| {
        let words: Vec<&str> = prefix
            .iter()
            .copied()
            .chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .collect();
        let mut command = run::program(words[0]);
        // sudo may have to ask for the password.
        command.args(&words[1..]).args(args).stdin(Stdio::inherit());
        command
    };
    run::expect_success(&mut apt(&["update", "-q"]))?;
    let names: Vec<&str> = packages
        .iter()
        .map(|package| package.name_here(is_known))
        .collect();
    run::expect_success(
        apt(&[
            "install",
            "-q",
            "-y",
            "--no-install-recommends",
            "-o",
            "Dpkg::Use-Pty=0",
        ])
        .args(&names),
    )
    .context("apt-get could not install the packages above; see its messages")
}

/// The words before `apt-get` that make it run as root.
fn root_prefix() -> anyhow::Result<&'static [&'static str]> {
    if rustix::process::geteuid().is_root() {
        return Ok(&[]);
    }
    anyhow::ensure!(
        workspace::find_program("sudo").is_some(),
        "installing packages needs root, and there is no sudo: run this as root, or install the packages above by hand"
    );
    if std::io::stdin().is_terminal() {
        return Ok(&["sudo"]);
    }
    // Nobody can type a password: fail with sudo's message instead of waiting for ever.
    Ok(&["sudo", "-n"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_package_with_configuration_left_counts_as_missing() {
        let listing = "cmake installed\nnasm config-files\nclang installed\n";
        assert_eq!(parse_installed(listing), BTreeSet::from(["cmake", "clang"]));
    }

    #[test]
    fn a_package_goes_by_the_name_that_the_release_knows() {
        let chromium = TEST
            .iter()
            .find(|package| package.name == "chromium")
            .unwrap();
        assert_eq!(chromium.name_here(|_| true), "chromium");
        assert_eq!(
            chromium.name_here(|name| name == "chromium-browser"),
            "chromium-browser"
        );
        assert_eq!(chromium.name_here(|_| false), "chromium");
    }

    #[test]
    fn the_tests_want_everything_that_demo_and_build_want() {
        let test = wanted(Purpose::Test);
        for package in wanted(Purpose::Demo).iter().chain(&wanted(Purpose::Build)) {
            assert!(test.contains(package), "{}", package.name);
        }
    }
}
