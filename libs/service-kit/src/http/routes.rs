//! The routes that every service has, and the answers where there is no route.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::health::Health;
use crate::problem::Problem;
use crate::telemetry::render_metrics;

/// How much of a path an answer repeats.
const PATH_SHOWN: usize = 200;

pub(super) fn standard(health: Health) -> Router {
    Router::new()
        .route("/health", get(alive))
        .route("/healthz", get(ready))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(health)
}

async fn alive() -> Json<serde_json::Value> {
    Json(json!({ "ok": true }))
}

async fn ready(State(health): State<Health>) -> Response {
    let report = health.report();
    let status = if report.ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}

async fn metrics() -> Response {
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], render_metrics()).into_response()
}

pub(super) async fn not_found(method: Method, OriginalUri(uri): OriginalUri) -> Problem {
    let path: String = uri.path().chars().take(PATH_SHOWN).collect();
    Problem::not_found(format!("there is no {method} {path}"))
}

pub(super) async fn method_not_allowed(method: Method) -> Problem {
    let detail = format!("{method} is not allowed here: see the Allow header");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}
