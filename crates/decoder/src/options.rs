//! The command line, see [`framewell_decode::protocol::setup`].

use anyhow::{Context, bail};
use framewell_decode::protocol::setup::{Hwaccel, SandboxMode};

const USAGE: &str = "usage: framewell-decoder [--memory-mib N] [--sandbox auto|require|off] \
     [--hwaccel none|vaapi|cuda] [--hw-device PATH] [--sound yes], with a socket as standard input";

/// How this worker is set up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Address space in MiB.
    pub(crate) memory_mib: u64,
    pub(crate) sandbox: SandboxMode,
    pub(crate) hwaccel: Hwaccel,
    pub(crate) hw_device: Option<String>,
    /// Whether it transcodes sound instead of decoding pictures.
    pub(crate) does_sound: bool,
    /// Whether jobs may ask for misbehaviour; see [`crate::hooks`].
    pub(crate) has_test_hooks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // Room for an 8K H.265 picture buffer, and far from what would push the server out of
            // memory.
            memory_mib: 2048,
            sandbox: SandboxMode::Auto,
            hwaccel: Hwaccel::None,
            hw_device: None,
            does_sound: false,
            has_test_hooks: false,
        }
    }
}

impl Options {
    /// `args` without the program's name.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self::default();
        while let Some(name) = args.next() {
            if name == "--test-hooks" && cfg!(debug_assertions) {
                options.has_test_hooks = true;
                continue;
            }
            let value = args.next().with_context(|| format!("{name}: {USAGE}"))?;
            let wrong = |error: String| anyhow::anyhow!("{name}: {error}");
            match name.as_str() {
                "--memory-mib" => {
                    options.memory_mib = value.parse().with_context(|| name.clone())?;
                }
                "--sandbox" => options.sandbox = value.parse().map_err(wrong)?,
                "--hwaccel" => options.hwaccel = value.parse().map_err(wrong)?,
                "--hw-device" => options.hw_device = Some(value),
                "--sound" => options.does_sound = value == "yes",
                _ => bail!("unknown option {name}: {USAGE}"),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        let options = Options::parse(args.iter().map(ToString::to_string));
        options.map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn options_come_from_the_command_line() {
        assert_eq!(parse(&[]), Ok(Options::default()));
        let all = [
            "--memory-mib",
            "512",
            "--sandbox",
            "require",
            "--hwaccel",
            "vaapi",
            "--hw-device",
            "/dev/dri/renderD129",
            "--sound",
            "yes",
        ];
        let options = Options {
            memory_mib: 512,
            sandbox: SandboxMode::Require,
            hwaccel: Hwaccel::Vaapi,
            hw_device: Some("/dev/dri/renderD129".into()),
            does_sound: true,
            has_test_hooks: false,
        };
        assert_eq!(parse(&all), Ok(options));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let why = |args| parse(args).unwrap_err();
        assert!(why(&["--memory-mib"]).contains("usage"));
        assert!(why(&["--memory-mib", "many"]).contains("--memory-mib"));
        assert!(why(&["--sandbox", "maybe"]).contains("maybe is none of auto"));
        assert!(why(&["--help", "me"]).contains("unknown option --help"));
    }
}
