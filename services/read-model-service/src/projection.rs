//! What is shown of an order, a dead letter and a command: pure functions of the set of their events.
//!
//! Events come over many topics, in any order and more than once. So nothing here depends on arrival: a document is a
//! function of the set of its events, merging is commutative, associative and idempotent, and a rebuilt projection is
//! equal byte for byte. No IO, no clock, no async.

mod audit;
mod bounds;
mod causality;
mod dead_letter;
mod decision;
pub(crate) mod described;
mod details;
mod entry;
mod fact;
mod fold;
mod history;
mod letter_state;
mod lifecycle;
mod order;
mod render;
#[cfg(test)]
mod tests;
mod views;

pub(crate) use audit::redrive_name;
pub use audit::{Asked, Audit, AuditOutcome, Kept};
pub(crate) use bounds::stored_name;
pub use dead_letter::PostMortem;
pub use decision::{Decision, OrphanDiscard};
pub use entry::Entry;
pub use fold::{Fold, Head};
pub use letter_state::LetterState;
pub use lifecycle::{Lifecycle, Status};
pub use order::{EVENTS_MAX, Merged, Order, Unreadable};

/// The name by which dead letters and redrives know the read model, and its consumer group.
pub const PROJECTOR: &str = "read-model-service";

/// Who asks for compensation when an order takes too long.
pub const SAGA_TIMEOUT: &str = "saga-timeout";
