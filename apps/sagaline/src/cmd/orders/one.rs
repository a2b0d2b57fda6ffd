//! One order with its timeline.

use std::collections::HashMap;

use sagaline_contracts::{OrderId, Timestamp};

use super::super::wait;
use super::view::{Attempt, Cancel, Order};
use crate::client::Api;
use crate::event::{Entry, status_tone};
use crate::output::{Out, Paint, Tone};
use crate::summary;
use crate::table::{Cell, Edge, Table, number};
use crate::text::{age, duration, printable, time};

/// Shows an order as it is.
pub(super) async fn show(read_model: &Api, id: &OrderId, out: &mut Out) -> anyhow::Result<()> {
    let answer = read_model.get(&["orders", id.as_str()], &[]).await?;
    if out.json {
        out.line(answer.body.trim_end())?;
        return Ok(());
    }
    let order: Order = answer.parse()?;
    let head = head(&order, super::super::now(), out.paint);
    out.line(head)?;
    out.line("")?;
    Ok(out.table(&timeline(&order.timeline))?)
}

/// Shows an order's events from the first one, and each that comes, until nobody wants to see any more.
pub(super) async fn follow(read_model: &Api, id: &OrderId, out: &mut Out) -> anyhow::Result<()> {
    let mut stream = read_model.stream(&["orders", id.as_str(), "stream"], &[("from", "start")]);
    loop {
        let message = stream.next().await?;
        let entry = wait::entry(&message)?;
        wait::show(out, &entry, &message)?;
    }
}

fn head(order: &Order, now: Timestamp, paint: Paint) -> String {
    let tone = status_tone(&order.outcome);
    let mut lines = vec![format!(
        "{}  {}  {}",
        paint.tone(Tone::Bold, &printable(&order.id)),
        paint.tone(tone, &printable(&order.outcome)),
        printable(order.status()),
    )];
    let mut say = |label: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!("  {label:<9} {}", printable(text)));
        }
    };
    say("items", &summary::items(&order.items));
    say("total", &order.total());
    say("customer", order.customer_id.as_deref().unwrap_or(""));
    let created = format!(
        "{}, {} ago",
        time(order.created_at),
        age(order.created_at, now)
    );
    say("created", &created);
    if let Some((ended, took)) = order.ended_at.zip(order.took()) {
        say(
            "ended",
            &format!("{}, after {}", time(ended), duration(took)),
        );
    }
    say("remarks", &order.remarks(now).0);
    if let Some(cancel) = &order.cancel {
        say("undone", &undone(cancel));
    }
    for attempt in &order.attempts {
        say(&format!("attempt {}", attempt.number), &tried(attempt, now));
    }
    lines.join("\n")
}

fn undone(cancel: &Cancel) -> String {
    let by = |label: &str, who: &Option<String>| {
        who.as_ref()
            .map(|who| format!(" {label} {who}"))
            .unwrap_or_default()
    };
    let reason = cancel.reason.as_ref().map(|why| format!(": {why}"));
    format!(
        "{}{}{}{}",
        cancel.action,
        by("by", &cancel.requested_by),
        by("ruled by", &cancel.decided_by),
        reason.unwrap_or_default()
    )
}

fn tried(attempt: &Attempt, now: Timestamp) -> String {
    let step = attempt.step.as_ref().map(|step| format!(" from {step}"));
    let reason = attempt.reason.as_ref().map(|why| format!(": {why}"));
    let took = match attempt.ended_at {
        Some(ended) => format!("after {}", duration(ended.since(attempt.started_at))),
        None => format!("for {}", age(attempt.started_at, now)),
    };
    format!(
        "{}{} {took}{}",
        attempt.outcome,
        step.unwrap_or_default(),
        reason.unwrap_or_default()
    )
}

fn timeline(entries: &[Entry]) -> Table {
    let mut table = Table::new(&[
        ("#", Edge::Right),
        ("TIME", Edge::Left),
        ("STEP", Edge::Right),
        ("ATTEMPT", Edge::Right),
        ("EVENT", Edge::Left),
        ("CAUSE", Edge::Left),
        ("WHAT", Edge::Left),
    ]);
    let ids = entries.iter().enumerate();
    let numbers: HashMap<&str, usize> = ids
        .filter_map(|(at, entry)| Some((entry.event_id.as_deref()?, at + 1)))
        .collect();
    let mut before: Option<Timestamp> = None;
    for (at, entry) in entries.iter().enumerate() {
        let step = before.map(|before| format!("+{}", duration(entry.at.since(before))));
        before = Some(entry.at);
        let cause = entry
            .causation_id
            .as_deref()
            .map(|id| match numbers.get(id) {
                Some(number) => format!("#{number}"),
                None => id.to_owned(),
            });
        // In a timeline only dead letters have a status.
        let status = entry.status.as_ref().map(|status| format!(" [{status}]"));
        let what = format!("{}{}", entry.summary(), status.unwrap_or_default());
        table.row([
            number(at + 1),
            Cell::toned(time(entry.at), Tone::Dim),
            Cell::toned(step.unwrap_or_default(), Tone::Dim),
            Cell::from(entry.attempt.map(|a| a.to_string()).unwrap_or_default()),
            Cell::toned(entry.name(), entry.tone()),
            Cell::toned(cause.unwrap_or_default(), Tone::Dim),
            Cell::from(what),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order() -> Order {
        serde_json::from_value(json!({
            "_id": "o-1", "orderId": "o-1", "currentStatus": "PAYMENT_FAILED", "outcome": "CANCELLED", "attempt": 2,
            "reason": "card_declined", "total": 20, "createdAt": "2026-01-31T12:00:00Z",
            "updatedAt": "2026-01-31T12:00:01Z", "endedAt": "2026-01-31T12:00:01Z",
            "items": [{ "sku": "SKU-1", "qty": 2 }],
            "attempts": [
                { "attempt": 1, "outcome": "CANCELLED", "startedAt": "2026-01-31T12:00:00Z",
                  "endedAt": "2026-01-31T12:00:00.041Z", "reason": "carrier_error" },
                { "attempt": 2, "step": "payment", "outcome": "PENDING", "startedAt": "2026-01-31T12:00:00Z" },
            ],
            "cancel": { "action": "releaseInventory", "requestedBy": "ann", "decidedBy": "shipping", "at": "2026-01-31T12:00:00Z" },
            "timeline": [
                { "type": "order.OrderCreated.v1", "at": "2026-01-31T12:00:00Z", "eventId": "e-1", "attempt": 1,
                  "details": { "items": [{ "sku": "SKU-1", "qty": 2 }], "total": 20 } },
                { "type": "inventory.InventoryReserved.v1", "at": "2026-01-31T12:00:00.004Z", "eventId": "e-2",
                  "causationId": "e-1", "attempt": 1, "details": { "reservedItems": [{ "sku": "SKU-1", "qty": 2 }] } },
                { "type": "ops.DeadLetter.v1", "at": "2026-01-31T12:00:00.044Z", "eventId": "e-3", "causationId": "elsewhere",
                  "status": "dead", "details": { "consumer": "order-service", "error": "no" } },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn the_head_says_what_it_is_and_how_each_attempt_went() {
        let now: Timestamp = "2026-01-31T12:02:05Z".parse().unwrap();
        let head = head(&order(), now, Paint::none());
        let expected = "\
o-1  CANCELLED  PAYMENT_FAILED
  items     2 × SKU-1
  total     20.00
  created   2026-01-31 12:00:00.000, 2m 05s ago
  ended     2026-01-31 12:00:01.000, after 1.0s
  remarks   card_declined
  undone    releaseInventory by ann ruled by shipping
  attempt 1 CANCELLED after 41ms: carrier_error
  attempt 2 PENDING from payment for 2m 05s";
        assert_eq!(head, expected);
    }

    #[test]
    fn the_timeline_tells_what_caused_what_and_how_long_it_took() {
        let shown = timeline(&order().timeline).render(Paint::none());
        let words = |line: usize| {
            let line = shown.lines().nth(line).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            words(1),
            "1 2026-01-31 12:00:00.000 1 OrderCreated 2 × SKU-1, 20.00"
        );
        assert_eq!(
            words(2),
            "2 2026-01-31 12:00:00.004 +4.0ms 1 InventoryReserved #1 2 × SKU-1"
        );
        assert_eq!(
            words(3),
            "3 2026-01-31 12:00:00.044 +40ms DeadLetter elsewhere order-service: no [dead]"
        );
    }
}
