//! The timeline of an order, ready to be sent.

use bytes::Bytes;
use sagaline_contracts::EventId;

use crate::projection::Order;

/// The timeline of an order, ready to be sent to all who watch it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    events: Vec<Told>,
}

/// One event, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) hash: u32,
    pub(super) data: Bytes,
}

impl Snapshot {
    /// The order as it stands.
    pub fn of(order: &Order) -> Self {
        let events = order.statuses().map(|(entry, status)| Told {
            hash: hash(entry.id()),
            data: entry.told(status),
        });
        Self {
            events: events.collect(),
        }
    }

    pub(super) fn events(&self) -> &[Told] {
        &self.events
    }
}

/// A short name for an event, the same on every instance and after every rebuild (FNV-1a, folded).
fn hash(id: &EventId) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in id.as_str().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let folded = (hash ^ (hash >> 32)) & u64::from(u32::MAX);
    u32::try_from(folded).unwrap_or(u32::MAX)
}
