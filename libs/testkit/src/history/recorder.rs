//! Records who asked for what when, and what was answered.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::Operation;

/// A history that many clients write.
#[derive(Debug, Clone)]
pub struct Recorder<O> {
    begun: Instant,
    operations: Arc<Mutex<Vec<Operation<O>>>>,
}

/// An operation that was called and not answered yet.
#[derive(Debug, Clone, Copy)]
#[must_use = "an operation without an answer is one that nobody knows the end of"]
pub struct Called(u64);

impl<O: Clone> Recorder<O> {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            operations: Arc::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A client calls.
    pub fn call(&self) -> Called {
        Called(self.now())
    }

    /// It was answered.
    pub fn answered(&self, called: Called, what: O) {
        let answered = Some(self.now());
        self.add(called, answered, what);
    }

    /// It will never be answered: it may take effect at any time from its call on, or never.
    pub fn unknown(&self, called: Called, what: O) {
        self.add(called, None, what);
    }

    fn add(&self, called: Called, answered: Option<u64>, what: O) {
        let mut operations = self
            .operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        operations.push(Operation {
            called: called.0,
            answered,
            what,
        });
    }

    /// Everything so far.
    pub fn history(&self) -> Vec<Operation<O>> {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl<O: Clone> Default for Recorder<O> {
    fn default() -> Self {
        Self::new()
    }
}
