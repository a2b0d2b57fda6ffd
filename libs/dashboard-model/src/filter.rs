//! What an operator looks for.

use sagaline_views::{Outcome, State, Status};

/// What an operator looks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// With this status only.
    pub status: Option<Status>,
    /// Standing so only.
    pub standing: Standing,
    /// With this in their id or reason, whatever its case.
    pub text: String,
}

/// Groups of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Standing {
    /// All.
    #[default]
    All,
    /// Without an outcome.
    InFlight,
    /// Shipped.
    Confirmed,
    /// Undone.
    Cancelled,
    /// In flight for too long.
    Stalled,
    /// Waiting behind a dead letter.
    Parked,
}

impl Filter {
    /// The text, as it is compared.
    pub(crate) fn needle(&self) -> String {
        self.text.trim().to_lowercase()
    }

    /// Whether an order is looked for; `text` is the filter's own, as [`Self::needle`] gives it.
    pub(crate) fn takes(&self, state: &State, text: &str) -> bool {
        let stands = match self.standing {
            Standing::All => true,
            Standing::InFlight => state.outcome == Outcome::Pending,
            Standing::Confirmed => state.outcome == Outcome::Confirmed,
            Standing::Cancelled => state.outcome == Outcome::Cancelled,
            Standing::Stalled => state.stalled_since.is_some(),
            Standing::Parked => state.dead_letters_waiting > 0,
        };
        stands
            && self
                .status
                .is_none_or(|status| state.current_status == Some(status))
            && (text.is_empty()
                || contains(&state.order_id, text)
                || state
                    .reason
                    .as_ref()
                    .is_some_and(|reason| contains(reason, text)))
    }
}

/// Whether a text has another one in it, which is in lower case. All orders are looked at for every key that is pressed.
fn contains(text: &str, lower: &str) -> bool {
    if text.is_ascii() && lower.is_ascii() {
        let mut places = text.as_bytes().windows(lower.len().max(1));
        places.any(|place| place.eq_ignore_ascii_case(lower.as_bytes()))
    } else {
        text.to_lowercase().contains(lower)
    }
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::InFlight,
        Self::Confirmed,
        Self::Cancelled,
        Self::Stalled,
        Self::Parked,
    ];

    /// In words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::InFlight => "In flight",
            Self::Confirmed => "Confirmed",
            Self::Cancelled => "Cancelled",
            Self::Stalled => "Stalled",
            Self::Parked => "Parked",
        }
    }

    /// In an address.
    pub const fn key(self) -> &'static str {
        match self {
            Self::All => "",
            Self::InFlight => "in-flight",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Stalled => "stalled",
            Self::Parked => "parked",
        }
    }

    /// The query of the read model that gives them.
    pub const fn query(self) -> &'static str {
        match self {
            Self::All => "",
            Self::InFlight => "&outcome=PENDING",
            Self::Confirmed => "&outcome=CONFIRMED",
            Self::Cancelled => "&outcome=CANCELLED",
            Self::Stalled => "&stalled=true",
            Self::Parked => "&parked=true",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn a_text_is_found_whatever_its_case_and_language() {
        for (text, lower, is_there) in [
            ("Order-17", "er-1", true),
            ("Order-17", "order-17", true),
            ("Order-17", "order-178", false),
            ("BÜCHER-1", "bücher", true),
            ("BUCHER-1", "bücher", false),
            ("", "a", false),
        ] {
            assert_eq!(contains(text, lower), is_there, "{text} {lower}");
        }
    }
}
