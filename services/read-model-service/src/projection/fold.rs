//! What follows from an order's timeline.

use sagaline_commands::{Outcome, action_name};
use sagaline_contracts::payload::CommandRejected;
use sagaline_contracts::{EventType, OrderId, Timestamp};

use super::entry::Entry;
use super::fact::{Compensation, Died, Fact, Placed};
use super::views::{AttemptView, CancelView, LetterView, Refused};
use super::{LetterState, Lifecycle, Order, SAGA_TIMEOUT, Status};

/// The most refused commands and dead letters that are listed beside the timeline, which has them all.
const LISTED_MAX: usize = 100;

/// What follows from an order's timeline.
#[derive(Debug)]
pub struct Fold<'a> {
    pub(super) order: &'a Order,
    /// Where the order stands.
    pub lifecycle: Lifecycle,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When its latest event took effect.
    pub updated_at: Timestamp,
    pub(super) placed: Option<&'a Placed>,
    pub(super) customer_id: Option<&'a str>,
    pub(super) currency: Option<&'a str>,
    pub(super) attempts: Vec<AttemptView<'a>>,
    pub(super) refused: Vec<Refused<'a>>,
    pub(super) letters: Vec<LetterView<'a>>,
    /// The goods are on their way.
    pub shipped: bool,
    /// The current attempt's charge is paid back.
    pub refunded: bool,
    /// When the outcome of the current attempt was known.
    pub ended_at: Option<Timestamp>,
}

/// What is counted of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// The status; absent while nothing but commands is known.
    pub status: Option<Status>,
    /// How the current attempt ended.
    pub outcome: Outcome,
    /// It is in flight for longer than the saga timeout.
    pub stalled: bool,
    /// Dead letters that wait for an operator.
    pub letters_waiting: u32,
}

impl<'a> Fold<'a> {
    pub(super) fn of(order: &'a Order) -> Self {
        let mut fold = Self {
            order,
            lifecycle: Lifecycle::default(),
            created_at: order.entries.first().map_or(Timestamp::EPOCH, Entry::at),
            updated_at: order.updated_at(),
            placed: None,
            customer_id: None,
            currency: None,
            attempts: Vec::with_capacity(1),
            refused: Vec::new(),
            letters: Vec::new(),
            shipped: false,
            refunded: false,
            ended_at: None,
        };
        let mut created = false;
        for entry in &order.entries {
            if entry.kind == EventType::OrderCreated && !created {
                created = true;
                fold.created_at = entry.effective;
            }
            fold.take(entry);
        }
        fold.conclude();
        fold
    }

    fn take(&mut self, entry: &'a Entry) {
        let before = self.lifecycle.attempt;
        let attempt = self.lifecycle.apply(entry.kind, entry.attempt);
        if self.lifecycle.attempt != before {
            self.refunded = false;
        }
        match &entry.fact {
            Fact::Placed(placed) => self.place(entry, attempt, placed),
            Fact::Failed { reason } => self.fail(entry, attempt, reason),
            Fact::Compensation(wish) => self.compensate(entry, attempt, wish),
            Fact::Refused(refusal) => self.refuse(entry, refusal),
            Fact::Died(died) => self.die(entry, died),
            Fact::Retry { .. } | Fact::Redrive(_) => {}
            Fact::Plain => self.pass(entry, attempt),
        }
    }

    fn place(&mut self, entry: &'a Entry, attempt: u32, placed: &'a Placed) {
        // A retry is of the same items; what the order was placed with tells more.
        if self.placed.is_none() || entry.kind == EventType::OrderCreated {
            self.placed = Some(placed);
        }
        self.customer_id = self.customer_id.or(placed.customer_id.as_deref());
        self.currency = self.currency.or(placed.currency.as_deref());
        let view = self.attempt(attempt, entry);
        view.step = placed.step;
    }

    fn fail(&mut self, entry: &'a Entry, attempt: u32, reason: &'a str) {
        let view = self.attempt(attempt, entry);
        if entry.kind == EventType::OrderCancelled {
            view.outcome = Outcome::Cancelled;
            view.ended_at = Some(entry.effective);
            view.reason = Some(reason);
        } else if view.ended_at.is_none() {
            view.reason = view.reason.or(Some(reason));
        }
    }

    fn pass(&mut self, entry: &'a Entry, attempt: u32) {
        match entry.kind {
            EventType::OrderConfirmed => {
                let view = self.attempt(attempt, entry);
                view.outcome = Outcome::Confirmed;
                view.ended_at = Some(entry.effective);
            }
            EventType::OrderShipped => self.shipped = true,
            EventType::PaymentRefunded => {
                self.refunded |= attempt == self.lifecycle.attempt;
            }
            _ => {}
        }
        if self.attempts.is_empty() {
            self.attempt(attempt, entry);
        }
    }

    fn compensate(&mut self, entry: &'a Entry, attempt: u32, wish: &'a Compensation) {
        if self.attempts.iter().all(|view| view.attempt != attempt) {
            return;
        }
        let view = self.attempt(attempt, entry);
        let is_wish = wish.decided_by.is_none();
        if is_wish && wish.by.as_deref() == Some(SAGA_TIMEOUT) {
            view.stalled_since = view.stalled_since.or(Some(entry.effective));
        }
        // What follows from a failure is no cancellation: somebody has to have asked.
        if is_wish && view.cancel.is_none() {
            view.cancel = Some(CancelView {
                action: action_name(wish.action),
                requested_by: wish.by.as_deref(),
                reason: wish.reason.as_deref(),
                at: entry.effective,
                decided_by: None,
            });
        }
        if let Some(cancel) = &mut view.cancel {
            cancel.decided_by = cancel.decided_by.or(wish.decided_by);
        }
    }

    fn refuse(&mut self, entry: &'a Entry, refusal: &'a CommandRejected) {
        self.refused.push(Refused {
            command: &refusal.command,
            reason: &refusal.reason,
            requested_by: &refusal.requested_by,
            at: entry.effective,
        });
    }

    fn die(&mut self, entry: &'a Entry, died: &'a Died) {
        let state = entry.letter_state.unwrap_or(LetterState::Waiting);
        self.letters.push(LetterView {
            dead_letter_id: died.letter.as_deref(),
            consumer: died.consumer.as_deref(),
            topic: &died.topic,
            error: &died.error,
            at: entry.effective,
            status: state.in_timeline(),
            state,
        });
    }

    fn attempt(&mut self, attempt: u32, entry: &'a Entry) -> &mut AttemptView<'a> {
        let at = self.attempts.partition_point(|view| view.attempt < attempt);
        if self
            .attempts
            .get(at)
            .is_none_or(|view| view.attempt != attempt)
        {
            let view = AttemptView {
                attempt,
                step: None,
                outcome: Outcome::Pending,
                started_at: entry.effective,
                ended_at: None,
                reason: None,
                stalled_since: None,
                cancel: None,
            };
            self.attempts.insert(at, view);
        }
        &mut self.attempts[at]
    }

    fn conclude(&mut self) {
        let keep_last = |len: usize| len.saturating_sub(LISTED_MAX);
        self.refused.drain(..keep_last(self.refused.len()));
        self.letters.drain(..keep_last(self.letters.len()));
        self.ended_at = self.current().and_then(|view| view.ended_at);
    }

    pub(super) fn current(&self) -> Option<&AttemptView<'a>> {
        let current = self.lifecycle.attempt;
        self.attempts.iter().find(|view| view.attempt == current)
    }

    /// Why the current attempt failed.
    pub fn reason(&self) -> Option<&'a str> {
        self.current().and_then(|view| view.reason)
    }

    /// Since when the order has been in flight for longer than the saga timeout.
    pub fn stalled_since(&self) -> Option<Timestamp> {
        let is_pending = self.lifecycle.outcome == Outcome::Pending;
        self.current()
            .filter(|_| is_pending)
            .and_then(|view| view.stalled_since)
    }

    /// What is counted of the order.
    pub fn head(&self) -> Head {
        let waiting = self
            .letters
            .iter()
            .filter(|l| l.state == LetterState::Waiting);
        Head {
            status: self.lifecycle.status,
            outcome: self.lifecycle.outcome,
            stalled: self.stalled_since().is_some(),
            letters_waiting: u32::try_from(waiting.count()).unwrap_or(u32::MAX),
        }
    }

    /// The order, as a command is decided on it.
    pub fn command_view(&self) -> sagaline_commands::OrderView {
        let id: &OrderId = self.order.id();
        sagaline_commands::OrderView {
            order_id: id.clone(),
            attempt: self.lifecycle.attempt.max(1),
            outcome: self.lifecycle.outcome,
            shipped: self.shipped,
            refunded: self.refunded,
            updated_at: self.updated_at,
        }
    }
}
