//! Waiting for what becomes of an order or of a command, showing each event as it comes.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context;
use sagaline_contracts::{OrderId, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Api, Message};
use crate::event::{Entry, status_tone};
use crate::output::Out;
use crate::text::printable;

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Confirmed,
    Cancelled,
}

impl Outcome {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "CONFIRMED" => Some(Self::Confirmed),
            "CANCELLED" => Some(Self::Cancelled),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "CONFIRMED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// How an order ended, and after how long.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How.
    pub(crate) outcome: Outcome,
    order: Projection,
}

/// What is read of an order's projection.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Projection {
    pub(crate) order_id: String,
    pub(crate) outcome: String,
    pub(crate) attempt: Option<u32>,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) timeline: Vec<Entry>,
}

impl Ended {
    /// Says it in one line.
    pub(crate) fn show(&self, out: &mut Out) -> anyhow::Result<()> {
        let order = &self.order;
        let took = order.created_at.zip(order.ended_at);
        let took = took.map(|(from, to)| to.since(from));
        if out.json {
            out.json(&json!({
                "orderId": order.order_id, "outcome": self.outcome.as_str(), "reason": order.reason,
                "attempt": order.attempt, "tookMs": took.map(|took| took.as_secs_f64() * 1_000.0),
            }))?;
        } else {
            let name = out
                .paint
                .tone(status_tone(self.outcome.as_str()), self.outcome.as_str());
            let took = took.map(|took| format!(" after {}", crate::text::duration(took)));
            let reason = order
                .reason
                .as_deref()
                .map(|r| format!(": {}", printable(r)));
            let (took, reason) = (took.unwrap_or_default(), reason.unwrap_or_default());
            out.line(format_args!("{name}{took}{reason}"))?;
        }
        out.flush()?;
        Ok(())
    }
}

/// Shows an order's events, from the first one, until it has an outcome.
pub(crate) async fn for_outcome(
    read_model: &Api,
    id: &OrderId,
    limit: Duration,
    out: &mut Out,
) -> anyhow::Result<Ended> {
    let mut stream = read_model.stream(&["orders", id.as_str(), "stream"], &[("from", "start")]);
    let deadline = Instant::now() + limit;
    loop {
        let next = tokio::time::timeout_at(deadline, stream.next()).await;
        let message = next.map_err(|_| still_pending(id, limit))??;
        let entry = entry(&message)?;
        show(out, &entry, &message)?;
        if !matches!(entry.name(), "OrderConfirmed" | "OrderCancelled") {
            continue;
        }
        // An order that was placed before may have gone on after an outcome: what it says now is what counts.
        let answer = read_model.get(&["orders", id.as_str()], &[]).await?;
        let order: Projection = answer.parse()?;
        if let Some(outcome) = Outcome::parse(&order.outcome) {
            return Ok(Ended { outcome, order });
        }
    }
}

/// What an operator asked of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Retry,
    Release,
    Refund,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was done.
    Done(String),
    /// It was not, or it came to nothing.
    Failed(String),
}

/// Shows the events that come after a command, until it is known what became of it.
pub(crate) async fn for_command(
    read_model: &Api,
    before: Projection,
    asked: Asked,
    command_id: &str,
    limit: Duration,
    out: &mut Out,
) -> anyhow::Result<Verdict> {
    let id = OrderId::new(&before.order_id).context("the read model names the order otherwise")?;
    let mut judge = Judge::new(asked, command_id, before);
    let mut stream = read_model.stream(&["orders", id.as_str(), "stream"], &[("from", "start")]);
    let deadline = Instant::now() + limit;
    loop {
        let next = tokio::time::timeout_at(deadline, stream.next()).await;
        let message = next.map_err(|_| still_pending(&id, limit))??;
        let entry = entry(&message)?;
        if judge.is_news(&entry) {
            show(out, &entry, &message)?;
        }
        if let Some(verdict) = judge.hear(&entry) {
            return Ok(verdict);
        }
    }
}

fn still_pending(id: &OrderId, limit: Duration) -> anyhow::Error {
    let limit = crate::text::duration(limit);
    anyhow::anyhow!(
        "nothing was decided within {limit}: go on with `sagaline orders {id} --follow`"
    )
}

/// The event in a message of an order's stream.
pub(crate) fn entry(message: &Message) -> anyhow::Result<Entry> {
    serde_json::from_str(&message.data)
        .context("the read model's stream is not what it should be: is it of this version?")
}

/// Shows an event as it comes.
pub(crate) fn show(out: &mut Out, entry: &Entry, message: &Message) -> anyhow::Result<()> {
    if out.json {
        out.line(message.data.replace('\n', " "))?;
    } else {
        let line = entry.line(out.paint);
        out.line(line)?;
    }
    out.flush()?;
    Ok(())
}

/// Decides from an order's events, in whatever order they come, what became of a command.
#[derive(Debug)]
struct Judge {
    asked: Asked,
    command_id: String,
    /// The attempt that the command is about.
    attempt: u32,
    /// Events that were there before the command.
    known: HashSet<String>,
    shipped: bool,
    /// The attempt that a retry began.
    begun: Option<u32>,
    /// Outcomes by attempt.
    outcomes: Vec<(u32, Verdict)>,
}

impl Judge {
    fn new(asked: Asked, command_id: &str, before: Projection) -> Self {
        let shipped = before
            .timeline
            .iter()
            .any(|entry| entry.name() == "OrderShipped");
        let ids = before.timeline.into_iter().map(|entry| entry.event_id);
        let mut known: HashSet<String> = ids.flatten().collect();
        if known.contains(command_id) {
            // The same command was given before: what became of it may be known as well.
            known.clear();
        }
        Self {
            asked,
            command_id: command_id.to_owned(),
            attempt: before.attempt.unwrap_or(1),
            known,
            shipped,
            begun: None,
            outcomes: Vec::new(),
        }
    }

    fn is_news(&self, entry: &Entry) -> bool {
        let id = entry.event_id.as_ref();
        id.is_none_or(|id| !self.known.contains(id))
    }

    fn hear(&mut self, entry: &Entry) -> Option<Verdict> {
        if !self.is_news(entry) {
            return None;
        }
        let name = entry.name();
        if name == "CommandRejected" && self.answers(entry) {
            return Some(Verdict::Failed(entry.summary()));
        }
        match self.asked {
            Asked::Retry => self.hear_retry(entry, name),
            Asked::Release => self.hear_undoing(entry, name, false),
            Asked::Refund => self.hear_undoing(entry, name, true),
        }
    }

    fn answers(&self, entry: &Entry) -> bool {
        entry.causation_id.as_ref() == Some(&self.command_id)
    }

    /// A retry is over when the attempt that it began is.
    fn hear_retry(&mut self, entry: &Entry, name: &str) -> Option<Verdict> {
        match name {
            "OrderRetried" if self.answers(entry) => self.begun = entry.attempt,
            "OrderConfirmed" => self.ended(entry, Verdict::Done("CONFIRMED".to_owned())),
            "OrderCancelled" => {
                let verdict = Verdict::Failed(format!("CANCELLED: {}", entry.summary()));
                self.ended(entry, verdict);
            }
            _ => {}
        }
        let begun = self.begun?;
        let outcome = self.outcomes.iter().find(|(attempt, _)| *attempt == begun);
        outcome.map(|(_, verdict)| verdict.clone())
    }

    fn ended(&mut self, entry: &Entry, verdict: Verdict) {
        // An outcome without an attempt, another program's, is that of the latest.
        let attempt = entry.attempt.or(self.begun);
        self.outcomes
            .extend(attempt.map(|attempt| (attempt, verdict)));
    }

    /// Something is undone when the order is cancelled; of an order that is shipped, when it is paid back.
    fn hear_undoing(&mut self, entry: &Entry, name: &str, is_refund: bool) -> Option<Verdict> {
        if entry.attempt.is_some_and(|attempt| attempt < self.attempt) {
            return None;
        }
        self.shipped |= name == "OrderShipped";
        match name {
            "OrderCancelled" => Some(Verdict::Done(format!("CANCELLED: {}", entry.summary()))),
            "PaymentRefunded" if is_refund && self.shipped => {
                Some(Verdict::Done(format!("REFUNDED: {}", entry.summary())))
            }
            "OrderConfirmed" if !is_refund => Some(Verdict::Failed(
                "CONFIRMED: the goods went out before the command".to_owned(),
            )),
            _ => None,
        }
    }
}

/// The order as it stands before a command, so that it is known afterwards what is new.
pub(crate) async fn before(read_model: &Api, id: &OrderId) -> anyhow::Result<Projection> {
    let answer = read_model.get(&["orders", id.as_str()], &[]).await?;
    Ok(answer.parse()?)
}

impl Verdict {
    /// Says it in one line.
    pub(crate) fn show(&self, out: &mut Out, command_id: &str) -> anyhow::Result<()> {
        let (is_done, text, tone) = match self {
            Self::Done(text) => (true, text, crate::output::Tone::Good),
            Self::Failed(text) => (false, text, crate::output::Tone::Bad),
        };
        if out.json {
            let line: Value = json!({ "commandId": command_id, "done": is_done, "text": text });
            out.json(&line)?;
        } else {
            let text = out.paint.tone(tone, &printable(text));
            out.line(text)?;
        }
        out.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
