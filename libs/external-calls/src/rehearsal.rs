//! Faults of a simulated party that can be switched on, to see that nothing is lost by them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::CallError;

/// How many keys a rehearsal of transient failures remembers; calls for others go through.
const FLAKY_KEYS_MAX: usize = 10_000;

/// Some orders' calls fail at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaky {
    /// Calls whose key begins so; a key begins with its order's id.
    pub prefix: String,
    /// How often each of them fails before it goes through.
    pub times: u32,
}

/// Faults of a simulated party. The default has none: it answers at once.
#[derive(Debug, Default)]
pub struct Rehearsal {
    latency: Duration,
    down: AtomicBool,
    outage_file: Option<PathBuf>,
    flaky: Option<Flaky>,
    failed: Mutex<HashMap<String, u32>>,
}

/// The party was switched off.
#[derive(Debug, thiserror::Error)]
#[error("an outage is being rehearsed: {how_to_end}")]
struct Rehearsed {
    how_to_end: String,
}

impl Rehearsal {
    /// A party that takes `latency` for every answer.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// A party that is down while this file exists.
    #[must_use]
    pub fn with_outage_file(mut self, file: Option<PathBuf>) -> Self {
        self.outage_file = file;
        self
    }

    /// A party that fails for some orders at first.
    #[must_use]
    pub fn with_flaky(mut self, flaky: Option<Flaky>) -> Self {
        self.flaky = flaky;
        self
    }

    /// Switches the party off or on.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// What stands between a call and its answer.
    pub async fn before_answer(&self, key: &str) -> Result<(), CallError> {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        self.fail_when_down().await?;
        self.fail_when_flaky(key)
    }

    async fn fail_when_down(&self) -> Result<(), CallError> {
        let outage = |how_to_end| CallError::Outage(Box::new(Rehearsed { how_to_end }));
        if self.down.load(Ordering::Relaxed) {
            return Err(outage("switch it on again".to_owned()));
        }
        if let Some(file) = &self.outage_file {
            // A file that cannot be looked for may be there: an outage is what was asked to be rehearsed.
            if tokio::fs::try_exists(file).await.unwrap_or(true) {
                return Err(outage(format!("remove {}", file.display())));
            }
        }
        Ok(())
    }

    fn fail_when_flaky(&self, key: &str) -> Result<(), CallError> {
        let Some(flaky) = self
            .flaky
            .as_ref()
            .filter(|flaky| key.starts_with(&flaky.prefix))
        else {
            return Ok(());
        };
        let mut failed = self.failed.lock();
        if failed.len() >= FLAKY_KEYS_MAX && !failed.contains_key(key) {
            return Ok(());
        }
        let times = failed.entry(key.to_owned()).or_default();
        if *times >= flaky.times {
            return Ok(());
        }
        *times += 1;
        Err(CallError::Transient(format!(
            "failure {times} of {} is being rehearsed for {key}",
            flaky.times
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_party_without_faults_answers_at_once() {
        assert!(
            Rehearsal::default()
                .before_answer("order-1/1")
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_party_that_is_switched_off_is_down_for_every_order_until_it_is_switched_on() {
        let party = Rehearsal::default();
        party.set_down(true);
        for key in ["order-1/1", "order-2/1"] {
            assert!(matches!(
                party.before_answer(key).await,
                Err(CallError::Outage(_))
            ));
        }
        party.set_down(false);
        assert!(party.before_answer("order-1/1").await.is_ok());
    }

    #[tokio::test]
    async fn a_party_is_down_while_the_outage_file_exists() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gateway-down");
        let party = Rehearsal::default().with_outage_file(Some(file.clone()));
        assert!(party.before_answer("order-1/1").await.is_ok());
        std::fs::write(&file, "").unwrap();
        let Err(CallError::Outage(source)) = party.before_answer("order-1/1").await else {
            panic!("the file is there");
        };
        assert!(source.to_string().contains("remove"), "{source}");
        std::fs::remove_file(&file).unwrap();
        assert!(party.before_answer("order-1/1").await.is_ok());
    }

    #[tokio::test]
    async fn each_flaky_key_fails_as_often_as_asked_and_others_do_not() {
        let flaky = Flaky {
            prefix: "flaky-".to_owned(),
            times: 2,
        };
        let party = Rehearsal::default().with_flaky(Some(flaky));
        for key in ["flaky-1/1", "flaky-1/2"] {
            for _ in 0..2 {
                assert!(matches!(
                    party.before_answer(key).await,
                    Err(CallError::Transient(_))
                ));
            }
            assert!(party.before_answer(key).await.is_ok());
            assert!(party.before_answer(key).await.is_ok());
        }
        assert!(party.before_answer("order-1/1").await.is_ok());
    }

    #[tokio::test]
    async fn what_is_remembered_of_flaky_keys_is_bounded() {
        let flaky = Flaky {
            prefix: String::new(),
            times: 1,
        };
        let party = Rehearsal::default().with_flaky(Some(flaky));
        for n in 0..FLAKY_KEYS_MAX {
            assert!(party.before_answer(&format!("o-{n}/1")).await.is_err());
        }
        assert!(party.before_answer("one-more/1").await.is_ok());
        assert_eq!(party.failed.lock().len(), FLAKY_KEYS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_takes_the_latency() {
        let before = tokio::time::Instant::now();
        let party = Rehearsal::default().with_latency(Duration::from_millis(70));
        party.before_answer("order-1/1").await.unwrap();
        assert_eq!(before.elapsed(), Duration::from_millis(70));
    }
}
