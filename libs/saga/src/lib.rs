//! Participants of a saga as pure functions.
//!
//! A service takes part in the saga by implementing [`Participant`]: a total function from (state, event) to a
//! [`Decision`]. Everything that makes this safe in a world of redelivery, reordering, crashes and poison is in
//! [`OrderRecord`], the one document per order and service, and in [`Session`], which works events off against it. No
//! async, IO, clock or randomness here: time, ids and failures are inputs, so every schedule can be replayed.

mod clock;
#[cfg(feature = "given")]
pub mod given;
mod identity;
#[cfg(feature = "given")]
pub mod laws;
mod letter;
mod participant;
pub mod planted;
#[cfg(feature = "given")]
pub mod race;
mod record;
mod retry;
mod session;

pub use clock::{CLOCK_LEAD_MAX, Clock};
pub use identity::{command_id, derived_event_id, message_id};
pub use letter::{Deceased, without_message};
pub use participant::{Decision, EffectFailure, Participant, Standing, Transition};
pub use record::{
    Applied, Emission, Held, Message, OrderRecord, OutboxEntry, Parked, ParkedReason, Source,
};
pub use retry::RetryPolicy;
pub use session::{Delivery, Handled, OUTBOX_GRACE, Session, Status};
