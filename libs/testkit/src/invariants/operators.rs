//! Two clicks are one effect, and everything that an operator did is recorded with who, what, when and its outcome.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use serde_json::Value;
use tokio::time::Instant;

use super::events::{Events, by_order, of_type};
use super::letters::{self, Deaths};
use super::{Broken, SETTLE_LIMIT, SETTLE_POLL, Violations, overtaken, read_published};
use crate::client::Client;
use crate::operators::{Accepted, Acts, Restocked};
use crate::topics::read_all;

/// As many as the inventory service knows of a product.
const RESTOCKS_KNOWN: usize = 50;

/// What was looked at of what operators did, and what is wrong.
#[derive(Debug, Default)]
pub struct Operated {
    /// Events whose cause stood behind a message that was none, and that were told when that was decided.
    pub waited: usize,
    /// What is wrong.
    pub violations: Violations,
}

/// Checks everything that operators did, called `by` in the audit, and all dead letters that there are. Waits until what was
/// asked for is shown.
pub async fn operated(client: &Client, by: &str, acts: &Acts) -> Result<Operated> {
    let give_up = Instant::now() + SETTLE_LIMIT;
    loop {
        let found = look(client, by, acts).await?;
        if found.violations.0.is_empty() || Instant::now() > give_up {
            return Ok(found);
        }
        tokio::time::sleep(SETTLE_POLL).await;
    }
}

async fn look(client: &Client, by: &str, acts: &Acts) -> Result<Operated> {
    let mut found = Violations::default();
    let audit = client.listed("/admin/audit?limit=100").await?;
    check_audit(by, acts, &audit, &mut found);
    let inventory = &client.addresses().inventory;
    let restocks = client
        .listed_by(inventory, "/admin/restocks?limit=1000")
        .await?;
    check_restocks(by, &acts.restocks, &restocks, &mut found);
    let messages = read_published(client).await?;
    // What is wrong with events is told elsewhere.
    let events = by_order(&messages, &BTreeSet::new(), &mut Violations::default());
    check_effects(acts, &events, &mut found);

    let dead = super::TOPICS.iter().map(|topic| format!("{topic}.dlq"));
    let dead = read_all(&client.addresses().kafka, dead.collect()).await?;
    let deaths = Deaths::told(&dead);
    let records = client.listed("/dead-letters?limit=100").await?;
    letters::check(acts, &messages, &deaths, &records, &mut found);
    let waited = overtaken::check(&messages, &deaths, &mut found);
    Ok(Operated {
        waited,
        violations: found,
    })
}

/// The audit has every accepted action once, complete and answered, and no other one in this name.
fn check_audit(by: &str, acts: &Acts, audit: &[Value], found: &mut Violations) {
    let mut rows: HashMap<&str, Vec<&Value>> = HashMap::new();
    for row in audit.iter().filter(|row| row["requestedBy"] == by) {
        let id = row["commandId"].as_str().unwrap_or_default();
        rows.entry(id).or_default().push(row);
    }
    for action in &acts.accepted {
        let recorded = rows.remove(action.command_id.as_str()).unwrap_or_default();
        let kind = match recorded.as_slice() {
            [row] if is_record_of(row, action) => continue,
            [] => Broken::Lost,
            [_] => Broken::Wrong,
            _ => Broken::Doubled,
        };
        found.push(kind, format!("the audit of {action:?} is {recorded:?}"));
    }
    // A refusal of a click is recorded as well. Nothing else was accepted.
    let unasked = rows
        .values()
        .flatten()
        .filter(|row| row["outcome"] != "rejected");
    for row in unasked {
        let what = format!("the audit has what nobody was told of: {row}");
        found.push(Broken::Doubled, what);
    }
}

/// Whether it says what was asked, when, and that it was carried out. Who asked is known.
fn is_record_of(row: &Value, action: &Accepted) -> bool {
    row["command"] == action.command.as_str()
        && row["orderId"] == action.order.as_str()
        && row["deadLetterId"].as_str() == action.letter.as_deref()
        && row["at"].as_str().is_some_and(|at| !at.is_empty())
        && row["outcome"] == "accepted"
}

/// Everything that was added to the stock is listed once, as it was asked for, and nothing else in this name.
fn check_restocks(by: &str, asked: &[Restocked], listed: &[Value], found: &mut Violations) {
    let mut of_product: HashMap<&str, usize> = HashMap::new();
    let mut rows: HashMap<&str, Vec<&Value>> = HashMap::new();
    for row in listed {
        let sku = row["sku"].as_str().unwrap_or_default();
        *of_product.entry(sku).or_default() += 1;
        if row["requestedBy"] == by {
            let id = row["commandId"].as_str().unwrap_or_default();
            rows.entry(id).or_default().push(row);
        }
    }
    // The service says that it forgets those before.
    let is_full = |sku: &str| {
        of_product
            .get(sku)
            .is_some_and(|rows| *rows >= RESTOCKS_KNOWN)
    };
    for restock in asked {
        let recorded = rows.remove(restock.command_id.as_str()).unwrap_or_default();
        let kind = match recorded.as_slice() {
            [row]
                if row["sku"] == restock.sku.as_str()
                    && row["qty"] == restock.units
                    && row["at"].as_str().is_some_and(|at| !at.is_empty()) =>
            {
                continue;
            }
            [] if is_full(&restock.sku) => continue,
            [] => Broken::Lost,
            [_] => Broken::Wrong,
            _ => Broken::Doubled,
        };
        found.push(kind, format!("the list of {restock:?} is {recorded:?}"));
    }
    for row in rows.values().flatten() {
        let what = format!("units were added that nobody was told of: {row}");
        found.push(Broken::Doubled, what);
    }
}

/// Each accepted retry made one more attempt, each refund paid back once, and nobody else began an attempt.
fn check_effects(acts: &Acts, events: &HashMap<String, Events>, found: &mut Violations) {
    let nothing = Events::new();
    let mut asked: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for action in &acts.accepted {
        let events = events.get(&action.order).unwrap_or(&nothing);
        if action.command.starts_with("retry ") {
            let commands = asked.entry(&action.order).or_default();
            commands.insert(&action.command_id);
            let began = of_type(events, "OrderRetried");
            let began = began.filter(|event| event["causationId"] == action.command_id.as_str());
            once(&format!("{action:?} began attempts"), began.count(), found);
        } else if action.command == "refundPayment" {
            let Some(shipped) = of_type(events, "OrderShipped").next() else {
                let what = format!("{action:?} was accepted before the order was shipped");
                found.push(Broken::Wrong, what);
                continue;
            };
            let attempt = &shipped["payload"]["attempt"];
            let refunds = of_type(events, "PaymentRefunded");
            let refunds = refunds.filter(|event| event["payload"]["attempt"] == *attempt);
            once(&format!("{action:?} paid back"), refunds.count(), found);
        }
    }
    for (order, events) in events {
        let commands = asked.get(order.as_str());
        for event in of_type(events, "OrderRetried") {
            let cause = event["causationId"].as_str().unwrap_or_default();
            if !commands.is_some_and(|commands| commands.contains(cause)) {
                let what = format!("order {order} has an attempt that nobody asked for: {event}");
                found.push(Broken::Doubled, what);
            }
        }
    }
}

fn once(what: &str, times: usize, found: &mut Violations) {
    let kind = match times {
        0 => Broken::Lost,
        1 => return,
        _ => Broken::Doubled,
    };
    found.push(kind, format!("{what} {times} times"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn retry() -> Accepted {
        Accepted {
            command: "retry payment".to_owned(),
            command_id: "c-1".to_owned(),
            order: "o-1".to_owned(),
            letter: None,
        }
    }

    fn acts(accepted: Vec<Accepted>) -> Acts {
        Acts {
            accepted,
            ..Acts::default()
        }
    }

    fn row(change: &[(&str, Value)]) -> Value {
        let mut row = json!({
            "commandId": "c-1", "orderId": "o-1", "command": "retry payment", "requestedBy": "otto",
            "at": "2026-01-01T00:00:00.000000Z", "outcome": "accepted",
        });
        for (field, value) in change {
            row[field] = value.clone();
        }
        row
    }

    fn audited(rows: &[Value]) -> Violations {
        let mut found = Violations::default();
        check_audit("otto", &acts(vec![retry()]), rows, &mut found);
        found
    }

    #[test]
    fn an_accepted_action_is_recorded_once_and_completely() {
        assert!(audited(&[row(&[])]).0.is_empty());
        assert_eq!(audited(&[]).count(Broken::Lost), 1);
        assert_eq!(audited(&[row(&[]), row(&[])]).count(Broken::Doubled), 1);
        for (field, value) in [
            ("outcome", json!("pending")),
            ("outcome", json!("rejected")),
            ("at", Value::Null),
            ("command", json!("retry shipping")),
            ("orderId", json!("o-2")),
            ("deadLetterId", json!("l-1")),
        ] {
            let wrong = audited(&[row(&[(field, value)])]);
            assert_eq!(wrong.count(Broken::Wrong), 1, "{field}: {wrong:?}");
        }
        let by_somebody = audited(&[row(&[("requestedBy", json!("ann"))])]);
        assert_eq!(by_somebody.count(Broken::Lost), 1);
    }

    #[test]
    fn what_nobody_was_told_of_is_found_in_the_audit_unless_it_was_refused() {
        let second =
            |outcome: &str| row(&[("commandId", json!("c-2")), ("outcome", json!(outcome))]);
        let doubled = audited(&[row(&[]), second("accepted")]);
        assert_eq!(doubled.count(Broken::Doubled), 1);
        assert!(audited(&[row(&[]), second("rejected")]).0.is_empty());
    }

    #[test]
    fn what_was_added_to_the_stock_is_listed_once_and_as_it_was_asked_for() {
        let asked = |id: &str| Restocked {
            command_id: id.to_owned(),
            sku: "SKU-1".to_owned(),
            units: 5,
        };
        let row = |id: &str, by: &str, qty: i64| json!({ "commandId": id, "sku": "SKU-1", "qty": qty, "requestedBy": by, "at": "2026-01-01T00:00:00.000000Z" });
        let check = |rows: &[Value]| {
            let mut found = Violations::default();
            check_restocks("otto", &[asked("r-1")], rows, &mut found);
            let of = |kind| found.count(kind);
            (of(Broken::Lost), of(Broken::Wrong), of(Broken::Doubled))
        };
        let right = row("r-1", "otto", 5);
        assert_eq!(check(&[right.clone(), row("r-9", "ann", 1)]), (0, 0, 0));
        assert_eq!(check(&[]), (1, 0, 0));
        assert_eq!(check(&[row("r-1", "ann", 5)]), (1, 0, 0));
        assert_eq!(check(&[row("r-1", "otto", 4)]), (0, 1, 0));
        assert_eq!(check(&[right.clone(), right.clone()]), (0, 0, 1));
        assert_eq!(check(&[right, row("r-2", "otto", 5)]), (0, 0, 1));
        // a product of which so many are known has forgotten older ones
        let later: Vec<Value> = (0..50).map(|n| row(&format!("a-{n}"), "ann", 1)).collect();
        assert_eq!(check(&later), (0, 0, 0));
        assert_eq!(check(&later[1..]), (1, 0, 0));
    }

    fn effects(action: Accepted, list: &[(&str, &str, Value)]) -> Violations {
        let numbered = list.iter().enumerate();
        let events: Events = numbered
            .map(|(n, (kind, cause, payload))| {
                (
                    n.to_string(),
                    json!({ "type": kind, "causationId": cause, "payload": payload }),
                )
            })
            .collect();
        let mut found = Violations::default();
        let all = HashMap::from([("o-1".to_owned(), events)]);
        check_effects(&acts(vec![action]), &all, &mut found);
        found
    }

    #[test]
    fn a_retry_makes_one_attempt_and_no_attempt_begins_by_itself() {
        let began = |cause| ("order.OrderRetried.v1", cause, json!({ "attempt": 2 }));
        assert!(effects(retry(), &[began("c-1")]).0.is_empty());
        assert_eq!(effects(retry(), &[]).count(Broken::Lost), 1);
        let twice = effects(retry(), &[began("c-1"), began("c-1")]);
        assert_eq!(twice.count(Broken::Doubled), 1);
        let unasked = effects(retry(), &[began("c-1"), began("c-2")]);
        assert_eq!(unasked.count(Broken::Doubled), 1);
    }

    #[test]
    fn a_refund_is_paid_once_for_the_attempt_that_was_shipped() {
        let refund = || Accepted {
            command: "refundPayment".to_owned(),
            ..retry()
        };
        let shipped = ("shipping.OrderShipped.v1", "e", json!({ "attempt": 2 }));
        let paid = |attempt| {
            (
                "payment.PaymentRefunded.v1",
                "e",
                json!({ "attempt": attempt }),
            )
        };
        let right = effects(refund(), &[paid(1), shipped.clone(), paid(2)]);
        assert!(right.0.is_empty(), "{right:?}");
        let none = effects(refund(), &[paid(1), shipped.clone()]);
        assert_eq!(none.count(Broken::Lost), 1);
        let twice = effects(refund(), &[shipped, paid(2), paid(2)]);
        assert_eq!(twice.count(Broken::Doubled), 1);
        assert_eq!(effects(refund(), &[paid(1)]).count(Broken::Wrong), 1);
    }
}
