//! A request on its way to becoming a document.

use std::time::Duration;

use bytes::Bytes;
use sagaline_contracts::{EventId, OrderId, Timestamp};
use sagaline_saga::{Emission, OrderRecord, Participant};
use sagaline_store::{Index, Write};

use crate::domain::{Fingerprint, Identities, NewOrder, Order, OrderSaga, SERVICE};

/// A document that stands where an order should: somebody's command for this id was refused before the order came.
pub(super) struct Base {
    pub(super) version: u64,
    pub(super) record: OrderRecord<Order>,
}

/// A request on its way: what it is known by, the order that it makes, and that order's document.
pub struct Draft {
    identities: Identities,
    fingerprint: Fingerprint,
    order: Order,
    now: Timestamp,
    sealed: Sealed,
}

/// A document ready to be saved, and the events to publish then.
struct Sealed {
    write: Write,
    emissions: Vec<Emission>,
}

impl Draft {
    /// Makes the order of a request. The document is written here, on the handler's thread: a worker only saves it.
    pub fn new(
        request: NewOrder,
        identities: Identities,
        saga: &OrderSaga,
        now: Timestamp,
    ) -> Self {
        let fingerprint = request.fingerprint();
        let order = Order::placed(request, fingerprint, now, saga.timeout);
        let sealed = seal(&identities.primary.id, &order, None, now);
        Self {
            identities,
            fingerprint,
            order,
            now,
            sealed,
        }
    }

    /// What it is known by.
    pub const fn identities(&self) -> &Identities {
        &self.identities
    }

    pub(super) const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The order's own id.
    pub const fn order_id(&self) -> &OrderId {
        &self.identities.primary.id
    }

    /// The document to save, once.
    pub(super) fn take_write(&mut self) -> Write {
        let empty = Write {
            id: String::new(),
            expected: 0,
            body: Bytes::new(),
            index: Index::default(),
        };
        std::mem::replace(&mut self.sealed.write, empty)
    }

    /// The events to publish once it is saved.
    pub(super) fn take_emissions(&mut self) -> Vec<Emission> {
        std::mem::take(&mut self.sealed.emissions)
    }

    /// The same request, when one of its identities belongs to the order `target` already.
    pub(super) fn move_to(mut self, target: &OrderId) -> Self {
        self.identities = self.identities.moved_to(target);
        self.rewrite(None)
    }

    /// Writes the document anew, on top of what stands at its id.
    pub(super) fn rewrite(mut self, base: Option<&Base>) -> Self {
        self.sealed = seal(&self.identities.primary.id, &self.order, base, self.now);
        self
    }

    /// The document at a further identity, which says whose it is.
    pub(super) fn alias(&self, id: &OrderId, base: Option<&Base>) -> Write {
        let alias = Order::alias(self.order_id().clone(), self.fingerprint, self.now);
        let mut record = OrderRecord::unknown(id.clone());
        record.state = alias;
        write(&on_top_of(record, base), base)
    }
}

fn seal(id: &OrderId, order: &Order, base: Option<&Base>, now: Timestamp) -> Sealed {
    // The order's id is its event's cause: placed again after a crash, it makes the same event.
    let cause = match EventId::new(id.as_str()) {
        Ok(cause) => cause,
        Err(error) => unreachable!("an order's id is a valid event id: {error}"),
    };
    let now = base.map_or(now, |base| now.max(base.record.clock.next()));
    let record = OrderRecord::create(
        id.clone(),
        order.clone(),
        SERVICE,
        &cause,
        vec![order.created(id).into()],
        now,
    );
    let record = on_top_of(record, base);
    let write = write(&record, base);
    let emissions = record.outbox.into_iter().map(|entry| entry.emission);
    Sealed {
        write,
        emissions: emissions.collect(),
    }
}

/// Keeps what was handled and what waits under this id.
fn on_top_of(mut record: OrderRecord<Order>, base: Option<&Base>) -> OrderRecord<Order> {
    if let Some(Base { record: base, .. }) = base {
        record.clock = record.clock.max(base.clock);
        record.applied.clone_from(&base.applied);
        record.early.clone_from(&base.early);
        record.parked.clone_from(&base.parked);
        record.outbox.extend(base.outbox.iter().cloned());
    }
    record
}

fn write(record: &OrderRecord<Order>, base: Option<&Base>) -> Write {
    // Every key is a string and no Serialize of ours fails, so neither can this.
    let body = match serde_json::to_vec(record) {
        Ok(body) => body,
        Err(error) => unreachable!("a record is always JSON: {error}"),
    };
    // Any timeout will do: when an order is due stands in its state.
    let saga = OrderSaga {
        timeout: Duration::ZERO,
    };
    let due = record
        .due()
        .into_iter()
        .chain(saga.deadline(&record.state))
        .min();
    let standing = saga.standing(&record.state);
    Write {
        id: record.order_id.to_string(),
        expected: base.map_or(0, |base| base.version),
        body: body.into(),
        index: Index {
            due: due.map(Timestamp::micros),
            tag: standing.tag.map(str::to_owned),
            rank: standing.rank,
            settled: standing.settled && due.is_none() && record.parked.is_empty(),
        },
    }
}
