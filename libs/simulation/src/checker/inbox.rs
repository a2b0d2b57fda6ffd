//! Invariant 5: nothing vanishes, nothing is handled twice, and nothing overtakes what waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;
use sagaline_contracts::{EventType, Payload};
use sagaline_store::Store;
use serde::Deserialize;

use super::{Evidence, Place};
use crate::plan::Service;
use crate::world::World;

/// What each service consumes, as `docs/saga.md` says it, besides redrives.
const CONSUMES: [(Service, &str, &[EventType]); 4] = [
    (
        Service::Order,
        order_service::domain::COLLECTION,
        &[
            EventType::InventoryFailed,
            EventType::InventoryReleased,
            EventType::PaymentFailed,
            EventType::PaymentRefunded,
            EventType::OrderShipped,
            EventType::ShippingFailed,
            EventType::RetryRequested,
            EventType::CompensationRequested,
        ],
    ),
    (
        Service::Inventory,
        inventory_service::ORDERS,
        &[
            EventType::OrderCreated,
            EventType::OrderRetried,
            EventType::OrderShipped,
            EventType::CompensationRequested,
        ],
    ),
    (
        Service::Payment,
        payment_service::COLLECTION,
        &[
            EventType::InventoryReserved,
            EventType::CompensationRequested,
        ],
    ),
    (
        Service::Shipping,
        shipping_service::COLLECTION,
        &[
            EventType::PaymentAuthorized,
            EventType::OrderCancelled,
            EventType::CompensationRequested,
        ],
    ),
];

/// What is read of a record.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    order_id: String,
    #[serde(default)]
    applied: Vec<Applied>,
}

#[derive(Deserialize)]
struct Applied {
    id: String,
}

pub(super) async fn check(world: &World, evidence: &mut Evidence) -> Result<()> {
    let mut complaints = Vec::new();
    let buried: BTreeSet<(String, String)> = evidence
        .letters
        .iter()
        .filter_map(|event| match &event.payload {
            Payload::DeadLetter(letter) => {
                Some((letter.dead_letter_id.clone()?, letter.consumer.clone()?))
            }
            _ => None,
        })
        .collect();
    let mut deaths = BTreeMap::new();
    for event in &evidence.letters {
        let Payload::DeadLetter(letter) = &event.payload else {
            continue;
        };
        let death = (&letter.dead_letter_id, &letter.consumer, letter.attempts);
        if let Some(other) = deaths.insert(death, &event.id) {
            complaints.push(format!(
                "same ids: {death:?} is told as {other} and as {}",
                event.id
            ));
        }
        let id = letter.dead_letter_id.as_deref().unwrap_or_default();
        if !evidence.poison.contains(id) {
            complaints.push(format!(
                "dead letters: {} of {} was fine, and became one at {}: {}",
                letter.original_event_id,
                event.key(),
                letter.consumer.as_deref().unwrap_or_default(),
                letter.error
            ));
        }
    }
    for (service, collection, kinds) in CONSUMES {
        let documents = world.shelf.scan(collection, None, 1_000_000).await?;
        let mut applied: BTreeMap<String, HashMap<String, usize>> = BTreeMap::new();
        for document in documents {
            let record: Record = serde_json::from_slice(&document.body)?;
            let mut known = HashMap::with_capacity(record.applied.len());
            for (at, entry) in record.applied.into_iter().enumerate() {
                if let Some(before) = known.insert(entry.id.clone(), at) {
                    complaints.push(format!(
                        "one effect: {} has handled {} of {} twice ({before}, {at})",
                        service.name(),
                        entry.id,
                        record.order_id
                    ));
                }
            }
            applied.insert(record.order_id, known);
        }
        let topics: BTreeSet<&str> = kinds
            .iter()
            .chain(&[EventType::RedriveRequested])
            .map(|kind| kind.as_str())
            .collect();
        let mut seen: HashSet<(&str, &str)> = HashSet::new();
        let mut last: HashMap<(&str, &str), (usize, &Place)> = HashMap::new();
        for place in evidence
            .places
            .iter()
            .filter(|place| topics.contains(&*place.topic))
        {
            let Some(order) = &place.order else {
                if !buried.contains(&(place.id.clone(), service.name().to_owned())) {
                    complaints.push(format!(
                        "vanished: {} never made a dead letter of {}",
                        service.name(),
                        shown(place)
                    ));
                }
                continue;
            };
            let at = applied.get(order).and_then(|known| known.get(&place.id));
            let Some(at) = at else {
                complaints.push(format!(
                    "vanished: {} never handled {}",
                    service.name(),
                    shown(place)
                ));
                continue;
            };
            if !place.is_event && !buried.contains(&(place.id.clone(), service.name().to_owned())) {
                complaints.push(format!(
                    "vanished: {} never made a dead letter of {}",
                    service.name(),
                    shown(place)
                ));
            }
            // What comes too early waits for another event, and for nothing else.
            let is_early = may_be_early(service, &place.topic);
            // A redrive is what ends the wait.
            if is_early || place.topic == EventType::RedriveRequested.as_str() {
                continue;
            }
            // Later copies of a message do not count: it was handled when it came first.
            if !seen.insert((&place.topic, &place.id)) {
                continue;
            }
            let before = last.get(&(order.as_str(), place.topic.as_str())).copied();
            // What was dropped while it waited behind another was not handled, and overtook nothing.
            if !place.is_event && before.is_some_and(|(before, _)| before > *at) {
                continue;
            }
            last.insert((order, &place.topic), (*at, place));
            match before {
                Some((before, earlier)) if before > *at => {
                    complaints.push(format!(
                        "overtaken: {} handled {} before {}",
                        service.name(),
                        shown(place),
                        shown(earlier)
                    ));
                }
                _ => {}
            }
        }
    }
    for complaint in complaints {
        evidence.complain(complaint);
    }
    Ok(())
}

/// What comes too early waits for another event, and is overtaken by whatever comes meanwhile.
fn may_be_early(service: Service, topic: &str) -> bool {
    let early: &[EventType] = match service {
        Service::Inventory => &[EventType::OrderShipped],
        Service::Shipping => &[EventType::CompensationRequested],
        Service::Order => &[
            EventType::InventoryReleased,
            EventType::PaymentFailed,
            EventType::PaymentRefunded,
            EventType::ShippingFailed,
        ],
        Service::Payment | Service::ReadModel => &[],
    };
    early.iter().any(|kind| kind.as_str() == topic)
}

fn shown(place: &Place) -> String {
    format!(
        "{} of {} ({}/{}@{})",
        place.id,
        place.order.as_deref().unwrap_or("nobody"),
        place.topic,
        place.partition,
        place.offset
    )
}
