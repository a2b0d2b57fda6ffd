//! Outbox entries whose time has come.

use std::collections::{BTreeMap, HashMap};

use sagaline_contracts::{EventId, OrderId, Timestamp};
use sagaline_saga::{Emission, OutboxEntry, Participant};

use super::handler::ParticipantHandler;
use super::work::OrderWork;
use crate::{Effects, Outage};

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    /// Publishes outbox entries whose time has come, all at once: one by one they would keep the consumer waiting.
    pub(super) async fn sweep(
        &self,
        open: &mut [OrderWork<P>],
        now: Timestamp,
    ) -> Result<(), Outage> {
        if sagaline_saga::planted!("no sweep") {
            return Ok(());
        }
        let is_due = |entry: &OutboxEntry| {
            entry.next_attempt <= now && !self.acked.contains(&entry.emission.id)
        };
        let mut by_attempt: BTreeMap<u32, Vec<(OrderId, Emission)>> = BTreeMap::new();
        for work in open.iter() {
            for entry in work
                .session
                .record()
                .outbox
                .iter()
                .filter(|entry| is_due(entry))
            {
                // The first attempt was made when the entry was handed over.
                let attempt = entry.attempts.saturating_add(2);
                let emission = (work.order_id.clone(), entry.emission.clone());
                by_attempt.entry(attempt).or_default().push(emission);
            }
        }
        if by_attempt.is_empty() {
            return Ok(());
        }
        let (_, relay) = self.relay().await?;
        let mut failures: HashMap<EventId, String> = HashMap::new();
        for (attempt, emissions) in by_attempt {
            let left = relay.publish(&emissions, attempt).await;
            failures.extend(left.into_iter().map(|one| (one.id, one.why)));
        }
        for work in open
            .iter_mut()
            .filter(|work| !work.session.record().outbox.is_empty())
        {
            for entry in &mut work.session.record_mut().outbox {
                if let Some(error) = failures.remove(&entry.emission.id) {
                    entry.attempts = entry.attempts.saturating_add(1);
                    let delay = self.options.retry.delay(&entry.emission.id, entry.attempts);
                    entry.next_attempt = now + delay;
                    entry.last_error = Some(error);
                }
            }
        }
        Ok(())
    }
}
