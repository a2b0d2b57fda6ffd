//! What every simulated part stands on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::coverage::{Coverage, State};
use crate::dice::Dice;
use crate::run::Wanted;
use crate::trace::Trace;
use crate::weather::{Climate, Dependency, Weather};

/// For so long a fault is about.
const RECENT: Duration = Duration::from_millis(500);

/// What every simulated part stands on: chance, weather, time, and the book of what happened.
#[derive(Debug)]
pub(crate) struct Env {
    pub(crate) weather: Weather,
    pub(crate) trace: Trace,
    pub(crate) started: Instant,
    pub(crate) broker_dice: Dice,
    pub(crate) store_dice: Dice,
    pub(crate) party_dice: Dice,
    pub(crate) client_dice: Dice,
    /// How often each fault struck.
    faults: Mutex<BTreeMap<&'static str, u64>>,
    /// The latest faults, and when.
    recent: Mutex<Vec<(&'static str, Instant)>>,
    coverage: Option<Mutex<Coverage>>,
    /// What broke while the world ran.
    broken: Mutex<Vec<String>>,
}

impl Env {
    pub(crate) fn new(seed: u64, climate: Climate, wanted: Wanted) -> Arc<Self> {
        Arc::new(Self {
            weather: Weather::new(climate),
            trace: Trace::new(wanted.story),
            started: Instant::now(),
            broker_dice: Dice::new(seed, "broker"),
            store_dice: Dice::new(seed, "store"),
            party_dice: Dice::new(seed, "party"),
            client_dice: Dice::new(seed, "client"),
            faults: Mutex::default(),
            recent: Mutex::default(),
            coverage: wanted.coverage.then(Mutex::default),
            broken: Mutex::default(),
        })
    }

    /// A fault struck.
    pub(crate) fn fault(&self, name: &'static str) {
        *self.faults.lock().entry(name).or_default() += 1;
        if self.coverage.is_some() {
            let now = Instant::now();
            let mut recent = self.recent.lock();
            recent.retain(|(known, at)| *known != name && now - *at < RECENT);
            recent.push((name, now));
        }
    }

    /// Whether it is wanted what meets what.
    pub(crate) fn wants_coverage(&self) -> bool {
        self.coverage.is_some()
    }

    /// An event comes to a service where its order is in this state.
    pub(crate) fn cover(&self, state: &State, topic: &str) {
        if let Some(coverage) = &self.coverage {
            let now = Instant::now();
            let recent = self.recent.lock();
            let about = recent.iter().filter(|(_, at)| now - *at < RECENT);
            let faults: Vec<&'static str> = about.map(|(name, _)| *name).collect();
            coverage.lock().note(state, topic, &faults);
        }
    }

    pub(crate) fn coverage(&self) -> Coverage {
        let coverage = self.coverage.as_ref();
        coverage
            .map(|coverage| coverage.lock().clone())
            .unwrap_or_default()
    }

    pub(crate) fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.faults.lock().clone()
    }

    /// Something must never be, and is.
    pub(crate) fn broken(&self, what: String) {
        self.trace.note(0_u8, || format!("BROKEN {what}"));
        self.broken.lock().push(what);
    }

    pub(crate) fn broken_things(&self) -> Vec<String> {
        self.broken.lock().clone()
    }

    /// Takes up to `most` milliseconds, or no time at all.
    pub(crate) async fn take_time(&self, dice: &Dice, most: u64) {
        if most > 0 {
            let millis = dice.up_to(most);
            if millis > 0 {
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
        }
    }

    /// When something is down, a call of it fails after a while; says whether it did.
    pub(crate) async fn fails_because_down(&self, what: Dependency, patience_ms: u64) -> bool {
        let Some(until) = self.weather.down_until(what) else {
            return false;
        };
        self.fault(match what {
            Dependency::Broker => "broker down",
            Dependency::Store => "store down",
            Dependency::Gateway => "gateway down",
            Dependency::Carrier => "carrier down",
        });
        // A connection is refused at once, or times out, or comes back just in time.
        let dice = &self.broker_dice;
        let wait = Duration::from_millis(dice.up_to(patience_ms));
        tokio::time::sleep_until(until.min(Instant::now() + wait)).await;
        self.weather.is_down(what)
    }
}
