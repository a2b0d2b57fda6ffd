//! What a colour means. It is never the only sign: every tone comes with a word and a shape.

use sagaline_views::{Outcome, Status};

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Under way.
    Active,
    /// Done, as wanted.
    Good,
    /// Failed.
    Bad,
    /// Being undone, or undone.
    Undone,
    /// Waits for somebody.
    Waiting,
    /// Nothing in particular.
    Plain,
}

impl Tone {
    /// Its name in the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Undone => "undone",
            Self::Waiting => "waiting",
            Self::Plain => "plain",
        }
    }
}

/// A status in words.
pub const fn label(status: Status) -> &'static str {
    match status {
        Status::Created => "Created",
        Status::InventoryReserved => "Reserved",
        Status::InventoryFailed => "Out of stock",
        Status::PaymentAuthorized => "Paid",
        Status::PaymentFailed => "Payment failed",
        Status::Shipped => "Shipped",
        Status::ShippingFailed => "Shipping failed",
        Status::Refunded => "Refunded",
    }
}

/// A status' tone.
pub const fn status_tone(status: Status) -> Tone {
    match status {
        Status::Created | Status::InventoryReserved | Status::PaymentAuthorized => Tone::Active,
        Status::InventoryFailed | Status::PaymentFailed | Status::ShippingFailed => Tone::Bad,
        Status::Shipped => Tone::Good,
        Status::Refunded => Tone::Undone,
    }
}

/// An outcome in a word.
pub const fn outcome_label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pending => "In flight",
        Outcome::Confirmed => "Confirmed",
        Outcome::Cancelled => "Cancelled",
    }
}

/// An outcome's tone.
pub const fn outcome_tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Pending => Tone::Active,
        Outcome::Confirmed => Tone::Good,
        Outcome::Cancelled => Tone::Bad,
    }
}
