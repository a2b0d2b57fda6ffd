//! Showing how a run goes.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::format::count;

/// A run at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot {
    /// What is being done.
    pub phase: &'static str,
    /// Time since the start.
    pub elapsed: Duration,
    /// How long orders are sent for.
    pub planned: Duration,
    /// Orders accepted.
    pub accepted: u64,
    /// Orders refused, failed or not sent.
    pub failed: u64,
    /// Orders with an outcome.
    pub concluded: u64,
}

/// Whoever wants to see how a run goes.
pub trait Progress: Send + Sync {
    /// Called a few times per second.
    fn show(&self, snapshot: Snapshot);
    /// The run is over.
    fn finish(&self) {}
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn show(&self, _: Snapshot) {}
}

/// A bar on standard error, when that is a terminal.
#[derive(Debug)]
pub struct Terminal(ProgressBar);

impl Terminal {
    /// A bar, or nothing where nobody would see it.
    pub fn new() -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress for Terminal {
    fn show(&self, snapshot: Snapshot) {
        let seconds = |time: Duration| time.as_secs_f64().round();
        self.0
            .set_length(u64::try_from(snapshot.planned.as_millis()).unwrap_or(u64::MAX));
        self.0
            .set_position(u64::try_from(snapshot.elapsed.as_millis()).unwrap_or(u64::MAX));
        self.0.set_message(format!(
            "{:.0}/{:.0} s  {}: {} accepted, {} concluded, {} failed",
            seconds(snapshot.elapsed),
            seconds(snapshot.planned),
            snapshot.phase,
            count(snapshot.accepted),
            count(snapshot.concluded),
            count(snapshot.failed),
        ));
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}
