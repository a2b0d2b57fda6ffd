//! Publishing what was saved.

use std::sync::Arc;

use sagaline_contracts::{EventId, OrderId};
use sagaline_saga::{Emission, Participant, planted};

use super::handler::ParticipantHandler;
use super::refused::Refused;
use super::work::OrderWork;
use crate::outbox::OutboxRelay;
use crate::{BrokerError, Effects, Outage, Outbound, Producer};

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    /// Publishes what the sessions caused, after these dead letters, and waits for the acknowledgements. What the broker refuses
    /// for good waits in its order's outbox. A dead letter that is refused even without what it repeats is waited for here: it
    /// is all that is left of its message, and no document could keep it.
    pub(super) async fn publish(
        &self,
        works: &[OrderWork<P>],
        letters: Vec<Outbound>,
    ) -> Result<(), Outage> {
        let (letter_count, mut messages) = (letters.len(), letters);
        let mut told: Vec<(&OrderId, &Emission)> = Vec::new();
        for work in works {
            let emissions = work.session.publish().iter();
            told.extend(emissions.map(|emission| (&work.order_id, emission)));
        }
        let emissions = told.iter();
        messages.extend(emissions.map(|(id, emission)| Outbound::emission(id.as_str(), emission)));
        if messages.is_empty() {
            return Ok(());
        }
        let mut refused: Vec<Refused<'_>> = Vec::new();
        match self.relay().await?.0.publish(messages).await {
            Ok(()) => {}
            Err(_) if planted!("commit before produce") => {}
            Err(BrokerError::Refused { refused: named }) => {
                let (letters, events): (Vec<_>, Vec<_>) =
                    named.into_iter().partition(|one| one.at < letter_count);
                refused.extend(events.into_iter().filter_map(|one| {
                    let (order_id, emission) = *told.get(one.at - letter_count)?;
                    let why = one.reason;
                    Some(Refused {
                        order_id,
                        emission,
                        why,
                    })
                }));
                self.keep_refused(&refused).await?;
                if !letters.is_empty() {
                    return Err(BrokerError::Refused { refused: letters }.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.note_acknowledged(works, &refused);
        Ok(())
    }

    /// Entries of the outbox that were just published need not be swept.
    fn note_acknowledged(&self, works: &[OrderWork<P>], refused: &[Refused<'_>]) {
        for work in works
            .iter()
            .filter(|work| !work.session.record().outbox.is_empty())
        {
            let acknowledged = |id: &EventId| {
                let mut published = work.session.publish().iter();
                published.any(|emission| emission.id == *id)
                    && !refused.iter().any(|one| one.emission.id == *id)
            };
            let entries = work.session.record().outbox.iter();
            self.acked.insert(
                entries
                    .map(|entry| entry.emission.id.clone())
                    .filter(acknowledged),
            );
        }
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
