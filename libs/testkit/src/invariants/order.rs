//! One order: its money, its parcel, its outcome.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::Value;

use super::events::{Events, of_type};
use super::{Broken, Violations};
use crate::client::Client;

/// What happened more than once in an attempt although it may happen once: the attempt, and how often.
fn repeated(events: &Events, name: &str, id: &str) -> Vec<(String, usize)> {
    let mut per_attempt: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in of_type(events, name) {
        let payload = &event["payload"];
        per_attempt
            .entry(payload["attempt"].to_string())
            .or_default()
            .insert(payload[id].to_string());
    }
    per_attempt
        .into_iter()
        .filter(|(_, ids)| ids.len() > 1)
        .map(|(attempt, ids)| (attempt, ids.len()))
        .collect()
}

/// An order is charged and refunded at most once per attempt, and what is kept in the end is its total or nothing.
pub(super) async fn check_money(
    client: &Client,
    id: &str,
    events: &Events,
    found: &mut Violations,
) -> Result<()> {
    let total = of_type(events, "OrderCreated")
        .next()
        .map(|event| event["payload"]["total"].clone());
    for event in of_type(events, "PaymentAuthorized") {
        let amount = &event["payload"]["amount"];
        if Some(amount) != total.as_ref() {
            let what = format!("order {id} was charged {amount} instead of {total:?}");
            found.push(Broken::Wrong, what);
        }
    }
    for (name, key, done) in [
        ("PaymentAuthorized", "authId", "charged"),
        ("PaymentRefunded", "refundId", "refunded"),
    ] {
        for (attempt, times) in repeated(events, name, key) {
            let what = format!("order {id} was {done} {times} times in attempt {attempt}");
            found.push(Broken::Doubled, what);
        }
    }
    let (status, payment) = client.payment(id).await?;
    if status.is_success() {
        check_books(id, events, &payment, total.as_ref(), found);
    } else if of_type(events, "PaymentAuthorized").next().is_some() {
        let what = format!("order {id} was charged, but payment answers {status}: {payment}");
        found.push(Broken::Lost, what);
    }
    Ok(())
}

/// What payment's document says.
fn check_books(
    id: &str,
    events: &Events,
    payment: &Value,
    total: Option<&Value>,
    found: &mut Violations,
) {
    let shipped = of_type(events, "OrderShipped").count();
    let kept = payment["captured"].as_f64().unwrap_or(f64::NAN)
        - payment["refunded"].as_f64().unwrap_or(f64::NAN);
    let total = total.and_then(Value::as_f64).unwrap_or(f64::NAN);
    let wanted = match (shipped, is_paid_back(events)) {
        (0, _) => kept,
        (_, true) => 0.0,
        (_, false) => total,
    };
    if (kept.abs() > 1e-6 && (kept - total).abs() > 1e-6) || (kept - wanted).abs() > 1e-6 {
        let what = format!("order {id}: {kept} is kept of {total}, shipped {shipped}: {payment}");
        found.push(Broken::Wrong, what);
    }
    if shipped == 0 && kept.abs() > 1e-6 {
        let what = format!("order {id} was not shipped, but {kept} is kept: {payment}");
        found.push(Broken::Wrong, what);
    }
}

/// Whether it was refunded in the attempt in which it was shipped: what earlier attempts paid back is another charge's.
fn is_paid_back(events: &Events) -> bool {
    let latest = |name| {
        let attempts = of_type(events, name).map(|event| event["payload"]["attempt"].as_u64());
        attempts.max().flatten()
    };
    let refunded = latest("PaymentRefunded");
    refunded.is_some() && refunded >= latest("OrderShipped")
}

/// Nothing goes out unpaid, or twice.
pub(super) fn check_shipment(id: &str, events: &Events, found: &mut Violations) {
    let parcels: BTreeSet<String> = of_type(events, "OrderShipped")
        .map(|event| event["payload"]["trackingId"].to_string())
        .collect();
    if parcels.len() > 1 {
        let what = format!("order {id} was shipped {} times", parcels.len());
        found.push(Broken::Doubled, what);
    }
    if !parcels.is_empty() && of_type(events, "PaymentAuthorized").next().is_none() {
        found.push(Broken::Wrong, format!("order {id} was shipped unpaid"));
    }
}

/// An order is created once, and each attempt has one outcome.
pub(super) fn check_outcomes(id: &str, events: &Events, found: &mut Violations) {
    let created = of_type(events, "OrderCreated").count();
    if created > 1 {
        let what = format!("order {id} was created {created} times");
        found.push(Broken::Doubled, what);
    }
    let attempts = |name: &'static str| -> Vec<String> {
        of_type(events, name)
            .map(|event| event["payload"]["attempt"].to_string())
            .collect()
    };
    let (confirmed, cancelled) = (attempts("OrderConfirmed"), attempts("OrderCancelled"));
    if confirmed.len() > 1 {
        let what = format!("order {id} was confirmed {} times", confirmed.len());
        found.push(Broken::Doubled, what);
    }
    let mut all: Vec<&String> = confirmed.iter().chain(&cancelled).collect();
    let count = all.len();
    all.sort();
    all.dedup();
    if all.len() != count {
        let what =
            format!("order {id} has two outcomes in one attempt: {confirmed:?} and {cancelled:?}");
        found.push(Broken::Doubled, what);
    }
    if count == 0 {
        let what = format!("order {id} has no outcome on the topics");
        found.push(Broken::Lost, what);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events(list: &[(&str, Value)]) -> Events {
        let numbered = list.iter().enumerate();
        numbered
            .map(|(n, (kind, payload))| {
                let event = json!({ "type": kind, "payload": payload });
                (n.to_string(), event)
            })
            .collect()
    }

    fn outcomes(list: &[(&str, Value)]) -> Violations {
        let mut found = Violations::default();
        check_outcomes("o", &events(list), &mut found);
        found
    }

    #[test]
    fn one_outcome_per_attempt_is_right_and_two_or_none_are_not() {
        let created = ("order.OrderCreated.v1", json!({}));
        let confirmed = |attempt: u32| ("order.OrderConfirmed.v1", json!({ "attempt": attempt }));
        let cancelled = |attempt: u32| ("order.OrderCancelled.v1", json!({ "attempt": attempt }));
        let right = outcomes(&[created.clone(), cancelled(1), confirmed(2)]);
        assert!(right.0.is_empty(), "{right:?}");
        let none = outcomes(std::slice::from_ref(&created));
        assert_eq!(none.count(Broken::Lost), 1);
        let two = outcomes(&[created.clone(), cancelled(1), confirmed(1)]);
        assert_eq!(two.count(Broken::Doubled), 1);
        let created_twice = outcomes(&[created.clone(), created, confirmed(1)]);
        assert_eq!(created_twice.count(Broken::Doubled), 1);
    }

    #[test]
    fn two_charges_are_doubled_only_in_the_same_attempt() {
        let charge = |attempt: u32, auth: &str| {
            let payload = json!({ "attempt": attempt, "authId": auth });
            ("payment.PaymentAuthorized.v1", payload)
        };
        let twice = events(&[charge(1, "a"), charge(1, "b"), charge(2, "c")]);
        assert_eq!(
            repeated(&twice, "PaymentAuthorized", "authId"),
            [("1".to_owned(), 2)]
        );
    }

    #[test]
    fn what_an_earlier_attempt_paid_back_is_no_refund_of_what_was_shipped() {
        let books = |refunded_in: u64, kept: u32| {
            let refund = (
                "payment.PaymentRefunded.v1",
                json!({ "attempt": refunded_in }),
            );
            let shipped = ("shipping.OrderShipped.v1", json!({ "attempt": 2 }));
            let payment = json!({ "captured": kept, "refunded": 0 });
            let mut found = Violations::default();
            let events = events(&[refund, shipped]);
            check_books("o", &events, &payment, Some(&json!(10)), &mut found);
            found.count(Broken::Wrong)
        };
        assert_eq!((books(1, 10), books(2, 0)), (0, 0));
        assert_eq!((books(1, 0), books(2, 10)), (1, 1));
    }

    #[test]
    fn a_second_parcel_and_an_unpaid_one_are_found() {
        let parcel = |id: &str| ("shipping.OrderShipped.v1", json!({ "trackingId": id }));
        let mut found = Violations::default();
        check_shipment("o", &events(&[parcel("a"), parcel("b")]), &mut found);
        assert_eq!(found.count(Broken::Doubled), 1);
        assert_eq!(found.count(Broken::Wrong), 1);
    }
}
