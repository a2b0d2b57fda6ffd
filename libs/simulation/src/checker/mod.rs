//! What must always hold, held against a world that has come to rest; and what must hold before that, too, against one that has not.
//!
//! The checker asks no service what it thinks. It sees what stands in topics and documents, the books of gateway and carrier, and
//! what clients and operators were answered. Each complaint begins with the name of its invariant.

mod events;
mod inbox;
mod operators;
mod orders;
mod rebuild;
mod stock;
mod timeline;
mod verdicts;

pub(crate) use rebuild::compare as compare_a_rebuild;
pub(crate) use stock::is_conserved;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use sagaline_contracts::{DEAD_LETTER_SUFFIX, Event, EventType, Payload, Timestamp};
use sagaline_saga::message_id;

use crate::bank::Charge;
use crate::clients::Ordered;
use crate::depot::Parcel;
use crate::world::World;

/// An event as it stands on its topic, the first time that it does.
pub(crate) struct Published {
    pub(crate) event: Event,
    pub(crate) bytes: Vec<u8>,
    /// The earliest time that one of its copies names. What a service tells of a message without keeping it, a death of which no
    /// order's document knows, has another time each time; everybody goes by the earliest.
    pub(crate) earliest: Timestamp,
}

/// A message at its place.
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) partition: usize,
    pub(crate) offset: usize,
    /// The id by which a service knows it: the event's, or one that follows from the place.
    pub(crate) id: String,
    /// The order whose key it has.
    pub(crate) order: Option<String>,
    pub(crate) is_event: bool,
}

/// Everything that the checker goes by.
pub(crate) struct Evidence {
    /// The events of every order by their ids, in the order in which they were found.
    pub(crate) orders: BTreeMap<String, BTreeMap<String, Published>>,
    /// Dead letters: the events that say so.
    pub(crate) letters: Vec<Event>,
    /// Every message, topic by topic.
    pub(crate) places: Vec<Place>,
    pub(crate) charges: BTreeMap<String, Vec<(String, Charge)>>,
    pub(crate) parcels: BTreeMap<String, Vec<(String, Parcel)>>,
    pub(crate) placed: BTreeMap<u32, Ordered>,
    /// Places of messages that were put there on purpose, and are no events.
    pub(crate) poison: BTreeSet<String>,
    /// Events that operators have sent in the place of messages that were none: nobody has published them.
    pub(crate) corrected: BTreeMap<String, Event>,
    /// Commands that were repeated under one key, by their ids: the attempts that their copies name, where they differ.
    pub(crate) repeated: BTreeMap<String, BTreeSet<Option<u32>>>,
    /// Whether everything has come to rest; otherwise what is not there may still come.
    pub(crate) settled: bool,
    /// Complaints so far.
    complaints: Vec<String>,
}

impl Evidence {
    pub(crate) fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    fn gather(world: &World, settled: bool) -> Self {
        let mut evidence = Self {
            orders: BTreeMap::new(),
            letters: Vec::new(),
            places: Vec::new(),
            charges: BTreeMap::new(),
            parcels: BTreeMap::new(),
            placed: world.clients.orders(),
            poison: world.clients.poison(),
            corrected: BTreeMap::new(),
            repeated: BTreeMap::new(),
            settled,
            complaints: Vec::new(),
        };
        for (key, charge) in world.bank.charges() {
            let of_order = evidence.charges.entry(charge.order.clone()).or_default();
            of_order.push((key, charge));
        }
        for (key, parcel) in world.depot.parcels() {
            let of_order = evidence.parcels.entry(parcel.order.clone()).or_default();
            of_order.push((key, parcel));
        }
        evidence.read_topics(world);
        evidence
    }

    fn read_topics(&mut self, world: &World) {
        let state = world.cluster.state.lock();
        for (topic, partition, offset, record) in state.topics.all() {
            let kind = EventType::parse(topic).unwrap_or(EventType::DeadLetter);
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let mut place = Place {
                topic: topic.to_owned(),
                partition,
                offset,
                id: String::new(),
                order: None,
                is_event: false,
            };
            match Event::decode(kind, key, value) {
                Ok(event) => {
                    place.id = event.id.to_string();
                    place.order = event.order_id.as_ref().map(ToString::to_string);
                    place.is_event = true;
                    self.take_event(event, value.unwrap_or_default());
                    if !topic.ends_with(DEAD_LETTER_SUFFIX) {
                        self.places.push(place);
                    }
                }
                Err(rejected) => {
                    let (at, offset) = (i32::try_from(partition), i64::try_from(offset));
                    let id = message_id(topic, at.unwrap_or(0), offset.unwrap_or(0));
                    if !self.poison.contains(id.as_str()) {
                        self.complaints
                            .push(format!("contract: {} is no event: {rejected}", place.topic));
                    }
                    place.id = id.to_string();
                    place.order = key
                        .filter(|key| !key.is_empty())
                        .map(|key| String::from_utf8_lossy(key).into_owned());
                    self.places.push(place);
                }
            }
        }
    }

    /// What an event was caused by, and when that was.
    pub(crate) fn cause_of(&self, event: &Event) -> Option<(&Event, Timestamp)> {
        let cause = event.causation_id.as_ref()?.as_str();
        let of_order = self.orders.get(event.key());
        let published = of_order.and_then(|events| events.get(cause));
        let published = published.map(|published| (&published.event, published.earliest));
        let corrected = || self.corrected.get(cause);
        published.or_else(|| corrected().map(|event| (event, event.timestamp)))
    }

    fn take_corrected(&mut self, event: &Event) {
        let Payload::RedriveRequested(redrive) = &event.payload else {
            return;
        };
        let Some(instead) = &redrive.event else {
            return;
        };
        let kind = instead["type"].as_str().and_then(EventType::parse);
        let decoded = kind.map(|kind| Event::from_json(kind, instead.to_string().as_bytes()));
        if let Some(Ok(instead)) = decoded {
            self.corrected.insert(instead.id.to_string(), instead);
        }
    }

    /// Takes an event in. The same id must be the same event, however often it was published.
    fn take_event(&mut self, event: Event, bytes: &[u8]) {
        let known = self.orders.entry(event.key().to_owned()).or_default();
        match known.get_mut(event.id.as_str()) {
            Some(first) if first.bytes != bytes && !events::is_same(&first.event, &event) => {
                self.complaints.push(format!(
                    "same ids: event {} was published with different contents: {} / {}",
                    event.id,
                    String::from_utf8_lossy(&first.bytes),
                    String::from_utf8_lossy(bytes)
                ));
            }
            Some(first) => {
                first.earliest = first.earliest.min(event.timestamp);
                let attempts = [first.event.payload.attempt(), event.payload.attempt()];
                if attempts[0] != attempts[1] {
                    let of_command = self.repeated.entry(event.id.to_string()).or_default();
                    of_command.extend(attempts);
                }
            }
            None => {
                if event.event_type() == EventType::DeadLetter {
                    self.letters.push(event.clone());
                }
                self.take_corrected(&event);
                let known = self.orders.entry(event.key().to_owned()).or_default();
                let published = Published {
                    earliest: event.timestamp,
                    bytes: bytes.to_vec(),
                    event,
                };
                known.insert(published.event.id.to_string(), published);
            }
        }
    }
}

/// Holds every invariant against the world, and tells it what is broken.
pub(crate) async fn check(world: &World, settled: bool) -> Result<()> {
    let mut evidence = Evidence::gather(world, settled);
    events::check(&mut evidence);
    orders::check(&mut evidence);
    stock::check(world, &mut evidence).await?;
    inbox::check(world, &mut evidence).await?;
    verdicts::check(world, &mut evidence).await?;
    operators::check_retries(&mut evidence);
    if settled {
        timeline::check(world, &mut evidence).await?;
        operators::check(world, &mut evidence).await?;
    }
    for complaint in evidence.complaints {
        world.env.broken(complaint);
    }
    Ok(())
}
