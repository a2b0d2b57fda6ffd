//! An order of a batch, on its way into the store.

use sagaline_contracts::{EventId, EventType, OrderId, Timestamp};
use sagaline_store::{Stored, Write};

use super::cache::Known;
use crate::collections::is_blank;
use crate::projection::{Entry, Head, Order};
use crate::stats::Transition;

/// An order of the batch, on its way into the store.
pub(super) struct Work {
    pub(super) order: Order,
    /// The version that the document has, as far as is known; 0 when there is none.
    pub(super) version: u64,
    /// How the order stands in the document.
    pub(super) before: Option<Head>,
    pub(super) after: Option<After>,
    pub(super) added: Vec<(EventId, EventType)>,
    pub(super) changed: bool,
    /// It was taken for new without a look.
    pub(super) is_guess: bool,
}

/// How an order stands once it is saved.
pub(super) struct After {
    pub(super) head: Head,
    pub(super) attempt: u32,
    pub(super) created_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
}

impl Known {
    /// The order of this id as it is stored, or why its document cannot be read.
    pub(super) fn read(id: &OrderId, stored: Option<Stored>) -> Result<Self, String> {
        let Some(stored) = stored else {
            return Ok(Self::nothing(id.clone()));
        };
        if is_blank(&stored) {
            let version = stored.version;
            return Ok(Self {
                version,
                ..Self::nothing(id.clone())
            });
        }
        let order = Order::parse(&stored.body).map_err(|error| {
            tracing::error!(order_id = %id, %error, "the document of an order cannot be read");
            error.to_string()
        })?;
        let head = Some(order.fold().head());
        Ok(Self {
            order,
            version: stored.version,
            head,
        })
    }

    pub(super) fn nothing(id: OrderId) -> Self {
        Self {
            order: Order::new(id),
            version: 0,
            head: None,
        }
    }
}

impl Work {
    pub(super) fn of(known: Known, entries: Vec<Entry>, duplicates: &mut Vec<EventType>) -> Self {
        let mut order = known.order;
        let merged = order.merge(entries);
        duplicates.extend(merged.duplicates);
        Self {
            order,
            version: known.version,
            before: known.head,
            after: None,
            added: merged.added,
            changed: merged.changed,
            is_guess: false,
        }
    }

    /// The same order after a lost race: what the batch brought, and nothing that was remembered, merged into what is
    /// stored now.
    pub(super) fn again(
        self,
        known: Known,
        brought: Vec<Entry>,
        duplicates: &mut Vec<EventType>,
    ) -> Self {
        let mut order = known.order;
        let (known_before, added): (Vec<_>, Vec<_>) =
            self.added.into_iter().partition(|(id, _)| order.knows(id));
        duplicates.extend(known_before.into_iter().map(|(_, kind)| kind));
        let changed = order.merge(brought).changed;
        Self {
            order,
            version: known.version,
            before: known.head,
            after: None,
            added,
            changed,
            is_guess: false,
        }
    }

    pub(super) fn write(&mut self) -> Write {
        let fold = self.order.fold();
        self.after = Some(After {
            head: fold.head(),
            attempt: fold.lifecycle.attempt,
            created_at: fold.created_at,
            ended_at: fold.ended_at,
        });
        Write {
            id: self.order.id().as_str().to_owned(),
            expected: self.version,
            body: fold.document(),
            index: fold.index(),
        }
    }

    pub(super) fn transition(&self) -> Option<Transition<'_>> {
        let after = self.after.as_ref()?;
        Some(Transition {
            id: self.order.id().as_str(),
            before: self.before,
            after: after.head,
            attempt: after.attempt,
            created_at: after.created_at,
            ended_at: after.ended_at,
        })
    }
}
