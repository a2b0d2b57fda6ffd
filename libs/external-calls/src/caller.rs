//! Many calls at once, within limits.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use sagaline_runtime::{HealthSink, Outage};
use sagaline_saga::EffectFailure;

use crate::{BoxError, CallError};

/// What a [`Caller`] keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// So many calls at a time.
    pub concurrency: NonZeroUsize,
    /// How long one call may take. The call may have had its effect all the same: it is repeated with its key.
    pub time: Duration,
    /// When so many different keys in a row got no answer in time, the party is down, not slow for one order.
    pub silence_max: NonZeroUsize,
}

/// When so many different orders in a row got no answer in time, it is not about the orders.
const SILENCE_MAX: NonZeroUsize = match NonZeroUsize::new(5) {
    Some(orders) => orders,
    None => NonZeroUsize::MIN,
};

impl CallLimits {
    /// So many calls at a time, each for so long; a party that answers none of five orders in a row is down.
    pub const fn new(concurrency: NonZeroUsize, time: Duration) -> Self {
        Self {
            concurrency,
            time,
            silence_max: SILENCE_MAX,
        }
    }
}

/// Makes many calls to one party at once, within limits.
pub struct Caller {
    /// The dependency's name.
    party: &'static str,
    limits: CallLimits,
    health: Arc<dyn HealthSink>,
    /// An outage was told: that it is over has to be told, too.
    down: AtomicBool,
    /// Keys that got no answer in time since the party last answered anything. Distinct ones: one order that the
    /// party chokes on, tried again and again, must not look like an outage and hold up all others.
    silent: Mutex<Vec<Box<str>>>,
}

/// No call is answered any more.
#[derive(Debug, thiserror::Error)]
#[error("the last {orders} orders got no answer within {limit_ms} ms each")]
struct Silence {
    orders: usize,
    limit_ms: u128,
}

impl Caller {
    /// A caller that keeps to `limits`. The party counts as up until it turns out to be down.
    pub fn new(party: &'static str, limits: CallLimits, health: Arc<dyn HealthSink>) -> Self {
        health.up(party);
        Self {
            party,
            limits,
            health,
            down: AtomicBool::new(false),
            silent: Mutex::default(),
        }
    }

    /// Makes all `calls`, each given with its key; one result per call, in the same order.
    ///
    /// # Errors
    /// The party as a whole is down. Calls that were made may have had their effect.
    pub async fn call_all<T, F>(
        &self,
        calls: Vec<(&str, F)>,
    ) -> Result<Vec<Result<T, EffectFailure>>, Outage>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let answers = self.fan_out(calls).await.map_err(|source| {
            // The runtime tells that it is down, with the reason.
            self.down.store(true, Ordering::Relaxed);
            Outage::new(self.party, source)
        })?;
        if self.down.swap(false, Ordering::Relaxed) {
            self.health.up(self.party);
        }
        Ok(answers)
    }

    async fn fan_out<T, F>(
        &self,
        calls: Vec<(&str, F)>,
    ) -> Result<Vec<Result<T, EffectFailure>>, BoxError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut waiting = calls.into_iter().enumerate();
        let mut running = FuturesUnordered::new();
        let mut answers = Vec::with_capacity(waiting.len());
        loop {
            let free = self.limits.concurrency.get() - running.len();
            for (index, (key, call)) in waiting.by_ref().take(free) {
                running.push(async move { (index, self.within_limit(key, call).await) });
            }
            // Not in order: one slow call in front must not keep the finished ones' places taken.
            match running.next().await {
                Some((index, answer)) => answers.push((index, answer?)),
                None => break,
            }
        }
        answers.sort_unstable_by_key(|(index, _)| *index);
        Ok(answers.into_iter().map(|(_, result)| result).collect())
    }

    async fn within_limit<T>(
        &self,
        key: &str,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<Result<T, EffectFailure>, BoxError> {
        let Ok(answer) = tokio::time::timeout(self.limits.time, call).await else {
            return self.note_silence(key).map(Err);
        };
        let result = match answer {
            Ok(answer) => Ok(answer),
            Err(CallError::Outage(source)) => return Err(source),
            Err(CallError::Transient(why)) => Err(EffectFailure::Transient(why)),
            Err(CallError::Permanent(why)) => Err(EffectFailure::Permanent(why)),
        };
        self.silent.lock().clear();
        Ok(result)
    }

    fn note_silence(&self, key: &str) -> Result<EffectFailure, BoxError> {
        let limit_ms = self.limits.time.as_millis();
        let mut silent = self.silent.lock();
        if silent.len() < self.limits.silence_max.get()
            && !silent.iter().any(|known| **known == *key)
        {
            silent.push(key.into());
        }
        if silent.len() < self.limits.silence_max.get() {
            let why = format!("no answer within {limit_ms} ms for {key}");
            return Ok(EffectFailure::Transient(why));
        }
        Err(Box::new(Silence {
            orders: silent.len(),
            limit_ms,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use sagaline_runtime::SilentHealth;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    type Results<T> = Result<Vec<Result<T, EffectFailure>>, Outage>;

    fn limits(concurrency: usize, silence_max: usize) -> CallLimits {
        CallLimits {
            concurrency: NonZeroUsize::new(concurrency).unwrap(),
            time: SECOND,
            silence_max: NonZeroUsize::new(silence_max).unwrap(),
        }
    }

    fn caller(concurrency: usize, silence_max: usize) -> Caller {
        Caller::new(
            "party",
            limits(concurrency, silence_max),
            Arc::new(SilentHealth),
        )
    }

    /// Counts how often the party is said to be up.
    #[derive(Default)]
    struct Ups(AtomicUsize);

    impl HealthSink for Ups {
        fn up(&self, _: &'static str) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        fn down(&self, _: &'static str, _: &str) {}
    }

    fn keys(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("order-{n}/1")).collect()
    }

    fn transient<T>(result: &Result<T, EffectFailure>) -> bool {
        matches!(result, Err(EffectFailure::Transient(_)))
    }

    /// Calls for each of `keys`.
    async fn call_for<'a, T, F>(
        caller: &Caller,
        keys: &'a [String],
        call: impl Fn(&'a str) -> F,
    ) -> Results<T>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let calls = keys.iter().map(|key| (key.as_str(), call(key))).collect();
        caller.call_all(calls).await
    }

    async fn hang(caller: &Caller, keys: &[String]) -> Results<()> {
        call_for(caller, keys, |_| std::future::pending()).await
    }

    #[tokio::test(start_paused = true)]
    async fn results_stand_in_the_order_of_the_requests_whatever_finishes_first() {
        let delays: [u64; 5] = [300, 10, 200, 0, 100];
        let answer = |delay| async move {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            Ok(delay)
        };
        let calls = delays.iter().map(|delay| ("key", answer(*delay))).collect();
        let results = caller(3, 5).call_all(calls).await.unwrap();
        let results: Vec<u64> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, delays);
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_calls_at_a_time_than_allowed_and_a_slow_one_holds_up_no_other() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let keys = keys(40);
        let before = tokio::time::Instant::now();
        let results = call_for(&caller(4, 5), &keys, |key| {
            let (running, most) = (&running, &most);
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let slow = key == "order-0/1";
                tokio::time::sleep(Duration::from_millis(if slow { 500 } else { 10 })).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        })
        .await
        .unwrap();
        assert_eq!(results.len(), 40);
        assert_eq!(most.load(Ordering::SeqCst), 4);
        assert_eq!(before.elapsed(), Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_too_long_fails_for_its_order_alone() {
        let keys = keys(3);
        let results = call_for(&caller(3, 5), &keys, |key| async move {
            if key == "order-1/1" {
                std::future::pending::<()>().await;
            }
            Ok(key.len())
        })
        .await
        .unwrap();
        assert!(results[0].is_ok() && transient(&results[1]) && results[2].is_ok());
    }

    #[tokio::test]
    async fn an_outage_ends_the_batch_and_failures_of_one_order_do_not() {
        let (caller, keys) = (caller(3, 5), keys(3));
        let results = call_for(&caller, &keys, |key| {
            std::future::ready(match key {
                "order-0/1" => Err(CallError::Transient("later".to_owned())),
                "order-1/1" => Err(CallError::Permanent("never".to_owned())),
                _ => Ok(1),
            })
        });
        let expected = [
            Err(EffectFailure::Transient("later".to_owned())),
            Err(EffectFailure::Permanent("never".to_owned())),
            Ok(1),
        ];
        assert_eq!(results.await.unwrap(), expected);

        let outage = call_for(&caller, &keys, |key| {
            std::future::ready(match key {
                "order-2/1" => Err(CallError::Outage("gone".into())),
                _ => Ok(1),
            })
        });
        assert_eq!(
            outage.await.unwrap_err().chain(),
            "party is unavailable: gone"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_party_that_answers_nobody_is_down() {
        let (caller, keys) = (caller(8, 3), keys(3));
        let silence = hang(&caller, &keys).await.unwrap_err();
        assert!(silence.chain().contains("3 orders"), "{}", silence.chain());

        // still down for whoever asks, until one answer comes
        let one = &keys[..1];
        assert!(hang(&caller, one).await.is_err());
        let answered = call_for(&caller, one, |_| std::future::ready(Ok(1))).await;
        assert_eq!(answered.unwrap(), [Ok(1)]);
        assert!(transient(&hang(&caller, one).await.unwrap()[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn one_order_that_hangs_again_and_again_is_no_outage() {
        let (caller, keys) = (caller(8, 3), keys(1));
        for _ in 0..20 {
            assert!(transient(&hang(&caller, &keys).await.unwrap()[0]));
        }
    }

    #[tokio::test]
    async fn the_end_of_an_outage_is_told_once() {
        let ups = Arc::new(Ups::default());
        let (caller, keys) = (Caller::new("party", limits(1, 1), ups.clone()), keys(1));
        let told = || ups.0.load(Ordering::SeqCst);
        assert_eq!(told(), 1, "it counts as up from the start");
        let down = call_for(&caller, &keys, |_| {
            std::future::ready(Err::<(), _>(CallError::Outage("gone".into())))
        });
        assert!(down.await.is_err() && told() == 1);
        for _ in 0..3 {
            let back = call_for(&caller, &keys, |_| std::future::ready(Ok(())));
            assert!(back.await.is_ok() && told() == 2);
        }
    }

    #[tokio::test]
    async fn nothing_to_call_is_no_result() {
        assert!(hang(&caller(1, 1), &[]).await.unwrap().is_empty());
    }
}
