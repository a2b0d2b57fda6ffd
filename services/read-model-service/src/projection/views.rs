//! What stands beside the timeline, made from it.

use sagaline_commands::Outcome;
use sagaline_contracts::Timestamp;
use sagaline_contracts::payload::{Authority, Step};
use schemars::JsonSchema;
use serde::Serialize;

use super::LetterState;

/// One attempt.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttemptView<'a> {
    pub(super) attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<Step>,
    pub(super) outcome: Outcome,
    pub(super) started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stalled_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cancel: Option<CancelView<'a>>,
}

/// Who wanted an attempt undone, and who ruled so.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CancelView<'a> {
    pub(super) action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requested_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'a str>,
    pub(super) at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decided_by: Option<Authority>,
}

/// A command that was refused.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refused<'a> {
    pub(super) command: &'a str,
    pub(super) reason: &'a str,
    pub(super) requested_by: &'a str,
    pub(super) at: Timestamp,
}

/// A message of the order that could not be handled.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LetterView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dead_letter_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consumer: Option<&'a str>,
    pub(super) topic: &'a str,
    pub(super) error: &'a str,
    pub(super) at: Timestamp,
    pub(super) status: &'static str,
    #[serde(skip)]
    pub(super) state: LetterState,
}
