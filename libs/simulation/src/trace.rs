//! What happened, as one number: two runs with the same number were the same run.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Everything that the world saw, in order.
#[derive(Debug)]
pub(crate) struct Trace {
    state: Mutex<State>,
    started: Instant,
}

#[derive(Debug)]
struct State {
    hash: u64,
    count: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// Nothing happened yet; with `told`, it is kept in words, too.
    pub(crate) fn new(told: bool) -> Self {
        let state = State {
            hash: 0,
            count: 0,
            lines: told.then(Vec::new),
        };
        Self {
            state: Mutex::new(state),
            started: Instant::now(),
        }
    }

    /// Something happened: `what` goes into the number, `words` are made only when somebody wants to read them.
    pub(crate) fn note(&self, what: impl Hash, words: impl FnOnce() -> String) {
        let at = self.started.elapsed();
        let mut state = self.state.lock();
        let mut hasher = FixedState::with_seed(state.hash).build_hasher();
        at.hash(&mut hasher);
        what.hash(&mut hasher);
        state.hash = hasher.finish();
        state.count += 1;
        if let Some(lines) = &mut state.lines {
            lines.push(format!("{:>9.3} {}", at.as_secs_f64(), words()));
        }
    }

    /// The number.
    pub(crate) fn hash(&self) -> u64 {
        self.state.lock().hash
    }

    /// How much happened.
    pub(crate) fn count(&self) -> u64 {
        self.state.lock().count
    }

    /// What happened, in words, if they were kept.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.state.lock().lines.clone().unwrap_or_default()
    }
}
