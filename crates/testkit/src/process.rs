//! Child processes that tests start: ended with the test, whatever happens.

use anyhow::{Context, Result, bail};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A child whose standard output is read line by line. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a program; its standard error goes to ours.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let stdout = child.stdout.take().context("the child has no output")?;
        Ok(Self {
            child,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// The process id while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for a line of output that `wanted` accepts; an error if none comes in time or the child
    /// closes its output. Earlier lines are dropped.
    pub async fn wait_for_line<T>(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let search = async {
            while let Some(line) = self.lines.next_line().await? {
                if let Some(found) = wanted(&line) {
                    return Ok(found);
                }
            }
            bail!("the child closed its output before the line came")
        };
        match tokio::time::timeout(limit, search).await {
            Ok(found) => found,
            Err(_) => bail!("the line did not come within {limit:?}"),
        }
    }

    /// Ends it at once (SIGKILL) and waits for the end.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self) -> Result<std::process::ExitStatus> {
        Ok(self.child.wait().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn the_wanted_line_is_found_behind_others() {
        let mut process = Process::spawn(shell("echo one; echo port 7; exec sleep 60")).unwrap();
        let port = process
            .wait_for_line(Duration::from_secs(10), |line| {
                line.strip_prefix("port ")?.parse::<u16>().ok()
            })
            .await
            .unwrap();
        assert_eq!(port, 7);
        process.kill().await.unwrap();
    }

    #[tokio::test]
    async fn a_child_that_ends_first_is_an_error() {
        let mut process = Process::spawn(shell("echo one")).unwrap();
        let wait = process.wait_for_line(Duration::from_secs(10), |_| None::<()>);
        let error = wait.await.unwrap_err();
        assert!(error.to_string().contains("closed its output"), "{error}");
    }
}
