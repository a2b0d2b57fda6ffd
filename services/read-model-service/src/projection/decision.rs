//! What an operator decided about a dead letter.

use sagaline_contracts::payload::{RedriveAction, RedriveRequested};
use sagaline_contracts::{Event, EventId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds::clipped;

/// What is kept of who decided, and of a service's name; and of all the services that a decision names.
const NAME_BYTES_MAX: usize = 256;
const NAMES_BYTES_MAX: usize = 2 * 1024;

/// What an operator decided about a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Handle it again, or drop it.
    pub action: RedriveAction,
    /// For these services; empty: for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<String>,
    /// Who decided.
    pub requested_by: String,
    /// It is to be handled as edited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
    /// The death that it answers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<EventId>,
}

/// Drops a dead letter that belongs to no order: no service waits for it, so it is not sent to any, but kept by the read
/// model itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrphanDiscard {
    /// The dead letter.
    pub dead_letter_id: String,
    /// The command's id.
    pub command_id: EventId,
    /// Who decided.
    pub requested_by: String,
    /// When.
    pub at: Timestamp,
}

impl Decision {
    pub(super) fn of(request: &RedriveRequested, event: &Event) -> Self {
        Self {
            action: request.action,
            consumers: bounded(&request.consumers),
            requested_by: clipped(&request.requested_by, NAME_BYTES_MAX).into_owned(),
            edited: request.event.is_some(),
            answers: event.causation_id.clone(),
        }
    }
}

/// The names, cut as those of the letters' consumers are, as many as fit. None would mean all, so the first one always fits.
fn bounded(consumers: &[String]) -> Vec<String> {
    let names = consumers
        .iter()
        .map(|name| clipped(name, NAME_BYTES_MAX).into_owned());
    let mut bytes = 0;
    names
        .take_while(|name| {
            bytes += name.len();
            bytes <= NAMES_BYTES_MAX
        })
        .collect()
}
