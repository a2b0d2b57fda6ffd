//! What must always hold, held against a world that has come to rest.
//!
//! The checker asks no service what it thinks. It sees what stands in topics and documents, the books of gateway and carrier, and
//! what clients and operators were answered. Each complaint begins with the name of its invariant.

mod events;
mod inbox;
mod operators;
mod orders;
mod stock;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use sagaline_contracts::{DEAD_LETTER_SUFFIX, Event, EventType};
use sagaline_saga::message_id;

use crate::bank::Charge;
use crate::clients::Ordered;
use crate::depot::Parcel;
use crate::world::World;

/// An event as it stands on its topic, the first time that it does.
pub(crate) struct Published {
    pub(crate) event: Event,
    pub(crate) bytes: Vec<u8>,
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
    /// Complaints so far.
    complaints: Vec<String>,
}

impl Evidence {
    pub(crate) fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    fn gather(world: &World) -> Self {
        let mut evidence = Self {
            orders: BTreeMap::new(),
            letters: Vec::new(),
            places: Vec::new(),
            charges: BTreeMap::new(),
            parcels: BTreeMap::new(),
            placed: world.clients.orders(),
            poison: world.clients.poison(),
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
        let mut complaints = Vec::new();
        for (topic, partition, offset, record) in state.topics.all() {
            let is_letter = topic.ends_with(DEAD_LETTER_SUFFIX);
            let kind = EventType::parse(topic).unwrap_or(EventType::DeadLetter);
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let event = Event::decode(kind, key, value);
            let partition_number = i32::try_from(partition).unwrap_or(0);
            let place = message_id(topic, partition_number, i64::try_from(offset).unwrap_or(0));
            match event {
                Ok(event) => {
                    if !is_letter {
                        self.places.push(Place {
                            topic: topic.to_owned(),
                            partition,
                            offset,
                            id: event.id.to_string(),
                            order: event.order_id.as_ref().map(ToString::to_string),
                            is_event: true,
                        });
                    }
                    let order = event.key().to_owned();
                    let bytes = record.value.as_deref().unwrap_or_default();
                    let known = self.orders.entry(order).or_default();
                    match known.get(event.id.as_str()) {
                        Some(first)
                            if first.bytes != bytes && !events::is_same(&first.event, &event) =>
                        {
                            complaints.push(format!(
                                "same ids: event {} was published with different contents: {} / {}",
                                event.id,
                                String::from_utf8_lossy(&first.bytes),
                                String::from_utf8_lossy(bytes)
                            ));
                        }
                        Some(_) => {}
                        None => {
                            if is_letter {
                                self.letters.push(event.clone());
                            }
                            let bytes = bytes.to_vec();
                            known.insert(event.id.to_string(), Published { event, bytes });
                        }
                    }
                }
                Err(rejected) => {
                    if !self.poison.contains(place.as_str()) {
                        complaints.push(format!(
                            "contract: {topic}/{partition}@{offset} is no event: {rejected}"
                        ));
                    }
                    self.places.push(Place {
                        topic: topic.to_owned(),
                        partition,
                        offset,
                        id: place.to_string(),
                        order: record
                            .key
                            .as_deref()
                            .filter(|key| !key.is_empty())
                            .map(|key| String::from_utf8_lossy(key).into_owned()),
                        is_event: false,
                    });
                }
            }
        }
        self.complaints.extend(complaints);
    }
}

/// Holds every invariant against the world, and tells it what is broken.
pub(crate) async fn check(world: &World) -> Result<()> {
    let mut evidence = Evidence::gather(world);
    events::check(&mut evidence);
    orders::check(&mut evidence);
    stock::check(world, &mut evidence).await?;
    inbox::check(world, &mut evidence).await?;
    timeline::check(world, &mut evidence).await?;
    operators::check(world, &mut evidence).await?;
    for complaint in evidence.complaints {
        world.env.broken(complaint);
    }
    Ok(())
}
