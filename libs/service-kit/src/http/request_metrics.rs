//! `http_request_duration_seconds`, with the handles of each route kept at hand.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use metrics::Histogram;
use parking_lot::RwLock;

use crate::telemetry::http_request_duration;

/// The path of requests that no route matched: their own paths would be labels without bound.
pub(super) const UNMATCHED: &str = "unmatched";

type Handles = Vec<(&'static str, StatusCode, Histogram)>;

/// A route has a handful of methods and statuses, so its handles are searched faster than hashed.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestMetrics(Arc<RwLock<HashMap<Box<str>, Handles>>>);

impl RequestMetrics {
    pub(super) fn record(&self, method: &Method, route: &str, status: StatusCode, seconds: f64) {
        let method = label(method);
        let found = |handles: &Handles| {
            let known = handles
                .iter()
                .find(|(m, s, _)| *m == method && *s == status);
            known.map(|(_, _, histogram)| histogram.record(seconds))
        };
        if self.0.read().get(route).and_then(found).is_some() {
            return;
        }
        let histogram = http_request_duration(method, template(route), status.as_u16());
        histogram.record(seconds);
        let mut routes = self.0.write();
        routes
            .entry(route.into())
            .or_default()
            .push((method, status, histogram));
    }
}

/// Methods that a client makes up must not become labels.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// The contract writes parameters as `/orders/:id`, the router as `/orders/{id}`.
fn template(route: &str) -> String {
    route.replace("{*", ":").replace('{', ":").replace('}', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_written_as_the_contract_writes_it() {
        assert_eq!(template("/orders/{id}/stream"), "/orders/:id/stream");
        assert_eq!(template("/files/{*path}"), "/files/:path");
        assert_eq!(template("/health"), "/health");
    }

    #[test]
    fn a_made_up_method_is_no_label() {
        assert_eq!(label(&Method::from_bytes(b"FROBNICATE").unwrap()), "OTHER");
    }
}
