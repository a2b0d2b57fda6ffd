//! Many seeds, on several threads, until one shows a bug.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, anyhow};
use parking_lot::Mutex;

use crate::coverage::Coverage;
use crate::plan::{Plan, Scale};
use crate::run::{Report, Wanted, run};

/// Which seeds.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// The first one.
    pub base: u64,
    /// How many.
    pub seeds: u64,
    /// On so many threads.
    pub jobs: usize,
    /// How much happens in each.
    pub scale: Scale,
    /// Whether it is noted what met what, which costs a look at the order's document for each message.
    pub coverage: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Found {
    /// Runs that were made.
    pub runs: u64,
    /// Runs in which every invariant held.
    pub clean: u64,
    /// The run of the lowest seed among those that did not hold.
    pub failure: Option<Report>,
    /// How often each fault struck.
    pub faults: BTreeMap<&'static str, u64>,
    /// What met what.
    pub coverage: Coverage,
    /// How long all runs took in their worlds, in milliseconds.
    pub virtual_ms: u64,
}

impl Search {
    /// Runs the seeds in order, and stops at the first that shows a bug. `tick` is called after each run, and says whether to go on.
    pub fn run(&self, tick: impl Fn(&Report) -> ControlFlow<()> + Sync) -> Result<Found> {
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let (found, trouble) = (Mutex::new(Found::default()), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        if at >= self.seeds {
                            return;
                        }
                        let plan = Plan::of_seed(self.base.wrapping_add(at), self.scale);
                        let wanted = Wanted {
                            coverage: self.coverage,
                            ..Wanted::default()
                        };
                        match run(&plan, wanted) {
                            Ok(report) => {
                                let is_enough = tick(&report).is_break();
                                if !found.lock().take(report) || is_enough {
                                    stop.store(true, Ordering::Relaxed);
                                }
                            }
                            Err(error) => {
                                let said = anyhow!("seed {}: {error:#}", plan.seed);
                                trouble.lock().get_or_insert(said);
                                stop.store(true, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
        match trouble.into_inner() {
            Some(error) => Err(error),
            None => Ok(found.into_inner()),
        }
    }
}

impl Found {
    /// Takes a report in; whether every invariant held.
    fn take(&mut self, report: Report) -> bool {
        self.runs += 1;
        self.virtual_ms += report.virtual_ms;
        for (fault, times) in &report.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        self.coverage.add(&report.coverage);
        let is_clean = report.is_clean();
        if is_clean {
            self.clean += 1;
        } else if self
            .failure
            .as_ref()
            .is_none_or(|known| known.seed > report.seed)
        {
            self.failure = Some(report);
        }
        is_clean
    }
}
