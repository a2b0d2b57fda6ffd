//! Child processes: started, watched, signalled, and surely ended.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::watch;

/// Lines of output that are kept to explain a failure.
const TAIL_LINES: usize = 40;

/// A child process with a process group of its own, killed when this is dropped.
///
/// Its standard input is a pipe that closes when the test process dies, however it dies; a server's script watches it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    exit: Option<ExitStatus>,
    state: watch::Receiver<State>,
    tail: Arc<Mutex<VecDeque<String>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    /// All its output is read: the whole group is gone.
    Ended,
}

impl Process {
    /// Starts `command`; what it prints is appended to `log`. A line that contains `ready` says that it is up.
    pub fn spawn(name: &str, mut command: Command, ready: &str, log: &Path) -> Result<Self> {
        let mut log_file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open the log of {name} at {}", log.display()))?;
        let (output, output_end) = std::io::pipe()?;
        command
            .stdin(Stdio::piped())
            .stdout(output_end.try_clone()?)
            .stderr(output_end)
            .process_group(0);
        let child = command.spawn().with_context(|| {
            let program = command.get_program().to_string_lossy();
            format!("cannot start {name}: is {program} there?")
        })?;
        // the command holds our copies of the pipe's writing end
        drop(command);

        let (state_sender, state) = watch::channel(State::Starting);
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let reader_tail = Arc::clone(&tail);
        let ready = ready.to_owned();
        std::thread::Builder::new()
            .name(format!("output of {name}"))
            .spawn(move || {
                follow(output, &ready, &mut log_file, &reader_tail, &state_sender);
                state_sender.send_replace(State::Ended);
            })?;
        Ok(Self {
            name: name.to_owned(),
            child,
            exit: None,
            state,
            tail,
        })
    }

    /// Waits until it has printed its line of readiness.
    pub async fn ready(&self, limit: Duration) -> Result<()> {
        let mut state = self.state.clone();
        let reached = tokio::time::timeout(limit, state.wait_for(|s| *s != State::Starting)).await;
        let now = match reached {
            Ok(now) => *now?,
            Err(_) => bail!(
                "{} is not ready after {limit:?}:\n{}",
                self.name,
                self.tail()
            ),
        };
        if now == State::Ended {
            bail!("{} ended instead of starting:\n{}", self.name, self.tail());
        }
        Ok(())
    }

    /// Its process id, which is its group's id too.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.exit.is_none() && *self.state.borrow() != State::Ended
    }

    /// The last lines that it printed.
    pub fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Kills the whole group as a crash would, and waits until it is gone. Does nothing when it has ended.
    pub fn kill_9(&mut self) -> Result<ExitStatus> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        // an error means that the group is gone already
        self.signal(Signal::KILL).ok();
        self.reap()
    }

    /// Asks it to stop (SIGTERM) and waits for the end of the whole group, at most for `limit`; then kills it.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        self.signal(Signal::TERM).ok();
        let mut state = self.state.clone();
        let ended = tokio::time::timeout(limit, state.wait_for(|s| *s == State::Ended)).await;
        if ended.is_err() {
            self.kill_9()?;
            bail!(
                "{} did not stop within {limit:?} and was killed:\n{}",
                self.name,
                self.tail()
            );
        }
        self.reap()
    }

    /// Freezes the whole group: connections stay open and nothing answers.
    pub fn sigstop(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen group go on.
    pub fn sigcont(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{} has no process id", self.name))?;
        kill_process_group(pid, signal)
            .with_context(|| format!("cannot send signal {} to {}", signal.as_raw(), self.name))
    }

    fn reap(&mut self) -> Result<ExitStatus> {
        let exit = self.child.wait()?;
        self.exit = Some(exit);
        Ok(exit)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_9().ok();
    }
}

/// Copies output to the log and the tail until every process of the group has closed it.
fn follow(
    output: PipeReader,
    ready: &str,
    log: &mut File,
    tail: &Mutex<VecDeque<String>>,
    state: &watch::Sender<State>,
) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        // a full disk must not stop the child
        log.write_all(&line).ok();
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if text.contains(ready) {
            state.send_if_modified(|state| {
                std::mem::replace(state, State::Ready) == State::Starting
            });
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(text);
        drop(tail);
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell(script: &str, folder: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("a shell", command, "up", &folder.join("log")).unwrap()
    }

    #[tokio::test]
    async fn a_child_is_ready_when_it_says_so_and_its_output_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let child = shell("echo going; echo up >&2; exec cat", folder.path());
        child.ready(LIMIT).await.unwrap();
        assert!(child.is_running());
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(log, "going\nup\n");
    }

    #[tokio::test]
    async fn a_child_that_ends_early_explains_itself() {
        let folder = tempfile::tempdir().unwrap();
        let child = shell("echo no such port; exit 3", folder.path());
        let error = child.ready(LIMIT).await.unwrap_err();
        assert!(error.to_string().contains("no such port"), "{error}");
    }

    #[tokio::test]
    async fn killing_reaches_the_grandchildren() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = shell("sleep 1000 & echo up; wait", folder.path());
        child.ready(LIMIT).await.unwrap();
        assert!(!child.kill_9().unwrap().success());
        // the grandchild holds the output pipe: it closes only when that one is gone too
        let mut state = child.state.clone();
        let ended = state.wait_for(|s| *s == State::Ended);
        tokio::time::timeout(LIMIT, ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_child_that_ignores_sigterm_is_killed_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut deaf = shell(
            "trap '' TERM; echo up; while :; do sleep 1000; done",
            folder.path(),
        );
        deaf.ready(LIMIT).await.unwrap();
        let error = deaf
            .terminate(Duration::from_millis(200))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("was killed"), "{error}");
        assert!(!deaf.is_running());
    }

    #[tokio::test]
    async fn a_child_that_obeys_sigterm_stops_with_its_own_status() {
        let folder = tempfile::tempdir().unwrap();
        // Short naps: a shell may miss a signal that comes right before it waits, until that wait is over.
        let script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done";
        let mut child = shell(script, folder.path());
        child.ready(LIMIT).await.unwrap();
        assert_eq!(child.terminate(LIMIT).await.unwrap().code(), Some(7));
    }
}
