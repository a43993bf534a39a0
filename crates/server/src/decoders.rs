//! The pool of decoders, as the configuration wants it.

use crate::config::Config;
use anyhow::{Context, bail};
use framewell_decode::{Greeting, Hardware, Hwaccel, Pool, PoolConfig, SandboxMode, WorkerOptions};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// With less, the libraries of a worker do not load and no 1080p picture fits.
const MIN_DECODER_MIB: u64 = 256;
/// Far beyond any machine's cores.
const MAX_DECODERS: usize = 1_024;

/// Decoder processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Decoder {
    /// The `framewell-decoder` executable; empty: the one beside this executable.
    pub(crate) program: PathBuf,
    /// Worker processes; 0: one per CPU core.
    pub(crate) workers: usize,
    /// Most memory (address space) of one worker, in MiB; at least 256.
    pub(crate) memory_mib: u64,
    /// Longest time for one job, in seconds; then its worker is killed and replaced.
    pub(crate) deadline_s: f64,
    /// Jobs that may wait. Of single pictures, more are answered with 503; batches hold half of the
    /// places at most and wait.
    pub(crate) queue: usize,
    /// A worker is replaced after this many jobs, against slow leaks.
    pub(crate) max_jobs: u64,
    /// Whether workers give up files, network and most system calls before their first job: `auto`
    /// (as far as the kernel can), `require` (no start without), `off`.
    pub(crate) sandbox: SandboxMode,
    /// Hardware that decodes: `none`, `vaapi` (Intel, AMD) or `cuda` (NVIDIA); what it cannot decode
    /// is decoded in software.
    pub(crate) hwaccel: Hwaccel,
    /// Which device: for `vaapi` a render node such as `/dev/dri/renderD128`, for `cuda` a number;
    /// empty: the first.
    pub(crate) hwaccel_device: String,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            program: PathBuf::new(),
            workers: 0,
            memory_mib: WorkerOptions::default().memory_mib,
            deadline_s: 10.0,
            queue: 64,
            max_jobs: 10_000,
            sandbox: SandboxMode::Auto,
            hwaccel: Hwaccel::None,
            hwaccel_device: String::new(),
        }
    }
}

impl Decoder {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.memory_mib < MIN_DECODER_MIB {
            bail!(
                "decoder.memory_mib = {} must be at least {MIN_DECODER_MIB}",
                self.memory_mib
            );
        }
        if self.max_jobs == 0 {
            bail!("decoder.max_jobs must be at least 1");
        }
        if self.workers > MAX_DECODERS {
            bail!(
                "decoder.workers = {} must be at most {MAX_DECODERS}",
                self.workers
            );
        }
        Ok(())
    }
}

/// What the configuration says about decoders.
pub(crate) fn pool_config(config: &Config) -> anyhow::Result<PoolConfig> {
    let program = if config.decoder.program.as_os_str().is_empty() {
        let own = std::env::current_exe().context("finding this executable failed")?;
        own.with_file_name("framewell-decoder")
    } else {
        config.decoder.program.clone()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let device = &config.decoder.hwaccel_device;
    Ok(PoolConfig {
        program,
        worker: WorkerOptions {
            memory_mib: config.decoder.memory_mib,
            sandbox: config.decoder.sandbox,
            hwaccel: config.decoder.hwaccel,
            device: Some(device.clone()).filter(|device| !device.is_empty()),
        },
        workers: if config.decoder.workers == 0 {
            cores
        } else {
            config.decoder.workers
        },
        deadline: Duration::from_secs_f64(config.decoder.deadline_s),
        queue: config.decoder.queue,
        max_jobs: config.decoder.max_jobs,
    })
}

/// Where a sandbox is required, there is no start without it.
pub(crate) async fn require_sandbox(config: &Config, pool: &Pool) -> anyhow::Result<()> {
    if config.decoder.sandbox == SandboxMode::Require {
        let greeting = pool.greeting().await;
        greeting.context("decoder.sandbox = \"require\" cannot be kept")?;
    }
    Ok(())
}

/// Says once how far the decoders are locked in. Decoders that do not start say so themselves; they
/// cost the pictures, and the rest of the server works.
pub(crate) async fn report(mode: SandboxMode, pool: Pool) {
    let Ok(Greeting {
        libraries,
        sandbox,
        hardware,
        has_encoder,
    }) = pool.greeting().await
    else {
        return;
    };
    if mode == SandboxMode::Auto && !sandbox.is_full() {
        tracing::warn!(%sandbox, libraries, "the kernel does not offer all of the decoders' sandbox");
    } else {
        tracing::info!(%sandbox, libraries, "decoders are ready");
    }
    if !has_encoder {
        tracing::warn!("the decoders have no video encoder (libx264): clips are not encoded anew");
    }
    match hardware {
        Hardware::Off => {}
        Hardware::Ready => tracing::info!("decoders use the hardware"),
        Hardware::Unavailable(why) => {
            tracing::warn!(why, "decoders find no hardware and use software")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_make_no_decoder_are_refused() {
        let why = |decoder: Decoder| decoder.check().expect_err("refused").to_string();
        assert!(Decoder::default().check().is_ok());
        let tiny = Decoder {
            memory_mib: 64,
            ..Decoder::default()
        };
        assert!(why(tiny).contains("decoder.memory_mib = 64"));
        let idle = Decoder {
            max_jobs: 0,
            ..Decoder::default()
        };
        assert!(why(idle).contains("decoder.max_jobs"));
        let many = Decoder {
            workers: 5_000,
            ..Decoder::default()
        };
        assert!(why(many).contains("decoder.workers = 5000"));
    }

    #[test]
    fn workers_get_what_the_configuration_says() {
        let config = Config {
            decoder: Decoder {
                sandbox: SandboxMode::Require,
                hwaccel: Hwaccel::Cuda,
                hwaccel_device: "1".into(),
                memory_mib: 700,
                max_jobs: 5,
                ..Decoder::default()
            },
            ..Config::default()
        };
        let pool = pool_config(&config).expect("this executable has a path");
        let options = WorkerOptions {
            memory_mib: 700,
            sandbox: SandboxMode::Require,
            hwaccel: Hwaccel::Cuda,
            device: Some("1".into()),
        };
        assert_eq!((pool.worker, pool.max_jobs), (options, 5));
        assert!(pool.workers > 0 && pool.program.ends_with("framewell-decoder"));
    }
}
