//! The read model's collections, and what their documents have in common.

use bytes::Bytes;
use sagaline_store::{Index, Stored};

use crate::projection::{Audit, Kept, PostMortem, Unreadable};

/// One document per order.
pub const ORDERS: &str = "read_model_orders";
/// One document per message that could not be handled.
pub const DEAD_LETTERS: &str = "dead_letters";
/// One document per command.
pub const AUDIT: &str = "audit";
/// What operators decided about dead letters that belong to no order. No event tells of it, so a rebuild keeps it.
pub const ORPHAN_DISCARDS: &str = "dead_letter_discards";

/// What operators asked that no event tells of, as the audit has it: refusals of what they decided about dead letters, and
/// rebuilds. A rebuild keeps it.
pub const KEPT_ACTIONS: &str = "operator_actions";
/// A rebuild that has begun and not ended.
pub const REBUILDING: &str = "read_model_rebuilding";
/// The last rebuild that has ended.
pub const REBUILT: &str = "read_model_rebuilt";

/// What is rebuilt from events.
pub const PROJECTED: [&str; 3] = [ORDERS, DEAD_LETTERS, AUDIT];

/// What a document has that a rebuild has emptied. It is there for the sake of its version alone: a save that goes by what was
/// known before conflicts. For every reader it is as if it were not there.
pub(crate) const BLANK: &[u8] = b"{}";

/// Whether a rebuild has emptied the document, and nothing was projected into it since.
pub(crate) fn is_blank(document: &Stored) -> bool {
    *document.body == *BLANK
}

/// A document that is merged, never overwritten: merging is commutative and idempotent.
pub trait Mergeable: Clone + Send + Sync {
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

mergeable!(Kept, KEPT_ACTIONS, |kept| kept.0.id().as_str());
mergeable!(PostMortem, DEAD_LETTERS, |letter| PostMortem::id(letter));
mergeable!(Audit, AUDIT, |audit| Audit::id(audit).as_str());
