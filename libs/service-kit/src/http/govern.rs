//! The one layer around every route. It is one rather than eight because each would box a future per request.

use std::convert::Infallible;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http_body_util::Limited;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

use super::HttpOptions;
use super::request_metrics::{RequestMetrics, UNMATCHED};
use super::until::UntilShutdown;
use crate::clock::Stopwatch;
use crate::problem::Problem;

/// What an overloaded service asks its clients to wait, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// Counts the requests in flight and turns away those beyond the limit.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    in_flight: Arc<AtomicUsize>,
    limit: usize,
}

impl Gate {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            in_flight: Arc::default(),
            limit,
        }
    }

    fn enter(&self) -> Option<Permit> {
        let permit = Permit(Arc::clone(&self.in_flight));
        // The permit exists already, so it also takes back the count of whoever is turned away.
        (self.in_flight.fetch_add(1, Ordering::Relaxed) < self.limit).then_some(permit)
    }
}

struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
pub(super) struct GovernLayer(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    gate: Gate,
    shutdown: CancellationToken,
    body_limit: usize,
    timeout: Duration,
    metrics: RequestMetrics,
}

impl GovernLayer {
    pub(super) fn new(gate: Gate, shutdown: CancellationToken, options: &HttpOptions) -> Self {
        Self(Arc::new(Rules {
            gate,
            shutdown,
            body_limit: options.body_limit,
            timeout: options.request_timeout,
            metrics: RequestMetrics::default(),
        }))
    }
}

impl<S> Layer<S> for GovernLayer {
    type Service = Govern<S>;

    fn layer(&self, inner: S) -> Govern<S> {
        Govern {
            inner,
            rules: Arc::clone(&self.0),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Govern<S> {
    inner: S,
    rules: Arc<Rules>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl<S> Service<Request> for Govern<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Answer {
        let account = Account {
            rules: Arc::clone(&self.rules),
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            started: Stopwatch::start(),
        };
        let permit = match self.rules.admit(request.headers()) {
            Ok(permit) => permit,
            Err(refusal) => return Box::pin(ready(Ok(account.close(refusal.into_response())))),
        };
        // A handler is dropped once it has panicked, so nobody can see what it left half done.
        let handled = AssertUnwindSafe(self.inner.call(limit_body(request, self.rules.body_limit)))
            .catch_unwind();
        Box::pin(async move {
            let response = match tokio::time::timeout(account.rules.timeout, handled).await {
                Ok(Ok(Ok(response))) => response,
                Ok(Ok(Err(never))) => match never {},
                Ok(Err(_)) => account.panicked(),
                Err(_) => {
                    Problem::unavailable("the answer took too long", RETRY_AFTER_S).into_response()
                }
            };
            drop(permit);
            Ok(account.close(response))
        })
    }
}

impl Rules {
    fn admit(&self, headers: &HeaderMap) -> Result<Permit, Problem> {
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > self.body_limit) {
            return Err(Problem::too_large(self.body_limit));
        }
        let overloaded = || Problem::unavailable("too many requests are in flight", RETRY_AFTER_S);
        self.gate.enter().ok_or_else(overloaded)
    }
}

/// A body whose length was announced has been judged by it, and the connection holds it to that. The others are counted as they come.
fn limit_body(request: Request, limit: usize) -> Request {
    if request.body().size_hint().exact().is_some() {
        return request;
    }
    request.map(|body| Body::new(Limited::new(body, limit)))
}

/// What is known of a request until its answer is there.
struct Account {
    rules: Arc<Rules>,
    method: Method,
    route: Option<MatchedPath>,
    started: Stopwatch,
}

impl Account {
    fn route(&self) -> &str {
        self.route.as_ref().map_or(UNMATCHED, MatchedPath::as_str)
    }

    fn panicked(&self) -> Response {
        let (method, route) = (self.method.as_str(), self.route());
        tracing::error!(
            method,
            route,
            "a handler panicked; the panic itself stands on standard error"
        );
        Problem::internal().into_response()
    }

    fn close(self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        let streams = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(is_event_stream);
        let seconds = self.started.elapsed_seconds();
        self.rules
            .metrics
            .record(&self.method, self.route(), response.status(), seconds);
        if response.status().is_server_error() {
            let (method, route, status) = (
                self.method.as_str(),
                self.route(),
                response.status().as_u16(),
            );
            tracing::debug!(method, route, status, seconds, "request failed");
        }
        if !streams {
            return response;
        }
        let shutdown = self.rules.shutdown.clone();
        response.map(|body| Body::new(UntilShutdown::new(body, shutdown)))
    }
}

fn is_event_stream(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"text/event-stream")
}
