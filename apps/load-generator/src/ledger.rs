//! What is known of every order. It takes times as arguments, in microseconds from the start of the run.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hdrhistogram::errors::CreationError;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;

use crate::interval::{Latencies, Second, Seconds};

/// Outcomes of orders that we have no answer for yet, or that are somebody else's. Those that fall out are asked for at the end.
const EARLY_MAX: usize = 65_536;

/// Kinds of error that are told apart.
const KINDS_MAX: usize = 16;

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was shipped.
    Confirmed,
    /// It was undone.
    Cancelled,
}

/// How an outcome came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The feed told it.
    Feed,
    /// The read model was asked.
    Asked,
}

/// An accepted order that came to no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostOrder {
    /// Its id.
    pub order_id: String,
    /// What the read model said of it last.
    pub state: String,
}

/// How often each thing happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) due: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) errors: u64,
    pub(crate) not_sent: u64,
    pub(crate) resent: u64,
    pub(crate) confirmed: u64,
    pub(crate) cancelled: u64,
    pub(crate) asked: u64,
    pub(crate) reconnects: u64,
}

impl Counts {
    pub(crate) fn concluded(&self) -> u64 {
        self.confirmed + self.cancelled
    }
}

/// The ledger that all tasks of a run share.
#[derive(Debug)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
    settled: Notify,
}

#[derive(Debug)]
struct Book {
    counts: Counts,
    /// Orders that are due and have no answer yet.
    unanswered: usize,
    open: HashMap<Box<str>, u64>,
    early: HashMap<Box<str>, (Outcome, u64)>,
    early_order: VecDeque<Box<str>>,
    errors: BTreeMap<String, u64>,
    last_concluded_us: u64,
    lag: Latencies,
    post: Latencies,
    end_to_end: Latencies,
    seconds: Seconds,
}

/// Everything that a report is made of.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) counts: Counts,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) last_concluded_us: u64,
    pub(crate) lag: Latencies,
    pub(crate) post: Latencies,
    pub(crate) end_to_end: Latencies,
    pub(crate) seconds: Vec<Second>,
}

impl Ledger {
    pub(crate) fn new() -> Result<Self, CreationError> {
        let book = Book {
            counts: Counts::default(),
            unanswered: 0,
            open: HashMap::new(),
            early: HashMap::new(),
            early_order: VecDeque::new(),
            errors: BTreeMap::new(),
            last_concluded_us: 0,
            lag: Latencies::new()?,
            post: Latencies::new()?,
            end_to_end: Latencies::new()?,
            seconds: Seconds::new()?,
        };
        Ok(Self {
            book: Mutex::new(book),
            settled: Notify::new(),
        })
    }

    /// An order is due. Whether there is room for it: beyond `max_in_flight` it is counted as not sent.
    pub(crate) fn due(&self, now_us: u64, max_in_flight: usize) -> bool {
        let mut book = self.book.lock();
        book.counts.due += 1;
        book.seconds.at(now_us).due += 1;
        if book.unanswered + book.open.len() >= max_in_flight {
            book.counts.not_sent += 1;
            book.seconds.at(now_us).failed += 1;
            return false;
        }
        book.unanswered += 1;
        true
    }

    /// An order leaves, so much later than it was due.
    pub(crate) fn sending(&self, lag_us: u64) {
        self.book.lock().lag.record(lag_us);
    }

    /// Its connection broke, and it is sent again under the same idempotency key.
    pub(crate) fn resent(&self) {
        self.book.lock().counts.resent += 1;
    }

    /// The order service took an order.
    pub(crate) fn accepted(&self, order_id: &str, due_us: u64, now_us: u64) {
        let mut book = self.book.lock();
        let latency_us = now_us.saturating_sub(due_us);
        book.counts.accepted += 1;
        book.post.record(latency_us);
        book.seconds.accepted(now_us, latency_us);
        match book.early.remove(order_id) {
            Some((outcome, at_us)) => book.conclude(outcome, Source::Feed, due_us, at_us),
            None => {
                book.open.insert(order_id.into(), due_us);
            }
        }
        book.unanswered -= 1;
        self.tell_if_settled(&book);
    }

    /// The order service said 503.
    pub(crate) fn refused(&self, now_us: u64) {
        let mut book = self.book.lock();
        book.counts.refused += 1;
        self.unaccepted(&mut book, now_us);
    }

    /// An order got no answer, or a wrong one.
    pub(crate) fn failed(&self, kind: String, now_us: u64) {
        let mut book = self.book.lock();
        book.counts.errors += 1;
        let known = book.errors.len() < KINDS_MAX || book.errors.contains_key(&kind);
        *book
            .errors
            .entry(if known { kind } else { "others".to_owned() })
            .or_default() += 1;
        self.unaccepted(&mut book, now_us);
    }

    /// The sending is over: orders that were not sent, and those without an answer, will not come to one.
    pub(crate) fn abandon(&self, unsent: usize, now_us: u64) {
        let mut book = self.book.lock();
        let unanswered = book.unanswered.saturating_sub(unsent) as u64;
        book.counts.not_sent += unsent as u64;
        book.counts.errors += unanswered;
        if unanswered > 0 {
            let kind = "not answered before the run was ended".to_owned();
            *book.errors.entry(kind).or_default() += unanswered;
        }
        book.seconds.at(now_us).failed += unanswered + unsent as u64;
        book.unanswered = 0;
        self.tell_if_settled(&book);
    }

    fn unaccepted(&self, book: &mut Book, now_us: u64) {
        book.seconds.at(now_us).failed += 1;
        book.unanswered -= 1;
        self.tell_if_settled(book);
    }

    /// An order has come to its outcome.
    pub(crate) fn outcome(&self, order_id: &str, outcome: Outcome, source: Source, now_us: u64) {
        let mut book = self.book.lock();
        match book.open.remove(order_id) {
            Some(due_us) => {
                book.conclude(outcome, source, due_us, now_us);
                self.tell_if_settled(&book);
            }
            // The feed may be faster than the answer to the order; without an order unanswered it is somebody else's.
            None if book.unanswered > 0 => book.remember_early(order_id, outcome, now_us),
            None => {}
        }
    }

    fn tell_if_settled(&self, book: &Book) {
        if book.unanswered == 0 && book.open.is_empty() {
            self.settled.notify_waiters();
        }
    }

    /// Waits until no order is unanswered and none is open.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            {
                let book = self.book.lock();
                if book.unanswered == 0 && book.open.is_empty() {
                    return;
                }
            }
            settled.await;
        }
    }

    pub(crate) fn reconnected(&self) {
        self.book.lock().counts.reconnects += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.book.lock().counts
    }

    /// The orders that are accepted and have no outcome.
    pub(crate) fn open(&self) -> Vec<Box<str>> {
        self.book.lock().open.keys().cloned().collect()
    }

    pub(crate) fn open_count(&self) -> usize {
        self.book.lock().open.len()
    }

    pub(crate) fn is_open(&self, order_id: &str) -> bool {
        self.book.lock().open.contains_key(order_id)
    }

    /// Ends the run: what is known now goes into the report.
    pub(crate) fn close(&self) -> Closed {
        let mut book = self.book.lock();
        Closed {
            counts: book.counts,
            errors: std::mem::take(&mut book.errors),
            last_concluded_us: book.last_concluded_us,
            lag: book.lag.clone(),
            post: book.post.clone(),
            end_to_end: book.end_to_end.clone(),
            seconds: book.seconds.finish(),
        }
    }
}

impl Book {
    fn conclude(&mut self, outcome: Outcome, source: Source, due_us: u64, now_us: u64) {
        match outcome {
            Outcome::Confirmed => self.counts.confirmed += 1,
            Outcome::Cancelled => self.counts.cancelled += 1,
        }
        if source == Source::Asked {
            self.counts.asked += 1;
        }
        // An outcome that had to be asked for counts until it was known: later than it happened, never earlier.
        let latency_us = now_us.saturating_sub(due_us);
        self.end_to_end.record(latency_us);
        self.seconds.concluded(now_us, latency_us);
        self.last_concluded_us = self.last_concluded_us.max(now_us);
    }

    fn remember_early(&mut self, order_id: &str, outcome: Outcome, now_us: u64) {
        if self.early.contains_key(order_id) {
            return;
        }
        if self.early_order.len() >= EARLY_MAX
            && let Some(oldest) = self.early_order.pop_front()
        {
            self.early.remove(&oldest);
        }
        self.early_order.push_back(order_id.into());
        self.early.insert(order_id.into(), (outcome, now_us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 1_000;

    fn ledger() -> Ledger {
        Ledger::new().unwrap()
    }

    #[test]
    fn latency_counts_from_the_due_time_not_from_the_sending() {
        let ledger = ledger();
        assert!(ledger.due(0, ROOM));
        ledger.sending(3_000_000);
        ledger.accepted("o-1", 0, 3_001_000);
        ledger.outcome("o-1", Outcome::Confirmed, Source::Feed, 3_002_000);
        let closed = ledger.close();
        assert!(closed.post.max_ms().unwrap() >= 3_000.0);
        assert!(closed.end_to_end.max_ms().unwrap() >= 3_000.0);
        assert!(closed.lag.max_ms().unwrap() >= 2_990.0);
    }

    #[test]
    fn an_outcome_before_the_answer_counts_at_the_time_when_it_was_told() {
        let ledger = ledger();
        ledger.due(0, ROOM);
        ledger.outcome("o-1", Outcome::Cancelled, Source::Feed, 5_000);
        ledger.accepted("o-1", 0, 9_000);
        let closed = ledger.close();
        assert_eq!((closed.counts.cancelled, closed.counts.accepted), (1, 1));
        assert!(closed.end_to_end.max_ms().unwrap() < 5.1);
        assert_eq!(ledger.open_count(), 0);
    }

    #[test]
    fn an_outcome_that_is_told_twice_counts_once() {
        let ledger = ledger();
        ledger.due(0, ROOM);
        ledger.accepted("o-1", 0, 1_000);
        ledger.outcome("o-1", Outcome::Confirmed, Source::Feed, 2_000);
        ledger.outcome("o-1", Outcome::Confirmed, Source::Asked, 3_000);
        assert_eq!((ledger.counts().concluded(), ledger.counts().asked), (1, 0));
    }

    #[test]
    fn beyond_the_bound_an_order_is_counted_as_not_sent() {
        let ledger = ledger();
        assert!(ledger.due(0, 1));
        assert!(!ledger.due(0, 1));
        ledger.accepted("o-1", 0, 1);
        assert!(
            !ledger.due(2, 1),
            "an order without an outcome is in flight"
        );
        ledger.outcome("o-1", Outcome::Confirmed, Source::Feed, 3);
        assert!(ledger.due(4, 1));
        assert_eq!((ledger.counts().due, ledger.counts().not_sent), (4, 2));
    }

    #[test]
    fn outcomes_of_strangers_take_a_bounded_amount_of_memory() {
        let ledger = ledger();
        ledger.due(0, ROOM);
        for stranger in 0..EARLY_MAX + 10 {
            ledger.outcome(&stranger.to_string(), Outcome::Confirmed, Source::Feed, 1);
        }
        let book = ledger.book.lock();
        assert_eq!(
            (book.early.len(), book.early_order.len()),
            (EARLY_MAX, EARLY_MAX)
        );
        assert!(!book.early.contains_key("0"));
    }

    #[test]
    fn kinds_of_error_are_bounded() {
        let ledger = ledger();
        for kind in 0..100 {
            ledger.due(0, ROOM);
            ledger.failed(kind.to_string(), 0);
        }
        let errors = ledger.close().errors;
        assert_eq!(errors.len(), KINDS_MAX + 1);
        assert_eq!(errors.values().sum::<u64>(), 100);
    }

    #[tokio::test]
    async fn a_run_is_settled_when_every_order_has_its_answer_and_its_outcome() {
        let ledger = std::sync::Arc::new(ledger());
        ledger.settled().await;
        ledger.due(0, ROOM);
        ledger.due(0, ROOM);
        let waiting = tokio::spawn({
            let ledger = std::sync::Arc::clone(&ledger);
            async move { ledger.settled().await }
        });
        tokio::task::yield_now().await;
        ledger.refused(1);
        ledger.accepted("o-1", 0, 1);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        ledger.outcome("o-1", Outcome::Confirmed, Source::Feed, 2);
        waiting.await.unwrap();
    }
}
