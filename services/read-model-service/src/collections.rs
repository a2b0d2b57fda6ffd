//! The read model's collections, and what their documents have in common.

use bytes::Bytes;
use sagaline_store::Index;

use crate::projection::{Audit, PostMortem, Unreadable};

/// One document per order.
pub const ORDERS: &str = "read_model_orders";
/// One document per message that could not be handled.
pub const DEAD_LETTERS: &str = "dead_letters";
/// One document per command.
pub const AUDIT: &str = "audit";
/// What operators decided about dead letters that belong to no order. No event tells of it, so a rebuild keeps it.
pub const ORPHAN_DISCARDS: &str = "dead_letter_discards";

/// A rebuild that has begun and not ended.
pub const REBUILDING: &str = "read_model_rebuilding";

/// What is rebuilt from events.
pub const PROJECTED: [&str; 3] = [ORDERS, DEAD_LETTERS, AUDIT];

/// A document that is merged, never overwritten: merging is commutative and idempotent.
pub trait Mergeable: Sized + Send {
    /// Where it is.
    const COLLECTION: &'static str;
    /// Its id.
    fn id(&self) -> &str;
    /// Reads it.
    fn parse(body: &[u8]) -> Result<Self, Unreadable>;
    /// Takes what another copy knows; says whether that is more than before.
    fn merge(&mut self, other: Self) -> bool;
    /// Its stored form.
    fn document(&self) -> (Bytes, Index);
}

macro_rules! mergeable {
    ($name:ty, $collection:expr, |$it:ident| $id:expr) => {
        impl Mergeable for $name {
            const COLLECTION: &'static str = $collection;
            fn id(&self) -> &str {
                let $it = self;
                $id
            }
            fn parse(body: &[u8]) -> Result<Self, Unreadable> {
                Self::parse(body)
            }
            fn merge(&mut self, other: Self) -> bool {
                Self::merge(self, other)
            }
            fn document(&self) -> (Bytes, Index) {
                Self::document(self)
            }
        }
    };
}

mergeable!(PostMortem, DEAD_LETTERS, |letter| PostMortem::id(letter));
mergeable!(Audit, AUDIT, |audit| Audit::id(audit).as_str());
