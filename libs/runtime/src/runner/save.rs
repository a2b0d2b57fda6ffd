//! Saving what was decided, by compare-and-set.

use bytes::Bytes;
use sagaline_contracts::Timestamp;
use sagaline_saga::{Participant, planted};
use sagaline_store::{Index, SaveResult, StoreError, Write};

use super::damage::{Damaged, blamed};
use super::group::Group;
use super::handler::ParticipantHandler;
use super::work::OrderWork;
use crate::{Effects, Outage};

impl<P: Participant, E: Effects<P>> ParticipantHandler<P, E> {
    /// Saves what changed of the orders that are meant. Takes out the orders that somebody else saved first, and gives their
    /// messages back; and those whose documents cannot be stored, which go to `damaged`.
    pub(super) async fn save(
        &self,
        open: &mut Vec<OrderWork<P>>,
        damaged: &mut Vec<Damaged>,
        is_meant: impl Fn(&OrderWork<P>) -> bool + Send + Sync,
    ) -> Result<Vec<Group>, Outage> {
        for work in open.iter_mut().filter(|work| is_meant(work)) {
            work.session
                .forget_acknowledged(|id| self.acked.contains(id));
        }
        let (written, results) = loop {
            let (writes, written) = self.writes(open, &is_meant)?;
            if writes.is_empty() {
                return Ok(Vec::new());
            }
            match self.ports.store.save(self.options.collection, writes).await {
                Ok(results) => break (written, results),
                Err(_) if planted!("ack before durable") => return Ok(Vec::new()),
                Err(error) => {
                    // The others may be saved or not: who is has lost a race against himself, and is a duplicate.
                    let is_asked = |id: &str| open.iter().any(|work| work.order_id.as_str() == id);
                    let (id, error) = blamed(error, is_asked)?;
                    let at = open.iter().position(|work| work.order_id.as_str() == id);
                    if let Some(work) = at.map(|at| open.remove(at)) {
                        damaged.push(Damaged::new((work.order_id, work.messages), error));
                    }
                }
            }
        };
        let mut lost = Vec::new();
        for (at, result) in written.into_iter().zip(results).rev() {
            if result == SaveResult::Conflict && !planted!("lost race ignored") {
                let work = open.swap_remove(at);
                lost.push((work.order_id, work.messages));
            } else if let Some(work) = open.get_mut(at) {
                work.version += 1;
            }
        }
        Ok(lost)
    }

    /// What is to be written, and which of the orders each write is of.
    fn writes(
        &self,
        open: &[OrderWork<P>],
        is_meant: impl Fn(&OrderWork<P>) -> bool,
    ) -> Result<(Vec<Write>, Vec<usize>), Outage> {
        let mut writes = Vec::with_capacity(open.len());
        let mut written = Vec::with_capacity(open.len());
        for (at, work) in open.iter().enumerate() {
            if is_meant(work) && work.session.changed() {
                writes.push(self.write(work)?);
                written.push(at);
            }
        }
        Ok((writes, written))
    }

    fn write(&self, work: &OrderWork<P>) -> Result<Write, Outage> {
        let record = work.session.record();
        let body = serde_json::to_vec(record).map_err(|source| {
            Outage::from(StoreError::Unusable {
                collection: self.options.collection.to_owned(),
                id: work.order_id.to_string(),
                source: source.into(),
            })
        })?;
        let standing = self.participant.standing(&record.state);
        let due = work.session.due(&*self.participant).map(Timestamp::micros);
        Ok(Write {
            id: work.order_id.to_string(),
            expected: work.version,
            body: Bytes::from(body),
            index: Index {
                due,
                tag: standing.tag.map(str::to_owned),
                rank: standing.rank,
                settled: standing.settled && due.is_none() && record.parked.is_empty(),
            },
        })
    }
}
