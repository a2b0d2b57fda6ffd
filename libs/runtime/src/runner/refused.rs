//! Events that the broker refuses for good. They wait in their order's outbox, and nobody waits with them: the sweep tries them
//! now and then, so that they go out when the broker's limit is raised, and until then the order ends as one that is not
//! answered.

use std::collections::HashMap;

use sagaline_contracts::OrderId;
use sagaline_saga::{Emission, OutboxEntry, Participant};

use super::group::Group;
use super::handler::{CONFLICTS_MAX, ParticipantHandler};
use crate::{Effects, Outage};

/// An event that the broker refuses, of an order that was just saved.
pub(super) struct Refused<'a> {
    pub(super) order_id: &'a OrderId,
    pub(super) emission: &'a Emission,
    pub(super) why: String,
}

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    /// Puts events that were refused into their orders' outboxes, unless they are there.
    pub(super) async fn keep_refused(&self, refused: &[Refused<'_>]) -> Result<(), Outage> {
        let mut by_order: HashMap<&OrderId, Vec<&Refused<'_>>> = HashMap::new();
        for one in refused {
            let Emission { id, topic, .. } = one.emission;
            tracing::error!(order_id = %one.order_id, event_id = %id, topic, error = one.why, "the broker refuses an event for good: it waits in its order's outbox");
            by_order.entry(one.order_id).or_default().push(one);
        }
        let mut orders: Vec<Group> = by_order
            .keys()
            .map(|order_id| ((*order_id).clone(), Vec::new()))
            .collect();
        // Whose document cannot be used any more is told of as damaged: there is nothing to keep the event in.
        let mut damaged = Vec::new();
        for _ in 0..CONFLICTS_MAX {
            let mut open = self.load(orders, &[], HashMap::new(), &mut damaged).await?;
            let now = self.ports.clock.now();
            for work in &mut open {
                for one in by_order.get(&work.order_id).into_iter().flatten() {
                    let mut outbox = work.session.record().outbox.iter();
                    if outbox.any(|entry| entry.emission.id == one.emission.id) {
                        continue;
                    }
                    work.session.record_mut().outbox.push(OutboxEntry {
                        emission: one.emission.clone(),
                        attempts: 1,
                        next_attempt: now + self.options.retry.delay(&one.emission.id, 1),
                        last_error: Some(one.why.clone()),
                    });
                }
            }
            orders = self.save(&mut open, &mut damaged, |_| true).await?;
            if orders.is_empty() {
                return Ok(());
            }
        }
        Err(Outage::new(
            "store",
            "too many instances write the same orders",
        ))
    }
}
