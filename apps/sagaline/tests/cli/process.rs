//! Runs the binary.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// No command of a test takes so long.
const LIMIT: Duration = Duration::from_mins(1);
/// What the services of the tests sign with.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// It has this exit code; gives its output.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:#?}");
        &self.stdout
    }

    /// Its lines as JSON.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Nothing of whoever runs the tests is there: no addresses, no secrets, no proxies.
fn command_in(variables: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagaline"));
    command
        .env_clear()
        .envs(variables.iter().copied())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A command of `ann`, who has the services' secret.
fn command(args: &[&str]) -> Command {
    command_in(&[("JWT_SECRET", SECRET), ("USER", "ann")], args)
}

/// Runs a command to its end.
pub(crate) async fn run(args: &[&str]) -> Ran {
    finished(command(args)).await
}

/// Runs a command to its end where nothing but these variables is set.
pub(crate) async fn run_in(variables: &[(&str, &str)], args: &[&str]) -> Ran {
    finished(command_in(variables, args)).await
}

/// Runs a command that reads this.
pub(crate) async fn run_reading(args: &[&str], input: &str) -> Ran {
    let mut command = command(args);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    output(child).await
}

async fn finished(mut command: Command) -> Ran {
    output(command.spawn().unwrap()).await
}

async fn output(child: Child) -> Ran {
    let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    let output = ended.expect("the command does not end").unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A command that goes on until nobody reads any more. It is killed with this.
pub(crate) struct Following {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

/// Starts a command that goes on.
pub(crate) fn follow(args: &[&str]) -> Following {
    let mut child = command(args).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let stderr = child.stderr.take().unwrap();
    Following {
        child,
        stdout: BufReader::new(stdout).lines(),
        stderr: BufReader::new(stderr).lines(),
    }
}

impl Following {
    /// The next line that it shows.
    pub(crate) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(LIMIT, self.stdout.next_line()).await;
        line.expect("no line comes").unwrap().expect("it has ended")
    }

    /// The next line that it tells beside its results.
    pub(crate) async fn note(&mut self) -> String {
        let line = tokio::time::timeout(LIMIT, self.stderr.next_line()).await;
        line.expect("no note comes").unwrap().expect("it has ended")
    }

    /// Closes its output, as `head` does; gives the exit code.
    pub(crate) async fn close_output(self) -> Option<i32> {
        let Self {
            mut child,
            stdout,
            stderr,
        } = self;
        drop(stdout);
        let ended = tokio::time::timeout(LIMIT, child.wait()).await;
        drop(stderr);
        ended.expect("it goes on without a reader").unwrap().code()
    }
}
