//! Orders that are being worked on: loaded, decided, their effects carried out.

use std::collections::HashMap;

use sagaline_contracts::{EventId, OrderId};
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
    /// The effect that it waits for.
    pub(super) asked: Option<(EventId, P::Effect)>,
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
                    asked: None,
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
            asked: None,
        })
    }

    /// Advances every order until all are idle; effects of many orders are carried out together. Takes out the orders that
    /// somebody else saved before what they intend could be, and gives their messages back.
    pub(super) async fn work(
        &self,
        open: &mut Vec<OrderWork<P>>,
        damaged: &mut Vec<Damaged>,
    ) -> Result<Vec<Group>, Outage> {
        let mut lost = Vec::new();
        loop {
            let now = self.ports.clock.now();
            for work in open.iter_mut() {
                work.asked = work.session.advance(&*self.participant, now);
            }
            let is_intended = |work: &OrderWork<P>| work.session.is_intended();
            lost.extend(self.save(open, damaged, is_intended).await?);
            let requests: Vec<_> = open
                .iter()
                .filter_map(|work| {
                    let (event_id, effect) = work.asked.clone()?;
                    Some(EffectRequest {
                        order_id: work.order_id.clone(),
                        event_id,
                        effect,
                    })
                })
                .collect();
            if requests.is_empty() {
                return Ok(lost);
            }
            let outcomes = self.effects.carry_out(&requests).await?;
            let now = self.ports.clock.now();
            let mut outcomes = outcomes.into_iter();
            for work in open.iter_mut() {
                if work.asked.take().is_none() {
                    continue;
                }
                // A short answer is a bug of the effects; the order is tried again later, the others go on.
                let outcome = outcomes.next().unwrap_or_else(|| {
                    Err(EffectFailure::Transient(
                        "the effect gave no answer".to_owned(),
                    ))
                });
                work.session.settle(&*self.participant, outcome, now);
            }
        }
    }
}
