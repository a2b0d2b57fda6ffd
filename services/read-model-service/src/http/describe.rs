//! What each route takes and answers.

use sagaline_commands::{Accepted, CompensateRequest, RetryRequest};
use sagaline_contracts::OrderId;
use sagaline_service_kit::Operation;
use serde_json::{Value, json};

use super::dead_letters::{Checked, RedriveBody};
use super::rebuild::RebuildBody;
use super::stats::{HistoryView, StatsView};
use crate::projection::Status;
use crate::projection::described::{AuditDocument, LetterDocument, OrderDocument};
use crate::rebuild::RebuildReport;

const EVENT_STREAM: &str = "text/event-stream";

/// A page of a listing.
fn listing(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .query(
            "limit",
            "How many, 50 when it is left out; 100 are given at most",
            json!({ "type": "integer", "minimum": 1 }),
        )
        .query(
            "cursor",
            "Where the page begins: taken from the Link header of the page before",
            json!({ "type": "string" }),
        )
}

fn link(operation: Operation) -> Operation {
    operation.with_header(
        "Link",
        "The next page, `rel=\"next\"`, when there may be one",
    )
}

fn one_of(names: &[&str]) -> Value {
    json!({ "type": "string", "enum": names })
}

pub(super) fn orders() -> Operation {
    let described = listing("listOrders", "Orders, the latest update first")
        .query(
            "status",
            "Only orders of this currentStatus",
            one_of(&Status::ALL.map(Status::as_str)),
        )
        .query(
            "outcome",
            "Only orders of this outcome",
            one_of(&["PENDING", "CONFIRMED", "CANCELLED"]),
        )
        .query(
            "stalled",
            "Only orders that take too long, or only the others",
            json!({ "type": "boolean" }),
        )
        .query(
            "parked",
            "Only orders with messages that wait for an operator, or only the others",
            json!({ "type": "boolean" }),
        )
        .query(
            "q",
            "Only orders with this in their id or reason, whatever its case",
            json!({ "type": "string" }),
        )
        .query(
            "before",
            "Only orders of which the latest update was at this moment or earlier; left out where there is a cursor",
            json!({ "type": "string", "format": "date-time" }),
        )
        .answers::<Vec<OrderDocument<'_>>>(200, "A page of orders");
    link(described)
}

pub(super) fn order() -> Operation {
    Operation::new("showOrder", "An order with its timeline")
        .path::<OrderId>("orderId", "The order")
        .answers::<OrderDocument<'_>>(200, "The order")
        .refuses(404, "The order is not known here")
}

fn stream(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .query(
            "from",
            "`start` tells what was before; `now`, the default, does not",
            one_of(&["start", "now"]),
        )
        .query(
            "lastEventId",
            "As the header, for clients that cannot send one",
            json!({ "type": "string" }),
        )
        .header(
            "Last-Event-ID",
            "The id of the last message that was read: resumes without a gap or a double",
            json!({ "type": "string" }),
        )
}

pub(super) fn order_stream() -> Operation {
    stream(
        "streamOrder",
        "An order's events, live: `data: {type, at, details, status}`",
    )
    .path::<OrderId>(
        "orderId",
        "The order; one that is not known yet is waited for",
    )
    .answers_as(200, "Server-sent events", EVENT_STREAM)
}

pub(super) fn feed() -> Operation {
    stream(
        "streamOrders",
        "Every order's latest state, live and coalesced: `data:` is `{orderId, currentStatus, outcome, …}`, or an array of them",
    )
    .query(
        "batch",
        "Many states in one message, as an array",
        json!({ "type": "boolean" }),
    )
    .query(
        "pace",
        "With `batch`: `slow` tells latest states four times a second at most, for screens",
        one_of(&["quick", "slow"]),
    )
    .answers_as(200, "Server-sent events", EVENT_STREAM)
}

pub(super) fn stats() -> Operation {
    Operation::new("showStats", "Counts, throughput, latency, dead letters")
        .answers::<StatsView>(200, "The statistics")
}

pub(super) fn history() -> Operation {
    Operation::new(
        "showStatsHistory",
        "What the statistics were in the last hour, in samples",
    )
    .query(
        "seconds",
        "How far back, an hour when it is left out, which is also the most",
        json!({ "type": "integer", "minimum": 1 }),
    )
    .answers::<HistoryView>(200, "The samples")
}

pub(super) fn dead_letters() -> Operation {
    let described = listing(
        "listDeadLetters",
        "Messages that could not be handled, the latest to die first",
    )
    .query(
        "state",
        "Only those that stand so",
        one_of(&["waiting", "redriven", "discarded"]),
    )
    .query("topic", "Only of this topic", json!({ "type": "string" }))
    .query(
        "consumer",
        "Only those that this service could not handle",
        json!({ "type": "string" }),
    )
    .answers::<Vec<LetterDocument<'_>>>(200, "A page of dead letters");
    link(described)
}

pub(super) fn dead_letter() -> Operation {
    Operation::new("showDeadLetter", "A message that could not be handled")
        .path::<String>("deadLetterId", "The dead letter")
        .answers::<LetterDocument<'_>>(200, "The dead letter")
        .refuses(404, "The dead letter is not known here")
}

fn decision(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .path::<String>("deadLetterId", "The dead letter")
        .for_admins()
        .answers::<Accepted>(202, "It is decided: the command is published")
        .refuses(404, "The dead letter is not known here")
        .refuses(409, "It was decided otherwise before; `state` says how")
}

pub(super) fn redrive() -> Operation {
    decision(
        "redriveDeadLetter",
        "Has the message handled again, as it was or corrected",
    )
    .query(
        "dryRun",
        "Whether to say only if it would be taken (200), and send nothing",
        json!({ "type": "boolean" }),
    )
    .optional_body::<RedriveBody>()
    .answers::<Checked>(200, "It would be taken; nothing was sent")
    .refuses(
        422,
        "The payload is no event, or of another order; `field` says what is wrong",
    )
}

pub(super) fn discard() -> Operation {
    decision(
        "discardDeadLetter",
        "Drops the message, and goes on with what waits behind it",
    )
}

pub(super) fn audit() -> Operation {
    let described = listing("listAudit", "Who asked for what, when, and what came of it")
        .query(
            "requestedBy",
            "Only of this operator",
            json!({ "type": "string" }),
        )
        .for_admins()
        .answers::<Vec<AuditDocument<'_>>>(200, "A page of commands");
    link(described)
}

pub(super) fn rebuild() -> Operation {
    Operation::new(
        "rebuild",
        "Projects every topic again; answers when it is done",
    )
    .for_admins()
    .optional_body::<RebuildBody>()
    .answers::<RebuildReport>(200, "It is done; the answer is broken off when it fails")
    .refuses(
        409,
        "A rebuild is under way already, or `gone` messages are not in the topics any more",
    )
}

fn command(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .path::<OrderId>("orderId", "The order")
        .idempotent()
        .for_admins()
        .answers::<Accepted>(202, "The command is given: its event is published")
        .refuses(404, "The order is not known here")
        .refuses(
            409,
            "It cannot be: `reason` says why, `outcome` how the order stands",
        )
}

pub(super) fn retry() -> Operation {
    command("retryOrder", "Starts a cancelled order's next attempt").body::<RetryRequest>()
}

pub(super) fn compensate() -> Operation {
    command(
        "compensateOrder",
        "Wishes to undo an order before it is shipped, or to refund it afterwards",
    )
    .body::<CompensateRequest>()
}
