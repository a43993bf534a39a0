//! A process that runs beside us and never outlives its handle.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal};

use crate::stop;

/// How long a child may take to end by itself after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(15);

/// A running program. Dropping it sends SIGTERM, waits, and kills what does not listen.
#[derive(Debug)]
pub(crate) struct Managed {
    name: String,
    child: Child,
    log: Option<PathBuf>,
}

impl Managed {
    /// Starts `command` with its error output in the file `log`, or on the terminal without one.
    pub(crate) fn start(
        name: &str,
        command: &mut Command,
        log: Option<&Path>,
    ) -> anyhow::Result<Self> {
        if let Some(path) = log {
            let file =
                File::create(path).with_context(|| format!("log file {}", path.display()))?;
            command.stderr(file);
        }
        // Ctrl-C at the terminal then reaches only us, and we stop the children in order.
        command.process_group(0);
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.map(Path::to_path_buf),
        })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The pipe of a child that was started with a piped standard output.
    pub(crate) fn first_line(&mut self) -> anyhow::Result<(String, BufReader<ChildStdout>)> {
        let pipe = self
            .child
            .stdout
            .take()
            .with_context(|| format!("{} has no output pipe", self.name))?;
        let mut reader = BufReader::new(pipe);
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .with_context(|| format!("output of {}", self.name))?;
        if line.is_empty() {
            self.fail_if_ended()?;
            anyhow::bail!(
                "{} closed its output before its first line{}",
                self.name,
                self.log_tail()
            );
        }
        Ok((line, reader))
    }

    /// An error, with the end of the log, if the program has ended.
    pub(crate) fn fail_if_ended(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => {
                anyhow::bail!("{} ended by itself: {status}{}", self.name, self.log_tail())
            }
            None => Ok(()),
        }
    }

    /// Polls `ready` until it is true, the program ends, the user stops us, or `limit` has passed.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        while !ready() {
            stop::check()?;
            self.fail_if_ended()?;
            if start.elapsed() > limit {
                anyhow::bail!(
                    "{}: {what} took more than {limit:?}{}",
                    self.name,
                    self.log_tail()
                );
            }
            std::thread::sleep(stop::POLL);
        }
        Ok(())
    }

    /// Asks the program to end and waits for it.
    pub(crate) fn end(mut self) -> anyhow::Result<ExitStatus> {
        self.terminate()
    }

    fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("process id")?;
        // The child is not reaped yet, so its id cannot belong to somebody else.
        rustix::process::kill_process(pid, Signal::TERM)
            .with_context(|| format!("signal to {}", self.name))?;
        let start = Instant::now();
        while start.elapsed() < GRACE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!(
            "    {} did not end within {GRACE:?} of SIGTERM: killed",
            self.name
        );
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    fn log_tail(&self) -> String {
        let Some(text) = self
            .log
            .as_ref()
            .and_then(|path| std::fs::read_to_string(path).ok())
        else {
            return String::new();
        };
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(20)..];
        format!("; the end of its log:\n{}", tail.join("\n"))
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        if let Err(error) = self.terminate() {
            eprintln!("    {} could not be stopped: {error:#}", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_ends_early_is_an_error_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo camera on fire >&2; exit 3"]);
        let mut child = Managed::start("sh", &mut command, Some(&log)).unwrap();
        let error = child
            .wait_until("readiness", Duration::from_secs(20), || false)
            .unwrap_err();
        assert!(error.to_string().contains("camera on fire"), "{error}");
    }

    #[test]
    fn ending_a_child_sends_it_sigterm() {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done",
            ])
            .stdout(Stdio::piped());
        let mut child = Managed::start("sh", &mut command, None).unwrap();
        let (line, _rest) = child.first_line().unwrap();
        assert_eq!(line, "up\n");
        assert_eq!(child.end().unwrap().code(), Some(7));
    }
}
