//! What every route answers, and the routes that every service has.

use serde_json::{Value, json};

use super::{OPENAPI_PATH, Operation, Verb};
use crate::health::HealthReport;

/// What is added to an operation that does not say it itself.
pub(super) fn complete(mut operation: Operation) -> Operation {
    let has_parameters = !operation.parameters.is_empty();
    if has_parameters || operation.body.is_some() {
        operation = add(
            operation,
            400,
            "Something in the request is wrong; `errors` names each field",
        );
    }
    if operation.is_admin {
        operation = add(
            operation,
            401,
            "Without a token, or with one that is not valid",
        );
        operation = add(operation, 403, "The token does not grant the role `admin`");
        operation = add(
            operation,
            429,
            "Too many requests of this subject, or too many failed sign-ins",
        );
    }
    if operation.body.is_some() {
        operation = add(operation, 408, "The body did not arrive in time");
        operation = add(operation, 413, "The body is too large");
        operation = add(operation, 415, "The body is no JSON");
    }
    operation = add(operation, 500, "A defect of ours");
    add(
        operation,
        503,
        "Overloaded, or a dependency is down: try again",
    )
}

fn add(operation: Operation, status: u16, about: &'static str) -> Operation {
    if operation
        .answers
        .iter()
        .any(|answer| answer.status == status)
    {
        return operation;
    }
    let operation = operation.refuses(status, about);
    if matches!(status, 429 | 503) {
        return operation.with_header("Retry-After", "Seconds to wait");
    }
    operation
}

#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "it stands for what a handler writes")]
struct Alive {
    /// Always true.
    ok: bool,
}

/// The routes that [`crate::http::HttpStack`] and [`super::Api`] add.
pub(super) fn operations() -> Vec<(Verb, &'static str, Operation)> {
    let alive =
        Operation::new("health", "Liveness: the process answers").answers::<Alive>(200, "It lives");
    let ready = Operation::new("healthz", "Readiness: what the service depends on")
        .answers::<HealthReport>(200, "It can work")
        .answers::<HealthReport>(503, "It cannot work; `dependencies` says why");
    let metrics = Operation::new("metrics", "Metrics in Prometheus' text format").answers_as(
        200,
        "The metrics",
        "text/plain",
    );
    let description =
        Operation::new("openapi", "This description").answers::<Value>(200, "OpenAPI 3.1");
    vec![
        (Verb::Get, "/health", alive),
        (Verb::Get, "/healthz", ready),
        (Verb::Get, "/metrics", metrics),
        (Verb::Get, OPENAPI_PATH, description),
    ]
}

/// The schema of a problem.
pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A problem (RFC 9457). Members beyond these say more about this one.",
        "required": ["type", "title", "status", "detail", "error"],
        "properties": {
            "type": { "type": "string", "pattern": "^urn:sagaline:problem:[a-z-]+$", "description": "A stable name for programs" },
            "title": { "type": "string", "description": "The status in words" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What is wrong, for a person" },
            "error": { "type": "string", "description": "The same, for older readers" },
            "instance": { "type": "string" },
            "field": { "type": "string", "description": "The first field that is wrong" },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": { "field": { "type": "string" }, "message": { "type": "string" } }
                }
            }
        }
    })
}
