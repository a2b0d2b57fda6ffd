//! The life of one simulated process.
//!
//! A process touches the world through its ports only, so it is dead as soon as its ports are: each of their calls waits for
//! ever, before it had an effect or after. What the process computed meanwhile nobody will ever see.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use sagaline_contracts::Timestamp;
use sagaline_saga::Clock;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::plan::Version;

/// What time it is when a run begins: 2026-01-01.
pub(crate) const MIDNIGHT_US: i64 = 1_767_225_600_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Paused,
    Dead,
}

/// Burns down with each call of a port, and ends the process at its end.
#[derive(Debug, Clone, Copy)]
struct Fuse {
    calls: u32,
    /// The last call has its effect; only its answer is lost.
    after: bool,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    fuse: Option<Fuse>,
}

/// The life of one simulated process, from one start to its end.
#[derive(Debug)]
pub(crate) struct Life {
    /// Unique in a run.
    pub(crate) id: u64,
    /// Which version of its service it is.
    pub(crate) version: Version,
    state: Mutex<State>,
    changed: Notify,
    skew_us: AtomicI64,
    started: Instant,
}

impl Life {
    pub(crate) fn new(id: u64, skew_us: i64, started: Instant, version: Version) -> Arc<Self> {
        Arc::new(Self {
            id,
            version,
            state: Mutex::new(State {
                phase: Phase::Running,
                fuse: None,
            }),
            changed: Notify::new(),
            skew_us: AtomicI64::new(skew_us),
            started,
        })
    }

    /// A port is called: waits while the process is paused, and for ever when it is dead.
    pub(crate) async fn before(&self) {
        if self.burn(false) {
            self.kill();
        }
        self.alive().await;
    }

    /// The call had its effect; its answer is about to be given.
    pub(crate) async fn after(&self) {
        if self.burn(true) {
            self.kill();
        }
        self.alive().await;
    }

    /// One end of a call; whether the fuse burnt down there.
    fn burn(&self, after: bool) -> bool {
        let mut state = self.state.lock();
        let Some(fuse) = &mut state.fuse else {
            return false;
        };
        if fuse.calls == 0 && fuse.after == after {
            return true;
        }
        if after {
            fuse.calls = fuse.calls.saturating_sub(1);
        }
        false
    }

    async fn alive(&self) {
        loop {
            let changed = self.changed.notified();
            match self.phase() {
                Phase::Running => return,
                Phase::Paused => changed.await,
                Phase::Dead => std::future::pending().await,
            }
        }
    }

    /// Returns when the process is dead.
    pub(crate) async fn ended(&self) {
        loop {
            let changed = self.changed.notified();
            if self.phase() == Phase::Dead {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn kill(&self) {
        self.set(Phase::Dead);
    }

    /// The process stands still, and its ports with it.
    pub(crate) fn pause(&self) {
        self.set(Phase::Paused);
    }

    pub(crate) fn resume(&self) {
        self.set(Phase::Running);
    }

    /// Ends the process at a later call of a port.
    pub(crate) fn arm(&self, calls: u32, after: bool) {
        self.state.lock().fuse = Some(Fuse { calls, after });
    }

    pub(crate) fn disarm(&self) {
        self.state.lock().fuse = None;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase() == Phase::Running
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.phase() == Phase::Dead
    }

    /// How wrong its clock is.
    pub(crate) fn skew_us(&self) -> i64 {
        self.skew_us.load(Ordering::Relaxed)
    }

    /// Puts the clock forward or back.
    pub(crate) fn set_skew(&self, skew_us: i64) {
        self.skew_us.store(skew_us, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    fn set(&self, phase: Phase) {
        {
            let mut state = self.state.lock();
            if state.phase == Phase::Dead {
                return;
            }
            state.phase = phase;
        }
        self.changed.notify_waiters();
    }
}

/// The process's own clock: the world's, and how wrong it is.
impl Clock for Life {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(MIDNIGHT_US + passed + self.skew_us())
    }
}
