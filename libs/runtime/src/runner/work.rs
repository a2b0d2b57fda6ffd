//! Orders that are being worked on: loaded, decided, their effects carried out.

use std::collections::HashMap;

use sagaline_contracts::OrderId;
use sagaline_saga::{Delivery, EffectFailure, OrderRecord, Participant, Session};
use sagaline_store::{StoreError, Stored};

use super::damage::Damaged;
use super::group::{Group, delivery};
use super::handler::ParticipantHandler;
use crate::{EffectRequest, Effects, Inbound, Outage};

/// The messages of one order in a batch, and the session that works them off.
pub(super) struct OrderWork<P: Participant> {
    pub(super) order_id: OrderId,
    /// Positions in the batch.
    pub(super) messages: Vec<usize>,
    pub(super) version: u64,
    pub(super) session: Session<P>,
}

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    /// Loads the orders and hands them their messages. Whose document is not usable goes to `damaged`.
    pub(super) async fn load(
        &self,
        groups: Vec<Group>,
        batch: &[Inbound],
        mut decoded: HashMap<usize, Delivery>,
        damaged: &mut Vec<Damaged>,
    ) -> Result<Vec<OrderWork<P>>, Outage> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = groups
            .iter()
            .map(|(order_id, _)| order_id.as_str())
            .collect();
        let read = self.read(&ids).await?;
        let mut works = Vec::with_capacity(groups.len());
        for ((order_id, messages), read) in groups.into_iter().zip(read) {
            let opened = read.and_then(|stored| stored.map(|one| self.open(&one)).transpose());
            let mut work = match opened {
                Err(error) => {
                    damaged.push(Damaged::new((order_id, messages), error));
                    continue;
                }
                Ok(Some(work)) => work,
                Ok(None) => OrderWork {
                    order_id: order_id.clone(),
                    messages: Vec::new(),
                    version: 0,
                    session: Session::new(
                        OrderRecord::unknown(order_id),
                        self.options.retry.clone(),
                    ),
                },
            };
            for at in &messages {
                let again = || {
                    batch
                        .get(*at)
                        .and_then(|message| delivery(message).ok())
                        .map(|(_, delivery)| delivery)
                };
                if let Some(delivery) = decoded.remove(at).or_else(again) {
                    work.session.offer(delivery);
                }
            }
            work.messages = messages;
            works.push(work);
        }
        Ok(works)
    }

    pub(super) fn open(&self, stored: &Stored) -> Result<OrderWork<P>, StoreError> {
        let record = self.parse(stored)?;
        Ok(OrderWork {
            order_id: record.order_id.clone(),
            messages: Vec::new(),
            version: stored.version,
            session: Session::new(record, self.options.retry.clone()),
        })
    }

    /// Advances every order until all are idle; effects of many orders are carried out together.
    pub(super) async fn work(&self, open: &mut [OrderWork<P>]) -> Result<(), Outage> {
        loop {
            let now = self.ports.clock.now();
            let mut waiting = Vec::new();
            let mut requests = Vec::new();
            for (at, work) in open.iter_mut().enumerate() {
                if let Some((event_id, effect)) = work.session.advance(&*self.participant, now) {
                    waiting.push(at);
                    requests.push(EffectRequest {
                        order_id: work.order_id.clone(),
                        event_id,
                        effect,
                    });
                }
            }
            if requests.is_empty() {
                return Ok(());
            }
            let outcomes = self.effects.carry_out(&requests).await?;
            let now = self.ports.clock.now();
            let mut outcomes = outcomes.into_iter();
            for at in waiting {
                // A short answer is a bug of the effects; the order is tried again later, the others go on.
                let outcome = outcomes.next().unwrap_or_else(|| {
                    Err(EffectFailure::Transient(
                        "the effect gave no answer".to_owned(),
                    ))
                });
                if let Some(work) = open.get_mut(at) {
                    work.session.settle(&*self.participant, outcome, now);
                }
            }
        }
    }
}
