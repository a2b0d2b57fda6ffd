//! Operators' commands: what may be asked of an order, why not, and the event that says so.
//!
//! Two services take commands, each with its own view of an order: the order service with its document, the read model
//! with its projection. Here is what both decide from it, so that both give the same answer and the same `commandId`.
//! A view may lag behind; the events are decided again by the services that own the order and the pivot, so a command
//! that passes here may still be refused there, with `CommandRejected`.

mod command;
mod refusal;
mod request;
mod view;

pub use command::{Command, Issued};
pub use refusal::Refusal;
pub use request::{Accepted, CompensateRequest, RetryRequest};
pub use view::{OrderView, Outcome};

use sagaline_contracts::payload::{Action, Step};

/// A step's name on the wire.
pub const fn step_name(step: Step) -> &'static str {
    match step {
        Step::Inventory => "inventory",
        Step::Payment => "payment",
        Step::Shipping => "shipping",
    }
}

/// An action's name on the wire.
pub const fn action_name(action: Action) -> &'static str {
    match action {
        Action::ReleaseInventory => "releaseInventory",
        Action::RefundPayment => "refundPayment",
    }
}
