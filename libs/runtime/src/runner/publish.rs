//! Publishing what was saved.

use std::sync::Arc;

use sagaline_contracts::EventId;
use sagaline_saga::{Participant, planted};

use super::handler::ParticipantHandler;
use super::work::OrderWork;
use crate::outbox::OutboxRelay;
use crate::{Effects, Outage, Outbound, Producer};

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    /// Publishes what the sessions caused, and waits for the acknowledgements.
    pub(super) async fn publish(
        &self,
        works: &[OrderWork<P>],
        mut messages: Vec<Outbound>,
    ) -> Result<(), Outage> {
        for work in works {
            let key = work.order_id.as_str();
            messages.extend(
                work.session
                    .publish()
                    .iter()
                    .map(|emission| Outbound::emission(key, emission)),
            );
        }
        if messages.is_empty() {
            return Ok(());
        }
        let published = self.relay().await?.0.publish(messages).await;
        if !planted!("commit before produce") {
            published?;
        }
        for work in works
            .iter()
            .filter(|work| !work.session.record().outbox.is_empty())
        {
            let published = |id: &EventId| {
                work.session
                    .publish()
                    .iter()
                    .any(|emission| emission.id == *id)
            };
            let entries = work.session.record().outbox.iter();
            self.acked.insert(
                entries
                    .map(|entry| entry.emission.id.clone())
                    .filter(published),
            );
        }
        Ok(())
    }

    pub(super) async fn relay(&self) -> Result<&(Arc<dyn Producer>, OutboxRelay), Outage> {
        self.relay
            .get_or_try_init(|| async {
                let producer = self.ports.broker.producer(self.participant.name()).await?;
                let faults = self.faults.lock().take().unwrap_or_default();
                let relay = OutboxRelay::new(Arc::clone(&producer), self.acked.clone(), faults);
                Ok((producer, relay))
            })
            .await
    }
}
