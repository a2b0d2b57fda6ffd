//! `GET /admin/audit`: who asked for what, when, and what became of it.

use axum::extract::State;
use axum::response::Response;
use sagaline_service_kit::{Admin, Problem, Query};
use serde::Deserialize;

use super::App;
use super::page::Listing;
use crate::collections::AUDIT;
use crate::projection::stored_name;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditQuery {
    requested_by: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn list(
    _admin: Admin,
    State(app): State<App>,
    Query(query): Query<AuditQuery>,
) -> Result<Response, Problem> {
    let requested_by = query.requested_by.as_deref().map(stored_name);
    let listing = Listing {
        collection: AUDIT,
        tag: requested_by.as_deref(),
        limit: query.limit.as_deref(),
        cursor: query.cursor.as_deref(),
        before: None,
        listed_by: "at",
        is_filtered: false,
    };
    let page = listing.read(&*app.ports.store, |_| true).await?;
    let asked = [
        ("requestedBy", query.requested_by.as_deref()),
        ("limit", query.limit.as_deref()),
    ];
    Ok(page.into_response("/admin/audit", &asked))
}
