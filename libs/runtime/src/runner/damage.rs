//! Documents that cannot be read or stored: they hurt their own order and no other.
//!
//! Such a document must not be overwritten, so nothing can be parked in it. Its order's messages become dead letters instead, and
//! say so: after the document is mended by hand they are redriven, and handled as new.

use std::collections::BTreeMap;

use sagaline_contracts::{Rejected, RejectedKind};
use sagaline_saga::{OrderRecord, Participant, Status};
use sagaline_store::{StoreError, Stored};

use super::group::Group;
use super::handler::ParticipantHandler;
use crate::{Effects, Inbound, Outage, Outbound, dead_letter};

/// The messages of an order whose document is not usable.
pub(super) struct Damaged {
    messages: Vec<usize>,
    why: String,
}

impl Damaged {
    pub(super) fn new((order_id, messages): Group, error: StoreError) -> Self {
        let why = Outage::from(error).source_chain();
        tracing::error!(%order_id, error = %why, "the order cannot go on here");
        Self { messages, why }
    }
}

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    /// Loads documents, each on its own when it must be: one that the store cannot read is told apart from those that it can.
    pub(super) async fn read(
        &self,
        ids: &[&str],
    ) -> Result<Vec<Result<Option<Stored>, StoreError>>, Outage> {
        let mut unusable: BTreeMap<String, StoreError> = BTreeMap::new();
        loop {
            let wanted: Vec<&str> = ids
                .iter()
                .copied()
                .filter(|id| !unusable.contains_key(*id))
                .collect();
            let loaded = if wanted.is_empty() {
                Vec::new()
            } else {
                match self
                    .ports
                    .store
                    .load(self.options.collection, &wanted)
                    .await
                {
                    Ok(loaded) => loaded,
                    Err(error) => {
                        let (id, error) = blamed(error, |id| wanted.contains(&id))?;
                        unusable.insert(id, error);
                        continue;
                    }
                }
            };
            let mut loaded = loaded.into_iter();
            return Ok(ids
                .iter()
                .map(|id| match unusable.remove(*id) {
                    Some(error) => Err(error),
                    None => Ok(loaded.next().flatten()),
                })
                .collect());
        }
    }

    /// Reads a document as a record.
    pub(super) fn parse(&self, stored: &Stored) -> Result<OrderRecord<P::State>, StoreError> {
        let unusable = |source| StoreError::Unusable {
            collection: self.options.collection.to_owned(),
            id: stored.id.clone(),
            source,
        };
        let record: OrderRecord<P::State> =
            serde_json::from_slice(&stored.body).map_err(|source| unusable(source.into()))?;
        if record.order_id.as_str() != stored.id {
            return Err(unusable(
                format!("it says that it is of order {}", record.order_id).into(),
            ));
        }
        Ok(record)
    }

    /// The dead letters of messages whose order's document is not usable.
    pub(super) fn entomb(&self, damaged: Vec<Damaged>, batch: &[Inbound]) -> Vec<Outbound> {
        let mut letters = Vec::new();
        for Damaged { messages, why } in damaged {
            let rejected = Rejected {
                kind: RejectedKind::Schema,
                reason: format!("{why}; when that is mended, redrive this message"),
            };
            for message in messages.iter().filter_map(|at| batch.get(*at)) {
                let (name, now) = (self.participant.name(), self.ports.clock.now());
                letters.push(dead_letter::untried(name, message, &rejected, now));
                self.metrics.processed(&message.topic, Status::Dead, 1);
            }
        }
        letters
    }
}

/// Which document the store cannot use, if it is one of those that it was asked about; anything else is an outage.
pub(super) fn blamed(
    error: StoreError,
    is_asked: impl Fn(&str) -> bool,
) -> Result<(String, StoreError), Outage> {
    match error {
        StoreError::Unusable { ref id, .. } if is_asked(id) => Ok((id.clone(), error)),
        other => Err(other.into()),
    }
}
