//! `GET /orders` and `GET /orders/{orderId}`.

use std::borrow::Cow;

use axum::extract::State;
use axum::response::Response;
use sagaline_commands::Outcome;
use sagaline_contracts::OrderId;
use sagaline_service_kit::{Path, Problem, Query};
use sagaline_store::Stored;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::page::{Listing, json_response, parse_flag};
use super::{App, unknown_order};
use crate::collections::ORDERS;
use crate::projection::Status;

#[derive(Debug, Deserialize)]
pub(super) struct OrdersQuery {
    status: Option<String>,
    outcome: Option<String>,
    stalled: Option<String>,
    parked: Option<String>,
    q: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
    before: Option<String>,
}

/// What of an order decides whether it is listed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peek<'d> {
    #[serde(borrow)]
    order_id: Cow<'d, str>,
    current_status: Option<IgnoredAny>,
    outcome: Outcome,
    stalled_since: Option<IgnoredAny>,
    #[serde(default, borrow)]
    reason: Option<Cow<'d, str>>,
    #[serde(default, borrow)]
    dead_letters: Vec<PeekLetter<'d>>,
}

#[derive(Deserialize)]
struct PeekLetter<'d> {
    #[serde(borrow)]
    status: Cow<'d, str>,
}

impl Peek<'_> {
    /// Whether messages of it wait for an operator.
    fn is_parked(&self) -> bool {
        self.dead_letters
            .iter()
            .any(|letter| letter.status == "dead")
    }

    /// Whether this, in lower case, is in its id or in its reason.
    fn says(&self, text: &str) -> bool {
        let has = |field: &str| field.to_lowercase().contains(text);
        has(&self.order_id) || self.reason.as_deref().is_some_and(has)
    }
}

/// `GET /orders`: the latest update first.
pub(super) async fn list(
    State(app): State<App>,
    Query(query): Query<OrdersQuery>,
) -> Result<Response, Problem> {
    let status = query.status.as_deref().map(parse_status).transpose()?;
    let outcome = query.outcome.as_deref().map(parse_outcome).transpose()?;
    let stalled = parse_flag("stalled", query.stalled.as_deref())?;
    let parked = parse_flag("parked", query.parked.as_deref())?;
    let text = query.q.as_deref().map(str::to_lowercase);
    let is_filtered = outcome.is_some() || stalled.is_some() || parked.is_some() || text.is_some();
    let listing = Listing {
        collection: ORDERS,
        tag: status.map(Status::as_str),
        limit: query.limit.as_deref(),
        cursor: query.cursor.as_deref(),
        before: query.before.as_deref(),
        listed_by: "updatedAt",
        is_filtered,
    };
    let keep = |document: &Stored| {
        if !is_filtered {
            return true;
        }
        let peek = serde_json::from_slice::<Peek<'_>>(&document.body);
        peek.is_ok_and(|peek| {
            outcome.is_none_or(|outcome| peek.outcome == outcome)
                && stalled.is_none_or(|stalled| peek.stalled_since.is_some() == stalled)
                && parked.is_none_or(|parked| peek.is_parked() == parked)
                && text.as_ref().is_none_or(|text| peek.says(text))
        })
    };
    let page = listing.read(&*app.ports.store, keep).await?;
    let asked = [
        ("status", query.status.as_deref()),
        ("outcome", query.outcome.as_deref()),
        ("stalled", query.stalled.as_deref()),
        ("parked", query.parked.as_deref()),
        ("q", query.q.as_deref()),
        ("limit", query.limit.as_deref()),
    ];
    Ok(page.into_response("/orders", &asked))
}

fn parse_status(name: &str) -> Result<Status, Problem> {
    Status::parse(name).ok_or_else(|| {
        let names = Status::ALL.map(Status::as_str).join(", ");
        Problem::bad_request("status", format!("must be one of {names}"))
    })
}

fn parse_outcome(name: &str) -> Result<Outcome, Problem> {
    [Outcome::Pending, Outcome::Confirmed, Outcome::Cancelled]
        .into_iter()
        .find(|outcome| outcome.as_str() == name)
        .ok_or_else(|| {
            Problem::bad_request("outcome", "must be one of PENDING, CONFIRMED, CANCELLED")
        })
}

/// `GET /orders/{orderId}`: the document as it is stored. An order of which only commands are known is none.
pub(super) async fn one(
    State(app): State<App>,
    Path(id): Path<OrderId>,
) -> Result<Response, Problem> {
    let stored = app.load(ORDERS, id.as_str()).await?;
    let is_order = |document: &Stored| {
        let peek = serde_json::from_slice::<Peek<'_>>(&document.body);
        peek.is_ok_and(|peek| peek.current_status.is_some())
    };
    let document = stored.filter(is_order).ok_or_else(|| unknown_order(&id))?;
    Ok(json_response(document.body))
}
