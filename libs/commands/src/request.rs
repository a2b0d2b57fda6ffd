//! The bodies of the commands' endpoints.

use sagaline_contracts::payload::{Action, Step};
use sagaline_contracts::{EventId, ShortText, strict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of `POST /admin/retry/:id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetryRequest {
    /// The step that the operator wants to see again.
    #[serde(deserialize_with = "strict::name")]
    pub step: Step,
}

/// The body of `POST /admin/compensate/:id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompensateRequest {
    /// What is to be undone.
    #[serde(deserialize_with = "strict::name")]
    pub action: Action,
    /// Why, for the timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ShortText>")]
    pub reason: Option<String>,
}

impl CompensateRequest {
    /// Whether the reason may stand in a timeline and in the audit: a short text, or none.
    pub fn has_usable_reason(&self) -> bool {
        self.reason.as_deref().is_none_or(ShortText::accepts)
    }
}

/// The answer to an accepted command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Always true.
    pub ok: bool,
    /// The command's id, which is its event's id.
    pub command_id: EventId,
}

impl Accepted {
    /// The answer for this command.
    pub const fn new(command_id: EventId) -> Self {
        Self {
            ok: true,
            command_id,
        }
    }
}
