//! How a process starts its tasks, hears that it shall stop, and drains.

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a process may take to finish what it began when it is told to stop.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(8);

/// The exit code after a second signal: 128 + SIGINT, as shells expect it.
const EXIT_IMPATIENT: i32 = 130;

/// The life of one process: its long-running tasks, and the token that tells them to finish.
///
/// Stopping has two steps. First [`Self::shutdown_token`] is cancelled: every task stops to take new work, finishes
/// what it began and returns. Tasks that are still there when the drain limit has passed are dropped.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    shutdown: CancellationToken,
    abandon: CancellationToken,
    tasks: TaskTracker,
    failure: Mutex<Option<String>>,
}

/// The process could not listen for signals.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for SIGTERM and SIGINT, so the process could not be stopped in order")]
pub struct SignalError(#[source] std::io::Error);

impl Lifecycle {
    /// A life with no tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process shall stop: stop to take new work, finish what was begun.
    pub fn shutdown_token(&self) -> CancellationToken {
        self.0.shutdown.clone()
    }

    /// Asks everything to stop.
    pub fn request_shutdown(&self, why: &str) {
        if !self.0.shutdown.is_cancelled() {
            tracing::info!(why, "shutting down");
            self.0.shutdown.cancel();
        }
    }

    /// Runs a task that the process cannot do without: when it fails or panics, the process stops with exit code 1.
    pub fn spawn<E: Display + Send>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let life = self.clone();
        self.0.tasks.spawn(async move {
            let task = std::panic::AssertUnwindSafe(task).catch_unwind();
            let ended = tokio::select! {
                ended = task => ended,
                () = life.0.abandon.cancelled() => {
                    tracing::warn!(task = name, "task did not finish within the drain limit and was dropped");
                    return;
                }
            };
            match ended {
                Ok(Ok(())) => tracing::debug!(task = name, "task finished"),
                Ok(Err(error)) => life.fail(format!("{name}: {error:#}")),
                Err(_) => life.fail(format!("{name} panicked")),
            }
        });
    }

    fn fail(&self, failure: String) {
        tracing::error!(failure, "a task that the process needs has failed");
        self.0.failure.lock().get_or_insert(failure);
        self.request_shutdown("a task failed");
    }

    /// Why the process has to stop, when a task failed.
    pub fn failure(&self) -> Option<String> {
        self.0.failure.lock().clone()
    }

    /// Listens for SIGTERM and SIGINT: the first asks for an orderly stop, the second exits at once.
    pub fn listen_for_signals(&self) -> Result<(), SignalError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(SignalError)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(SignalError)?;
        let life = self.clone();
        // Not tracked: it has to outlive the drain, to hear the second signal.
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await;
            life.request_shutdown(name);
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::warn!(signal = name, "second signal: exiting without draining");
            std::process::exit(EXIT_IMPATIENT);
        });
        Ok(())
    }

    /// Waits until the process shall stop, then until its tasks have finished, `limit` at most.
    ///
    /// The exit code is 0 after an orderly stop, 1 when a task failed or did not finish in time.
    pub async fn run(&self, limit: Duration) -> ExitCode {
        self.0.shutdown.cancelled().await;
        let drained = self.drain(limit).await;
        if drained && self.failure().is_none() {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// Asks everything to stop and waits for it, `limit` at most; whether all tasks finished by themselves.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.request_shutdown("drain");
        self.0.tasks.close();
        if tokio::time::timeout(limit, self.0.tasks.wait())
            .await
            .is_ok()
        {
            return true;
        }
        tracing::warn!(left = self.0.tasks.len(), "drain limit reached");
        self.0.abandon.cancel();
        self.0.tasks.wait().await;
        false
    }
}

/// Chooses the TLS implementation of the process, where several are compiled in. First thing in `main`, before anything connects.
pub fn install_tls_provider() {
    // Refused when somebody has chosen already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Allows the process as many open files as the system lets it have: shells start programs with 1,024, which a burst of
/// clients would use up. First thing in `main`.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Refused by a system that does not want it: then connections beyond the limit wait, which is logged when it happens.
    let _ = setrlimit(Resource::Nofile, raised);
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Done = Result<(), String>;

    #[tokio::test]
    async fn tasks_that_heed_the_token_are_drained_and_the_exit_code_is_zero() {
        let life = Lifecycle::new();
        let token = life.shutdown_token();
        life.spawn("worker", async move {
            token.cancelled().await;
            Done::Ok(())
        });
        life.request_shutdown("test");
        assert_eq!(life.run(DRAIN_LIMIT).await, ExitCode::SUCCESS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_token_is_dropped_at_the_limit() {
        let life = Lifecycle::new();
        life.spawn("deaf", std::future::pending::<Done>());
        assert!(!life.drain(Duration::from_secs(8)).await);
    }

    #[tokio::test]
    async fn a_failed_task_stops_the_process_with_a_failure() {
        let life = Lifecycle::new();
        life.spawn("consumer", async { Err("broker gone") });
        assert_eq!(life.run(DRAIN_LIMIT).await, ExitCode::FAILURE);
        assert_eq!(life.failure().as_deref(), Some("consumer: broker gone"));
    }

    #[tokio::test]
    async fn a_panicking_task_stops_the_process_with_a_failure() {
        let life = Lifecycle::new();
        life.spawn("projector", async {
            assert!(std::hint::black_box(false), "a bug");
            Done::Ok(())
        });
        assert_eq!(life.run(DRAIN_LIMIT).await, ExitCode::FAILURE);
        assert_eq!(life.failure().as_deref(), Some("projector panicked"));
    }
}
