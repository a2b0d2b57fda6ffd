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
pub(super) struct Record {
    pub(super) order_id: String,
    #[serde(default)]
    pub(super) applied: Vec<Applied>,
}

#[derive(Deserialize)]
pub(super) struct Applied {
    pub(super) id: String,
}

/// Which dead letters there are: the message's place and the service.
type Buried = BTreeSet<(String, String)>;
/// What a service has handled of each order, and in which order.
type Inboxes = BTreeMap<String, HashMap<String, usize>>;

pub(super) async fn check(world: &World, evidence: &mut Evidence) -> Result<()> {
    let mut complaints = Vec::new();
    let buried = dead_letters(evidence, &mut complaints);
    let scattered = scattered(evidence);
    for (service, collection, kinds) in CONSUMES {
        let inboxes = inboxes(world, service, collection, &mut complaints).await?;
        let topics: BTreeSet<&str> = kinds
            .iter()
            .chain(&[EventType::RedriveRequested])
            .map(|kind| kind.as_str())
            .collect();
        let mut desk = Desk {
            service,
            inboxes,
            buried: &buried,
            settled: evidence.settled,
            seen: HashSet::new(),
            scattered: &scattered,
            last: HashMap::new(),
            complaints: &mut complaints,
        };
        for place in &evidence.places {
            if topics.contains(&*place.topic) {
                desk.check(place);
            }
        }
    }
    for complaint in complaints {
        evidence.complain(complaint);
    }
    Ok(())
}

/// Messages with copies in several partitions: published before there were more of them, and again afterwards.
fn scattered(evidence: &Evidence) -> HashSet<(&str, &str)> {
    let mut first = HashMap::new();
    let mut scattered = HashSet::new();
    for place in &evidence.places {
        let message = (&*place.topic, &*place.id);
        if *first.entry(message).or_insert(place.partition) != place.partition {
            scattered.insert(message);
        }
    }
    scattered
}

/// Nothing dies but poison, and each death is told under one id.
fn dead_letters(evidence: &Evidence, complaints: &mut Vec<String>) -> Buried {
    let mut deaths = BTreeMap::new();
    let mut buried = Buried::new();
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
        let id = letter.dead_letter_id.clone().unwrap_or_default();
        let consumer = letter.consumer.clone().unwrap_or_default();
        if !evidence.poison.contains(&id) {
            complaints.push(format!(
                "dead letters: {} of {} was fine, and became one at {consumer}: {}",
                letter.original_event_id,
                event.key(),
                letter.error
            ));
        }
        buried.insert((id, consumer));
    }
    buried
}

/// What a service has handled, as its documents say it.
async fn inboxes(
    world: &World,
    service: Service,
    collection: &str,
    complaints: &mut Vec<String>,
) -> Result<Inboxes> {
    let mut inboxes = Inboxes::new();
    for document in world.shelf.scan(collection, None, 1_000_000).await? {
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
        inboxes.insert(record.order_id, known);
    }
    Ok(inboxes)
}

/// Holds the messages that a service consumes against what it has handled.
struct Desk<'a> {
    service: Service,
    inboxes: Inboxes,
    buried: &'a Buried,
    /// Otherwise what is not handled may still be.
    settled: bool,
    seen: HashSet<(&'a str, &'a str)>,
    scattered: &'a HashSet<(&'a str, &'a str)>,
    /// The latest message of each order and topic, by partition: an order has several where there are more of them than there were.
    last: HashMap<(&'a str, &'a str, usize), (usize, &'a Place)>,
    complaints: &'a mut Vec<String>,
}

impl<'a> Desk<'a> {
    fn complain(&mut self, what: &str, place: &Place) {
        if !self.settled {
            return;
        }
        let service = self.service.name();
        self.complaints
            .push(format!("vanished: {service} never {what} {}", shown(place)));
    }

    fn check(&mut self, place: &'a Place) {
        let is_buried = place.is_event
            || self
                .buried
                .contains(&(place.id.clone(), self.service.name().to_owned()));
        if !is_buried {
            self.complain("made a dead letter of", place);
        }
        let Some(order) = &place.order else { return };
        let inbox = self.inboxes.get(order);
        match inbox.and_then(|known| known.get(&place.id)).copied() {
            None => self.complain("handled", place),
            Some(at) => self.check_turn(place, order, at),
        }
    }

    /// Whether a message was handled in its turn.
    fn check_turn(&mut self, place: &'a Place, order: &'a str, at: usize) {
        // A redrive is what ends a wait.
        let is_redrive = place.topic == EventType::RedriveRequested.as_str();
        if is_redrive || may_be_early(self.service, &place.topic) {
            return;
        }
        // Which of its copies was handled nobody can tell when they are in several partitions.
        if self.scattered.contains(&(&*place.topic, &*place.id)) {
            return;
        }
        // Later copies of a message do not count: it was handled when it came first.
        if !self.seen.insert((&place.topic, &place.id)) {
            return;
        }
        let key = (order, place.topic.as_str(), place.partition);
        let before = self.last.get(&key).copied();
        let overtaken = before.filter(|(before, _)| *before > at);
        // What was dropped while it waited behind another was not handled, and overtook nothing.
        if overtaken.is_some() && !place.is_event {
            return;
        }
        self.last.insert(key, (at, place));
        if let Some((_, earlier)) = overtaken {
            self.complaints.push(format!(
                "overtaken: {} handled {} before {}",
                self.service.name(),
                shown(place),
                shown(earlier)
            ));
        }
    }
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
