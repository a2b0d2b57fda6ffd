//! What became of a dead letter.

use sagaline_contracts::payload::RedriveAction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LetterState {
    /// It waits for an operator.
    Waiting,
    /// It was handled again.
    Redriven,
    /// It was dropped.
    Discarded,
}

impl LetterState {
    /// The name in the list of dead letters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }

    /// The name in an order's timeline.
    pub const fn in_timeline(self) -> &'static str {
        match self {
            Self::Waiting => "dead",
            Self::Redriven | Self::Discarded => self.as_str(),
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Waiting, Self::Redriven, Self::Discarded]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

impl From<RedriveAction> for LetterState {
    fn from(action: RedriveAction) -> Self {
        match action {
            RedriveAction::Redrive => Self::Redriven,
            RedriveAction::Discard => Self::Discarded,
        }
    }
}
